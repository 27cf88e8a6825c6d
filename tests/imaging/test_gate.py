"""The input gate on real photos that are spoilt as cameras spoil them, and its limits from good images."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError, OptionError
from edgevision.imaging.frame import Frame
from edgevision.imaging.gate import FrameGate, InputGate, grey_levels, input_gate_from, sharpness
from edgevision.imaging.gate_limits import propose_gate
from edgevision.imaging.levels import ValueMapping

PLAIN = ValueMapping()
GATE = InputGate(dark_share=0.9, saturated_share=0.5, sharpness=0.05, frozen_frames=3)


def scene(seed: int, size_wh: tuple[int, int] = (640, 480)) -> np.ndarray[Any, Any]:
    """Sharp objects before a smooth ground, with the noise of a sensor."""
    random = np.random.default_rng(seed)
    width, height = size_wh
    ground = random.integers(60, 180, (4, 5, 3)).astype(np.uint8)
    picture = cv2.resize(ground, size_wh, interpolation=cv2.INTER_CUBIC)
    for _ in range(25):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        color = [int(value) for value in random.integers(30, 230, 3)]
        cv2.rectangle(picture, (x, y), (x + 60, y + 45), color, -1)
        cv2.putText(picture, str(seed), (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (250, 250, 250), 2)
    noise = random.normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


SPOILT = {
    "black": lambda picture: (picture * 0.03).astype(np.uint8),
    "overexposed": lambda picture: np.clip(picture.astype(int) * 6, 0, 255).astype(np.uint8),
    "blurred": lambda picture: cv2.GaussianBlur(picture, (0, 0), 9),
    "": lambda picture: picture,
}


@pytest.mark.parametrize("expected", SPOILT)
@pytest.mark.parametrize("color", ["rgb", "bgr", "gray"])
def test_a_frame_is_refused_for_what_is_wrong_with_it(expected: str, color: str) -> None:
    picture = SPOILT[expected](scene(0))
    pixels = np.ascontiguousarray(picture[..., 1] if color == "gray" else picture)
    assert FrameGate(GATE, PLAIN).reason(Frame(pixels, color)) == expected


def test_only_the_limits_that_are_set_count() -> None:
    black = Frame(np.zeros((480, 640, 3), np.uint8))
    assert FrameGate(InputGate(), PLAIN).reason(black) == ""
    assert FrameGate(InputGate(saturated_share=0.5), PLAIN).reason(black) == ""
    assert FrameGate(InputGate(dark_share=0.5), PLAIN).reason(black) == "black"


def test_the_same_frame_again_and_again_is_frozen_until_one_differs() -> None:
    gate = FrameGate(InputGate(frozen_frames=3), PLAIN)
    first, second = Frame(scene(1)), Frame(scene(2))
    told = [gate.reason(frame) for frame in (first, first, first, first, second, second, second)]
    assert told == ["", "", "frozen", "frozen", "", "", "frozen"]


def test_a_still_scene_with_a_sensors_noise_is_not_frozen() -> None:
    gate = FrameGate(InputGate(frozen_frames=2), PLAIN)
    still = scene(1).astype(int)
    random = np.random.default_rng(0)
    for _ in range(20):
        noisy = np.clip(still + random.integers(-1, 2, still.shape), 0, 255).astype(np.uint8)
        assert gate.reason(Frame(noisy)) == ""


def test_a_caller_may_use_the_memory_of_a_small_grey_frame_again() -> None:
    gate, memory = FrameGate(InputGate(frozen_frames=2), PLAIN), scene(1, (64, 48))[..., 0].copy()
    assert gate.reason(Frame(memory, "gray")) == ""
    memory[...] = scene(2, (64, 48))[..., 0]
    assert gate.reason(Frame(memory, "gray")) == ""


def test_an_image_with_twelve_bits_is_measured_by_its_own_black_and_white() -> None:
    bits = scene(0).astype(np.uint16) * 16
    gate = FrameGate(GATE, ValueMapping(bit_depth=12))
    assert gate.reason(Frame(bits)) == ""
    assert gate.reason(Frame(bits // 40)) == "black"
    assert FrameGate(GATE, PLAIN).reason(Frame(bits)) == ""  # the model refuses it, in its own words


def test_sharpness_depends_neither_on_brightness_nor_on_contrast() -> None:
    picture = scene(0)
    values = [
        sharpness(grey_levels(Frame(np.ascontiguousarray(one)), PLAIN))
        for one in (picture, picture // 2, picture // 2 + 60)
    ]
    assert values[1:] == pytest.approx([values[0]] * 2, rel=0.15)


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 1000), (32, 32), (641, 483), (4000, 3000)])
def test_any_size_is_measured(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    frame = Frame(np.full((height, width, 3), 128, np.uint8))
    assert FrameGate(InputGate(0.9, 0.9, None, 2), PLAIN).reason(frame) == ""


@pytest.mark.parametrize(
    "document",
    [{"dark_share": 1}, {"dark_share": -0.1}, {"sharpness": "a"}, {"frozen_frames": 1}, {"grey": 1}, [0.5]],
)
def test_limits_that_make_no_sense_are_refused(document: Any) -> None:
    with pytest.raises(OptionError):
        input_gate_from(document)
    assert input_gate_from(GATE.to_dict()) == GATE


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_proposed_limits_refuse_spoilt_frames_and_at_most_the_stated_share_of_good_ones(share: float) -> None:
    good = [Frame(scene(seed, (160, 120))) for seed in range(150)]
    proposal = propose_gate(good, PLAIN, share)
    assert (proposal.images, proposal.left_out) == (150, {})
    others = [scene(seed, (160, 120)) for seed in range(1000, 1400)]
    refused = sum(bool(FrameGate(proposal.gate, PLAIN).reason(Frame(one))) for one in others)
    # Binomial, and the limit itself varies with the 75 images that it comes from: Beta(74, 2) has 0.018.
    assert refused / len(others) <= share + 3 * np.sqrt(share * (1 - share) * (1 / 400 + 1 / 75))
    for expected, spoil in SPOILT.items():
        told = [FrameGate(proposal.gate, PLAIN).reason(Frame(spoil(one))) for one in others[:20]]
        assert not expected or told == [expected] * 20


def test_too_few_good_images_are_said_to_be_too_few() -> None:
    good = [Frame(scene(seed, (64, 48))) for seed in range(20)]
    with pytest.raises(InputError, match="20 good images cannot limit false abstentions to 0.01; pass 198"):
        propose_gate(good, PLAIN)
    assert propose_gate(good, PLAIN, 0.2).gate.frozen_frames == 10


def test_dark_images_that_are_good_set_no_limit_for_black() -> None:
    good = [Frame(np.full((48, 64, 3), seed % 8, np.uint8)) for seed in range(40)]
    proposal = propose_gate(good, PLAIN, 0.1)
    assert proposal.gate.dark_share is None
    assert "dark_share" in proposal.left_out
