"""The contract for task kinds: all of our own keep it, and deliberate mistakes are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from mistakes import Mistakes

from edgevision.errors import OptionError
from edgevision.plugins import registry
from edgevision.tasks.api import Claim, InferenceError, TaskOption, TaskTexts
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask
from edgevision.tasks.generation_settings import ImageToImageSettings
from edgevision.testing import check_task
from edgevision_regress.depth import DepthTask
from edgevision_regress.description import RegressTask
from edgevision_regress.embedding import EmbedTask
from edgevision_segment.description import SegmentTask

MASK = np.zeros((48, 64, 2), np.float32)
MASK[..., 0] = 0.7
MASK[:, :32, 1] = 0.9
OWN: dict[str, tuple[Any, Mapping[str, Any], tuple[str, ...], Mapping[str, Any] | None]] = {
    "classify": (
        ClassifyTask("scores", "softmax"),
        {"scores": [0.1, 0.7, 0.2]},
        ("a", "b", "c"),
        {"classes": [{"label": one, "score": score} for one, score in (("b", 0.7), ("c", 0.2), ("a", 0.1))]},
    ),
    "detect": (
        DetectTask("boxes-scores", {"boxes": "b", "scores": "s", "box_format": "xyxy", "box_unit": "pixels"}),
        {"b": [[10, 20, 30, 40], [0, 0, 9, 9]], "s": [[0.1, 0.9], [0.2, 0.1]]},
        ("a", "b"),
        {"objects": [{"label": "b", "score": 0.9, "box_xyxy": [10.0, 20.0, 30.0, 40.0]}]},
    ),
    "segment": (SegmentTask("masks", "softmax"), {"masks": MASK}, ("background", "cell"), None),
    "regress": (
        RegressTask("values", ("age", "width"), ("years", "mm"), ((0, 100), (0, 10))),
        {"values": [41.5, 2.5]},
        (),
        None,
    ),
    "embed": (EmbedTask("vector"), {"vector": [0.6, 0.8, 0.0]}, (), None),
    "depth": (
        DepthTask("map", (0, 10), "m"),
        {"map": MASK[..., :1]},
        (),
        {"unit": "m", "least": 0.7, "greatest": 0.7, "unseen": 0},
    ),
    "generate": (
        GenerateTask("image-to-image", "image", (0.0, 1.0), "rgb", ImageToImageSettings()),
        {"image": np.zeros((48, 64, 3), np.float32)},
        (),
        None,
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_our_own_kinds_keep_the_contract(name: str) -> None:
    task, outputs, labels, expected = OWN[name]
    check_task(registry().task(name), task, outputs, labels, expected=expected)


def test_every_kind_of_our_own_has_a_case() -> None:
    assert set(OWN) == set(registry().tasks())


# --- a sound kind, and ways to break it ----------------------------------------------------------


@dataclass(frozen=True)
class CountTask:
    name: ClassVar[str] = "count"
    output: str
    steps: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not isinstance(self.output, str):
            raise OptionError(f"output: expected text, got {self.output!r}")
        if not isinstance(self.steps, (list, tuple)):
            raise OptionError(f"steps: expected numbers, got {self.steps!r}")
        object.__setattr__(self, "steps", tuple(self.steps))


class Count:
    def __init__(self, count: Any) -> None:
        self.count = count

    def to_dict(self) -> dict[str, Any]:
        return {"count": self.count}


class Counter:
    def __init__(self, session: Any, output: str) -> None:
        if output not in [spec.name for spec in session.outputs]:
            raise OptionError(f"the network has no output '{output}'")
        self.session, self.output = session, output

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    close = __exit__

    def __call__(self, image: Any) -> Count:
        pixels = self.before(image)[None].astype(np.float32)
        total = float(self.session.run({"image": pixels})[self.output].sum())
        return self.answer(total)

    def before(self, image: Any) -> Any:
        return image

    def answer(self, total: float) -> Count:
        if not np.isfinite(total):
            raise InferenceError(f"output '{self.output}' is not finite")
        return Count(total)


class Sound:
    """A kind of task whose models count."""

    name, noun, activity, verb = "count", "counter", "counting", "counts"
    ranks_classes, takes_images = False, True
    description: Any = CountTask
    texts: Any = TaskTexts()
    options: Any = (TaskOption("steps", "Numbers."),)
    counter: Any = Counter

    def __init__(self) -> None:
        properties = {name: {} for name in ("name", "output", "steps")}
        self.schema = {"type": "object", "required": ["name", "output"], "properties": properties}

    def recognise(self, network: Any) -> Any:
        return Claim.LIKELY if "density" in [spec.name for spec in network.outputs] else None

    def model(self, session: Any, task: Any, parts: Any) -> Any:
        return self.counter(session, task.output)

    def lines(self, result: Any, top: int) -> Any:
        return [f"{result.count:g} objects"]

    def draw(self, image: Any, result: Any, top: int, scale: int = 1) -> Any:
        return image.copy()

    def evaluation(self) -> Any:
        return registry().task("classify").evaluation()

    def known_rows(self, place: int, result: Any) -> Any:
        return np.array([[result.count]], np.float32)

    def same_results(self, found: Any, known: Any, task: Any) -> bool:
        return bool(np.allclose(found, known, rtol=1e-3))


OUTPUTS = {"density": [[0.5, 1.5]]}


def test_a_sound_kind_of_a_third_party_keeps_the_contract() -> None:
    check_task(Sound(), CountTask("density"), OUTPUTS, expected={"count": 2.0})


MISTAKES = Mistakes()
mistake = MISTAKES.mistake


@mistake("Nameless with the name ''")
class Nameless(Sound):
    name = ""


@mistake("options are .* expected TaskOption")
class OptionsOfText(Sound):
    options = ("steps",)


@mistake("expected a dataclass with frozen=True")
class Thawed(Sound):
    description = dataclass(type("Thawed", (), {"name": "count"}))


@dataclass(frozen=True)
class ListTask(CountTask):
    def __post_init__(self) -> None:
        if not isinstance(self.output, str):
            raise OptionError("output: expected text")
        if not isinstance(self.steps, (list, tuple)):
            raise OptionError("steps: expected numbers")


@mistake("another after it was written as JSON")
class KeepsLists(Sound):
    description = ListTask


@dataclass(frozen=True)
class AnyTask(CountTask):
    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))


@mistake(r"an object\(\) for output: expected OptionError")
class TakesAnything(Sound):
    description = AnyTask


@mistake("schema and description differ in: steps")
class ForgetsTheSchema(Sound):
    def __init__(self) -> None:
        super().__init__()
        del self.schema["properties"]["steps"]


@mistake("recognise returned True, expected a Claim")
class ClaimsTrue(Sound):
    def recognise(self, network: Any) -> Any:
        return True


@mistake(r"recognise claims \[\] as")
class ClaimsEverything(Sound):
    def recognise(self, network: Any) -> Any:
        return Claim.CERTAIN


@mistake("depends on the order|IndexError")
class LooksAtTheFirst(Sound):
    def recognise(self, network: Any) -> Any:
        return Claim.LIKELY if network.outputs[0].name == "density" else None


@mistake("changed the image")
class Scribbles(Sound):
    class counter(Counter):  # noqa: N801 - an attribute of the kind
        def before(self, image: Any) -> Any:
            image[0] = 0
            return image


@mistake("cannot be JSON")
class KeepsArrays(Sound):
    class counter(Counter):  # noqa: N801
        def answer(self, total: float) -> Count:
            return Count(np.float32(super().answer(total).count))


@mistake("another result for the same image")
class CountsOn(Sound):
    class counter(Counter):  # noqa: N801
        calls = 0

        def answer(self, total: float) -> Count:
            self.calls += 1
            return Count(super().answer(total).count + self.calls)


@mistake("a later call changed an earlier result")
class OneResultForAll(Sound):
    class counter(Counter):  # noqa: N801
        result = Count(0.0)

        def answer(self, total: float) -> Count:
            self.result.count = super().answer(total).count
            return self.result


@mistake(r"to_dict\(\)\['count'\] is 4.0, expected 2.0")
class CountsTwice(Sound):
    class counter(Counter):  # noqa: N801
        def answer(self, total: float) -> Count:
            return Count(2 * super().answer(total).count)


@mistake("a network with other outputs: expected OptionError")
class ReadsWhatIsThere(Sound):
    def model(self, session: Any, task: Any, parts: Any) -> Any:
        return Counter(session, session.outputs[0].name)


@mistake("outputs of NaN: expected InferenceError")
class CountsNaN(Sound):
    class counter(Counter):  # noqa: N801
        def answer(self, total: float) -> Count:
            return Count(total if np.isfinite(total) else 0.0)


@mistake("lines returned '2 objects', expected one or more lines")
class OneText(Sound):
    def lines(self, result: Any, top: int) -> Any:
        return f"{result.count:g} objects"


@mistake("which are several lines each")
class LineBreaks(Sound):
    def lines(self, result: Any, top: int) -> Any:
        return ["2\nobjects"]


@mistake("draw returned the image itself")
class ReturnsTheImage(Sound):
    def draw(self, image: Any, result: Any, top: int, scale: int = 1) -> Any:
        return image


@mistake("draw changed the image")
class DrawsIntoTheImage(Sound):
    def draw(self, image: Any, result: Any, top: int, scale: int = 1) -> Any:
        image[:3] = 255
        return image.copy()


@mistake("draw returned .*expected .*uint8")
class DrawsFloats(Sound):
    def draw(self, image: Any, result: Any, top: int, scale: int = 1) -> Any:
        return image / 255


@mistake("without check_stated, for_source, for_model")
class EvaluatesNothing(Sound):
    def evaluation(self) -> Any:
        return None


@mistake("known_rows returned")
class RowsOfOne(Sound):
    def known_rows(self, place: int, result: Any) -> Any:
        return np.array([result.count])


@mistake("rows of opposite signs are the same results")
class AlwaysTheSame(Sound):
    def same_results(self, found: Any, known: Any, task: Any) -> bool:
        return True


@mistake("raised ValueError, which is none of EdgeVision's errors")
class ForeignError(Sound):
    def recognise(self, network: Any) -> Any:
        raise ValueError("no")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    kind, words = MISTAKES[name]
    task = kind.description("density") if name in ("KeepsLists", "TakesAnything") else CountTask("density")
    with pytest.raises(AssertionError, match=words):
        check_task(kind(), task, OUTPUTS, expected={"count": 2.0})
