"""Kinds of tasks come through the hook ``edgevision_tasks``: found, chosen, described and refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from edgevision import hookimpl
from edgevision.bundle.schema import manifest_schema
from edgevision.errors import MissingOptionError, OptionError, PluginError
from edgevision.plugins import discover, registry
from edgevision.tasks.description import ClassifyTask, task_from_dict, task_to_dict
from edgevision.tasks.kind import Claim, NetworkFacts, TaskOption, kind_of, task_kind, task_kinds
from edgevision.tasks.options import TaskOptions
from edgevision.tasks.task_choice import choose_task
from edgevision.tasks.texts import TaskTexts
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class CountTask:
    """The number of things in an image."""

    name: ClassVar[str] = "count"
    output: str
    most: int = 10

    def __post_init__(self) -> None:
        if self.most < 1:
            raise OptionError(f"most: expected 1 or more, got {self.most}")


def _kind(claim: Claim | None = Claim.STATED, name: str = "count", **others: Any) -> Any:
    facts = {
        **{"name": name, "noun": "counter", "activity": "counting", "verb": f"counts by {name}"},
        **{"ranks_classes": False, "takes_images": True, "description": CountTask, "texts": TaskTexts()},
        **{"schema": {"type": "object", "properties": {"name": {"const": name}}, "required": ["name"]}},
        "options": (TaskOption("most", "The most things."),),
        "recognise": lambda network: claim,
        **dict.fromkeys(("model", "lines", "draw", "evaluation"), print),
    }
    return SimpleNamespace(**{**facts, **others})


@pytest.fixture
def plugin() -> Iterator[Any]:
    """Registers kinds in this process."""
    registered = []

    def register(*kinds: Any) -> None:
        class Plugin:
            @hookimpl
            def edgevision_tasks(self) -> list[Any]:
                return list(kinds)

        name = f"counting-{len(registered)}"
        registry().register(Plugin(), name)
        registered.append(name)

    yield register
    for name in registered:
        registry().manager.unregister(name=name)
    registry().problems.clear()


def _network(*shape: int, **options: Any) -> NetworkFacts:
    outputs = (TensorSpec("out", (None, *shape), "float32"),)
    return NetworkFacts(outputs, (8, 8), TaskOptions(**options), registry(), "model.keras")


def test_the_built_in_kinds_come_through_the_hook_that_others_use() -> None:
    kinds = task_kinds()
    assert {"classify", "detect", "generate", "segment"} <= set(kinds)
    alone = discover([])
    assert alone.tasks() == {}
    for name, kind in kinds.items():
        assert kind.name == kind.description.name == name
        assert kind.noun
        assert kind.verb
        assert kind.texts.agreement
        assert kind.evaluation().for_source


def test_a_description_of_a_plugin_is_read_and_written_like_a_built_in_one(plugin: Any) -> None:
    document = {"name": "count", "output": "out", "most": 3}
    with pytest.raises(OptionError, match="task 'count' is not supported; supported are: .*classify, .*det"):
        task_from_dict(document, "manifest.json: task")
    plugin(_kind())
    task = task_from_dict(document, "manifest.json: task")
    assert task == CountTask("out", 3)
    assert task_to_dict(task) == document
    assert kind_of(task).noun == "counter"
    with pytest.raises(OptionError, match="manifest.json: task: most: expected 1 or more"):
        task_from_dict({**document, "most": 0}, "manifest.json: task")
    with pytest.raises(OptionError, match="unknown field 'least'"):
        task_from_dict({**document, "least": 0}, "manifest.json: task")
    with pytest.raises(OptionError, match="field 'most' is missing"):
        task_from_dict({"name": "count", "output": "out"}, "manifest.json: task")
    names = [
        part["properties"]["name"]
        for part in manifest_schema()["properties"]["task"]["oneOf"]
        if "$ref" not in part
    ]
    assert {"const": "count"} in names


def test_an_unknown_kind_names_the_available_ones() -> None:
    with pytest.raises(
        PluginError, match="no task 'segmant'; did you mean 'segment'.* available: .*classify"
    ):
        task_kind("segmant")


def test_a_kind_that_lacks_a_part_is_recorded_and_harms_no_other(plugin: Any) -> None:
    broken = _kind(name="broken")
    del broken.evaluation
    plugin(broken, _kind())
    assert "count" in task_kinds()
    assert "broken" not in task_kinds()
    assert [one.reason for one in registry().problems] == [
        "edgevision_tasks returned SimpleNamespace without evaluation"
    ]


def test_the_surest_claim_decides(plugin: Any) -> None:
    assert choose_task(_network(10)).kind.name == "classify"
    assert choose_task(_network(8, 8, 3)).kind.name == "generate"
    assert choose_task(_network(8, 8, 7)).kind.name == "segment"
    assert choose_task(_network(100, 6, decoder="yolo-end2end")).kind.name == "detect"
    plugin(_kind(Claim.CERTAIN))
    choice = choose_task(_network(10))
    assert choice.kind.name == "count"
    assert "classify" in choice.others
    assert "classifies images, pass --task classify" in choice.hint(_network(10))


@pytest.mark.parametrize(
    ("shape", "options", "named"),
    [
        ((8, 8, 7), {}, True),
        ((8, 8, 7), {"task": "segment"}, False),
        ((8, 8, 3), {}, False),
        ((10,), {}, False),
    ],
)
def test_the_hint_names_decoders_where_a_map_may_be_that_of_a_detector(
    shape: tuple[int, ...], options: dict[str, Any], named: bool
) -> None:
    network = _network(*shape, **options)
    assert ("for a detector pass --decoder" in choose_task(network).hint(network)) is named


def test_two_that_are_equally_sure_are_both_named(plugin: Any) -> None:
    plugin(_kind(Claim.CERTAIN), _kind(Claim.CERTAIN, "tally"))
    with pytest.raises(MissingOptionError, match="pass --task count or --task tally"):
        choose_task(_network(10))
    assert choose_task(_network(10, task="tally")).kind.name == "tally"


def test_what_no_kind_claims_is_asked_for_with_those_that_may_be_stated(plugin: Any) -> None:
    plugin(_kind(Claim.STATED))
    with pytest.raises(
        MissingOptionError, match="cannot infer the task .* if it counts by count, pass --task count"
    ):
        choose_task(_network(3, 4, 5, 6))


def test_a_kind_that_fails_to_look_at_the_outputs_is_passed_over(plugin: Any) -> None:
    def fails(network: NetworkFacts) -> Claim:
        raise ZeroDivisionError

    plugin(_kind(recognise=fails))
    assert choose_task(_network(10)).kind.name == "classify"


def test_options_are_those_of_the_stated_task(plugin: Any) -> None:
    plugin(_kind())
    assert choose_task(_network(10, task="count", task_options={"most": 3})).kind.name == "count"
    with pytest.raises(OptionError, match="task 'count' has no such option; it has: most"):
        choose_task(_network(10, task="count", task_options={"least": 3}))
    with pytest.raises(OptionError, match="pass --task NAME as well"):
        choose_task(_network(10, task_options={"most": 3}))


def test_a_description_says_which_outputs_are_read() -> None:
    assert ClassifyTask("probabilities", "softmax").read_outputs == {"probabilities": "softmax"}
