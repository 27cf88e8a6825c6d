"""Generators from images, vectors and noise: tiles, seeds, guidance and the loop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevision.backend import Slot
from edgevision.errors import CancelledError, InferenceError, InputError, OptionError, OutputError
from edgevision.imaging.decode import read_image
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import CheckedSession, open_session
from edgevision.tasks.description import GenerateTask, task_from_dict, task_to_dict
from edgevision.tasks.generation.diffusion import DiffusionGenerator
from edgevision.tasks.generation.geometry import EIGHT_WAYS, Geometry, inverted
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.images import GeneratedImages
from edgevision.tasks.generation.latent import LatentGenerator, slerp
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

TILE = TensorSpec("image", (None, 16, 16, 3), "float32")


def _session(inputs: list[TensorSpec], output: TensorSpec, answer: Any) -> CheckedSession:
    backend = FakeBackend(answers=answer)
    return open_session(backend, backend.artifact(inputs, [output]))


def _editor(
    answer: Any, scale: int = 1, fit: str = "tiles", batch: int | None = None, **mapping: Any
) -> ImageToImage:
    """An image-to-image network with tiles of 16 x 16 pixels, 0…255."""
    image = TensorSpec("image", (batch, 16, 16, 3), "float32")
    output = TensorSpec("made", (batch, 16 * scale, 16 * scale, 3), "float32")
    task = GenerateTask("image-to-image", "made", (0, 255), "rgb", {"fit": fit, "overlap": 4})
    how = Preprocessing((16, 16), (0.0, 255.0), **mapping)
    return ImageToImage(_session([image], output, answer), task, how)


def _photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def _same(inputs: Any) -> Any:
    return {"made": inputs["image"]}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 70), st.integers(1, 70))
def test_tiles_of_an_identity_network_give_the_image_itself(height: int, width: int) -> None:
    image = _photo(height, width)
    np.testing.assert_array_equal(_editor(_same)(image)[0], image)


def test_a_seam_is_invisible_where_tiles_disagree_by_a_step() -> None:
    counter = iter(range(1000))

    def rising(inputs: Any) -> Any:
        return {"made": np.stack([np.full((16, 16, 3), 100.0 + 20 * next(counter)) for _ in inputs["image"]])}

    made = _editor(rising, batch=1)(np.zeros((16, 28, 3), np.uint8))[0][8, :, 0].astype(int)
    assert (made[0], made[-1]) == (100, 120)
    assert np.abs(np.diff(made)).max() <= 6, "one tile fades into the next"


@pytest.mark.parametrize(("size", "at_once"), [(16, 16), (128, 4), (256, 1), (512, 1)])
def test_on_a_cpu_tiles_run_together_only_while_that_is_faster(size: int, at_once: int) -> None:
    tile = TensorSpec("image", (None, size, size, 3), "float32")
    session = _session([tile], replace(tile, name="made"), _same)
    task = GenerateTask("image-to-image", "made", (0, 255), "rgb", {"fit": "tiles", "overlap": 0})
    editor = ImageToImage(session, task, Preprocessing((size, size), (0.0, 255.0)))
    batches = []

    def watch(slot: Slot) -> Slot:
        batches.append(len(slot.inputs["image"]))
        return slot

    with session.watched(watch):
        editor(_photo(size, size * 17))
    assert (max(batches), sum(batches)) == (at_once, 17)


@pytest.mark.parametrize("fit", ["tiles", "resize"])
@pytest.mark.parametrize("mapping", [{"bit_depth": 12}, {"window_percentiles": (0, 100)}])
def test_twelve_bits_have_the_black_and_white_of_the_whole_image_in_every_tile(
    mapping: Any, fit: str
) -> None:
    photo = _photo(40, 50)
    photo[0, :2] = [[0, 0, 0], [255, 255, 255]]
    deep = np.rint(photo / 255.0 * 4095).astype(np.uint16)
    reference = _editor(_same, fit=fit)(photo)[0].astype(int)
    made = _editor(_same, fit=fit, **mapping)(deep, ensemble=fit == "tiles")[0]
    assert np.abs(made - reference).max() <= 1
    with pytest.raises(InputError, match="say how values become black and white"):
        _editor(_same, fit=fit)(deep)


@pytest.mark.parametrize("shape", [(16, 16), (20, 33), (5, 7)])
def test_a_super_resolution_network_enlarges_the_whole_image_by_its_scale(shape: tuple[int, int]) -> None:
    double = _editor(lambda i: {"made": i["image"].repeat(2, axis=1).repeat(2, axis=2)}, scale=2)
    image = _photo(*shape)
    assert double.scale_wh == (2, 2)
    np.testing.assert_array_equal(double(image)[0], image.repeat(2, axis=0).repeat(2, axis=1))


def test_with_fit_resize_the_network_gets_the_whole_image() -> None:
    assert _editor(_same, fit="resize")(_photo(40, 60)).images.shape == (1, 16, 16, 3)


def test_crop_rotation_and_flip_apply_before_and_after() -> None:
    image, edit = _photo(20, 30), _editor(_same)
    before = Geometry(crop_xywh=(2, 3, 10, 8), rotate_degrees=90)
    expected = np.rot90(image[3:11, 2:12], -1)
    np.testing.assert_array_equal(edit(image, before=before)[0], expected)
    after = Geometry(flip="horizontal")
    np.testing.assert_array_equal(edit(image, after=after)[0], image[:, ::-1])
    with pytest.raises(OptionError, match="crop"):
        edit(image, before=Geometry(crop_xywh=(25, 0, 10, 10)))


def test_each_of_the_eight_ways_is_inverted_and_their_mean_is_the_image() -> None:
    image = _photo(16, 24)
    for way in EIGHT_WAYS:
        np.testing.assert_array_equal(inverted(way, way.apply(image)), image)
    assert len({way.apply(image).tobytes() for way in EIGHT_WAYS}) == 8
    np.testing.assert_array_equal(_editor(_same)(image, ensemble=True)[0], image)


def test_several_images_give_several_in_order() -> None:
    images = [_photo(10, 10), _photo(20, 12)]
    results = _editor(_same)(images)
    assert all(np.array_equal(result[0], image) for result, image in zip(results, images, strict=True))


def test_nan_is_an_error_and_never_an_image() -> None:
    with pytest.raises(InferenceError, match="NaN or infinity"):
        _editor({"made": np.nan})(_photo(16, 16))


VECTOR = TensorSpec("vector", (None, 4), "float32")
MADE = TensorSpec("made", (None, 8, 8, 1), "float32")


def _latent(**more: Any) -> LatentGenerator:
    def decode(inputs: Any) -> Any:
        return {"made": inputs["vector"].mean(axis=1).reshape(-1, 1, 1, 1) / 8 + 0.5}

    task = GenerateTask("latent", "made", (0, 1), "gray", {"input": "vector", **more})
    return LatentGenerator(_session([VECTOR], MADE, decode), task)


def test_a_seed_gives_the_same_image_in_every_batch() -> None:
    model = _latent()
    many = model.sample(20, seed=100)
    assert many.seeds == tuple(range(100, 120))
    np.testing.assert_array_equal(model.sample(1, seed=113)[0], many[13])
    assert len({image.tobytes() for image in many}) > 10
    assert model.sample(1).seeds != model.sample(1).seeds


def test_an_interpolation_begins_and_ends_with_the_images_of_its_seeds() -> None:
    model = _latent()
    way = model.interpolate(3, 9, 5)
    np.testing.assert_array_equal(way[0], model.sample(1, seed=3)[0])
    np.testing.assert_array_equal(way[4], model.sample(1, seed=9)[0])


def test_slerp_keeps_the_norm() -> None:
    half = slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.5)
    np.testing.assert_allclose(half, [np.sqrt(0.5)] * 2, rtol=1e-6)
    np.testing.assert_allclose(slerp(np.array([1.0, 1.0]), np.array([1.0, 1.0]), 0.3), [1, 1])


SCHEDULE = {"kind": "linear", "steps": 100, "beta_start": 0.001, "beta_end": 0.05}


def _diffusion(network: Any, condition: bool = False, **more: Any) -> DiffusionGenerator:
    noisy = TensorSpec("noisy", (None, 8, 8, 1), "float32")
    inputs = [noisy, TensorSpec("time", (None,), "float32")]
    settings: dict[str, Any] = {
        "image_input": "noisy",
        "timestep_input": "time",
        "timestep": "index",
        "prediction": "x0",
        "schedule": SCHEDULE,
        "steps": 10,
        **more,
    }
    if condition:
        inputs.append(TensorSpec("class", (None,), "int32"))
        settings["condition"] = {"input": "class", "kind": "class-id", "classes": 2, "null_class": 2}
    task = GenerateTask("diffusion", "made", (-1, 1), "gray", settings)
    return DiffusionGenerator(_session(inputs, MADE, network), task, ("cat", "dog") if condition else ())


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "euler"])
def test_every_sampler_reaches_the_image_that_the_network_predicts(sampler: str) -> None:
    made = _diffusion({"made": 0.5}).sample(2, seed=1, sampler=sampler)
    assert made.images.shape == (2, 8, 8, 1)
    np.testing.assert_allclose(made.images, 191, atol=1)


def test_a_seed_gives_the_same_image_in_every_batch_of_a_diffusion_model() -> None:
    model = _diffusion(lambda inputs: {"made": np.tanh(inputs["noisy"])})
    for sampler in ("ddpm", "ddim", "euler"):
        many = model.sample(11, seed=5, sampler=sampler)
        np.testing.assert_array_equal(model.sample(1, seed=9, sampler=sampler)[0], many[4])


def test_guidance_amplifies_the_difference_to_the_null_class() -> None:
    model = _diffusion(lambda i: {"made": (i["class"].reshape(-1, 1, 1, 1) == 1) * 0.25}, condition=True)
    plain = model.sample(1, seed=0, condition="dog")[0]
    strong = model.sample(1, seed=0, condition="dog", guidance=2.0)[0]
    np.testing.assert_allclose(plain, (0.25 + 1) / 2 * 255, atol=1)
    np.testing.assert_allclose(strong, (0.5 + 1) / 2 * 255, atol=1)
    none = model.sample(1, seed=0, condition="dog", guidance=0.0)[0]
    np.testing.assert_allclose(none, (0 + 1) / 2 * 255, atol=1)
    with pytest.raises(OptionError, match="no class 'owl'; the classes are: cat, dog"):
        model.sample(1, condition="owl")


def test_a_manifest_cannot_set_guidance_without_a_null_class() -> None:
    with pytest.raises(OptionError, match="guidance: expected 1 where there is no null_class, got 3"):
        _diffusion({"made": 0.0}, guidance=3.0)


def test_progress_is_called_after_each_step_and_can_cancel() -> None:
    steps: list[tuple[int, int]] = []
    _diffusion({"made": 0.0}).sample(1, seed=0, steps=4, progress=lambda *step: steps.append(step))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(CancelledError, match="after 2 of 4 steps; no image was generated"):
        _diffusion({"made": 0.0}).sample(1, seed=0, steps=4, progress=lambda done, steps: done < 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "step"),
        ({"steps": 101}, "step"),
        ({"sampler": "heun"}, "sampler: expected one of ddim, ddpm, euler"),
        ({"guidance": 3.0}, "was not trained with a null class"),
        ({"condition": 1}, "is unconditional"),
        ({"count": 0}, "count of images: expected 1 or more"),
        ({"seed": -1}, "seed: expected a whole number"),
    ],
)
def test_arguments_that_the_network_does_not_support_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        _diffusion({"made": 0.0}).sample(**{"count": 1, "seed": 0, **arguments})


def test_images_are_saved_and_shown_on_one_sheet(tmp_path: Path) -> None:
    images = np.arange(5 * 2 * 3 * 3, dtype=np.uint8).reshape(5, 2, 3, 3)
    generated = GeneratedImages(images, seeds=(7, 8, 9, 10, 11))
    paths = generated.save(tmp_path / "new")
    assert paths[1].name == "image-0001-seed-8.png"
    np.testing.assert_array_equal(read_image(paths[4]), images[4])
    sheet = generated.grid(columns=2)
    assert sheet.shape == (3 * 3 - 1, 2 * 4 - 1, 3)
    np.testing.assert_array_equal(sheet[3:5, :3], images[2])
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        generated.save(tmp_path / "file")


@pytest.mark.parametrize("model", [_latent(), _diffusion({"made": 0.0}, condition=True), _editor(_same)])
def test_a_task_survives_json(model: Any) -> None:
    document = json.loads(json.dumps(task_to_dict(model.task)))
    assert task_from_dict(document, "manifest") == model.task
    with pytest.raises(OptionError, match="unknown field 'colour'"):
        task_from_dict({**document, "colour": 1}, "manifest")
    with pytest.raises(OptionError, match="kind: expected one of"):
        task_from_dict({**document, "kind": "dream"}, "manifest")
