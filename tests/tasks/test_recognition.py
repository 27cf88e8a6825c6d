"""The decoder of a detector: named, or recognised by the outputs, with the NMS rule in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from edgevision import hookimpl
from edgevision.errors import OptionError, PluginError
from edgevision.plugins import Registry, discover
from edgevision.tasks.recognition import DecoderChoice, choose_decoder
from edgevision.tensors import TensorSpec


class _Decoder:
    """Recognises any network whose first output has its name."""

    def __init__(self, name: str, nms_applied: bool = False) -> None:
        self.name, self.nms_applied = name, nms_applied

    def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
        return {"output": outputs[0].name} if outputs[0].name.startswith(self.name) else None

    def prepare(self, outputs: Any, input_size_wh: Any, settings: Mapping[str, Any]) -> Any:
        raise AssertionError("choosing a decoder prepares nothing")


class _Plugin:
    @hookimpl
    def edgevision_decoders(self):
        return [_Decoder("boxes"), _Decoder("box"), _Decoder("suppressed", nms_applied=True)]


@pytest.fixture
def plugins() -> Registry:
    found = discover([])
    found.register(_Plugin(), "plugin")
    return found


def _outputs(*named: tuple[str, tuple[int, ...]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, shape, "float32") for name, shape in named)


GRID = ("box grid", (20, 20, 8))


def test_the_only_decoder_that_recognises_the_outputs_is_chosen(plugins: Registry) -> None:
    choice = choose_decoder("m", _outputs(GRID), (32, 32), plugins)
    assert choice is not None
    assert (choice.decoder.name, choice.settings) == ("box", {"output": "box grid"})


def test_a_decoder_that_fails_is_left_out(plugins: Registry) -> None:
    class Broken(_Decoder):
        def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
            raise KeyError("boxes")

    class Plugin:
        @hookimpl
        def edgevision_decoders(self):
            return [Broken("broken")]

    plugins.register(Plugin(), "broken")
    choice = choose_decoder("m", _outputs(GRID), (32, 32), plugins)
    assert choice is not None
    assert choice.decoder.name == "box"


def test_a_named_decoder_is_used_whether_or_not_it_recognises_the_outputs(plugins: Registry) -> None:
    choice = choose_decoder("m", _outputs(GRID), (32, 32), plugins, "suppressed")
    assert choice is not None
    assert (choice.decoder.name, choice.settings) == ("suppressed", {})
    with pytest.raises(PluginError, match="no decoder 'other'"):
        choose_decoder("m", _outputs(GRID), (32, 32), plugins, "other")


@pytest.mark.parametrize("shape", [(10,), (1, 1, 10)])
def test_a_single_vector_of_scores_is_a_classifier(plugins: Registry, shape: tuple[int, ...]) -> None:
    assert choose_decoder("m", _outputs(("scores", shape)), (32, 32), plugins) is None


@pytest.mark.parametrize(
    "outputs",
    [
        _outputs(("grid", (20, 20, 8))),
        _outputs(("a", (10,)), ("b", (4,))),
        _outputs(("boxes", (20, 4)), ("scores", (20, 3))),  # two decoders recognise them
    ],
    ids=["nobody recognises it", "several outputs", "ambiguous"],
)
def test_other_outputs_are_refused_with_both_options(plugins: Registry, outputs) -> None:
    with pytest.raises(
        OptionError, match=r"m: cannot infer the task .* pass --decoder box.*--output-name NAME"
    ):
        choose_decoder("m", outputs, (32, 32), plugins)


@pytest.mark.parametrize(
    ("nms_applied", "thresholds", "iou"),
    [(False, {}, 0.5), (True, {}, 1.0), (True, {"iou_threshold": 0.4}, 0.4)],
)
def test_nms_is_not_applied_twice_unless_asked_for(nms_applied: bool, thresholds, iou: float) -> None:
    choice = DecoderChoice(_Decoder("box", nms_applied), {"output": "recognised", "anchors": 3})
    task = choice.task({"output": "stated"}, thresholds)
    assert task.iou_threshold == iou
    assert task.decoder_settings == {"output": "stated", "anchors": 3}


def test_an_unknown_threshold_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown threshold 'nms'; a detector has: score_threshold, iou_t"):
        DecoderChoice(_Decoder("box")).task({}, {"nms": 0.5})
