"""The task of a network without a manifest: stated by the caller, or claimed by a kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgevision.errors import MissingOptionError, OptionError
from edgevision.tasks.kind import Claim, NetworkFacts, TaskKind, task_kind, task_kinds


@dataclass(frozen=True)
class TaskChoice:
    """The kind of a network's task.

    Attributes:
        kind: the chosen one.
        others: names of those that the network may be of if the caller says so.
        claim: how sure the choice is; certain if the caller stated it.
    """

    kind: TaskKind
    others: tuple[str, ...] = ()
    claim: Claim = Claim.CERTAIN

    def hint(self, network: NetworkFacts) -> str:
        """For a question about a network: what else it may be, and how to state that; empty if nothing."""
        other = f"if the model {_listed(self.others)}" if self.others else ""
        unsure = self.claim < Claim.CERTAIN and _may_need_a_decoder(network)
        detector = "for a detector pass --decoder NAME" if unsure else ""
        return "; ".join(filter(None, (other, detector)))

    @contextmanager
    def hinted(self, network: NetworkFacts) -> Iterator[None]:
        """Add `hint` to the last question that the block asks about a network.

        Raises:
            MissingOptionError: the block raised it; with the hint.
        """
        try:
            yield
        except MissingOptionError as error:
            *questions, last = error.questions
            hint = self.hint(network)
            raise MissingOptionError(error.where, *questions, f"{last}; {hint}" if hint else last) from None


def choose_task(network: NetworkFacts) -> TaskChoice:
    """The kind that the caller states, or else the one that claims the network most surely.

    Raises:
        PluginError: no plugin provides the stated kind.
        MissingOptionError: several kinds claim it alike, or none does.
        OptionError: the options contradict the network, or are for another task.
    """
    options = network.options
    if options.task is not None:
        kind = task_kind(options.task)
        _check_options(kind, options.task_options)
        return TaskChoice(kind)
    if options.task_options:
        name = next(iter(options.task_options))
        raise OptionError(f"--task-option {name}: pass --task NAME as well, or remove it")
    claims = _claims(network)
    surest = max((claim for _, claim in claims), default=Claim.STATED)
    if surest == Claim.STATED:
        raise _unrecognised(network, [kind for kind, _ in claims])
    chosen = [kind for kind, claim in claims if claim == surest]
    if len(chosen) > 1:
        names = " or ".join(f"--task {kind.name}" for kind in chosen)
        raise MissingOptionError(
            network.where, f"its outputs may be those of several tasks; pass {names}, as it was trained"
        )
    return TaskChoice(chosen[0], tuple(kind.name for kind, _ in claims if kind is not chosen[0]), surest)


def _claims(network: NetworkFacts) -> list[tuple[TaskKind, Claim]]:
    answers = network.plugins.answers(task_kinds(), lambda kind: kind.recognise(network))
    return [(kind, claim) for kind, claim in answers if claim is not None]


def _may_need_a_decoder(network: NetworkFacts) -> bool:
    """True for outputs that a detector may have and that no decoder recognises."""
    from edgevision.tasks.base import image_outputs
    from edgevision.tasks.recognition import are_scores, recognised_decoder

    options = network.options
    if network.input_size_wh is None or options.output or options.score_kind:
        return False
    outputs = image_outputs(network.outputs)
    if are_scores(outputs):
        return False
    return recognised_decoder(outputs, network.input_size_wh, network.plugins) is None


def _unrecognised(network: NetworkFacts, stated: list[TaskKind]) -> MissingOptionError:
    from edgevision.tasks.base import image_outputs
    from edgevision.tasks.recognition import unrecognised

    decoders = network.plugins.decoders()
    error = unrecognised(network.where, image_outputs(network.outputs), decoders)
    if not stated:
        return error
    names = tuple(kind.name for kind in stated)
    return MissingOptionError(error.where, f"{error.questions[0]}; if it {_listed(names)}")


def _listed(names: tuple[str, ...]) -> str:
    return "; if it ".join(f"{task_kind(name).verb}, pass --task {name}" for name in names)


def _check_options(kind: TaskKind, stated: Mapping[str, Any]) -> None:
    """Refuse an option that a kind does not have.

    Raises:
        OptionError: there is one; names those that it has.
    """
    known = [option.name for option in kind.options]
    for name in stated:
        if name not in known:
            raise OptionError(
                f"--task-option {name}: task '{kind.name}' has no such option; it has: "
                f"{', '.join(known) or 'none'}"
            )
