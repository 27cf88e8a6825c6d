"""Opens models in a child process, and asks them their known answers there."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.bundle.answers_on_session import check_bundle_answers
from edgevision.bundle.storage import Bundle, open_bundle
from edgevision.errors import (
    BundleError,
    DeviceError,
    EdgeVisionError,
    MissingRuntimeError,
    PluginError,
    PluginFailedError,
    ProcessError,
)
from edgevision.execution.first_run import class_name, first_run, requested_backend, settings_fields
from edgevision.execution.limits import limit_this_process
from edgevision.execution.messages import Message
from edgevision.execution.worker import Worker
from edgevision.loading.choice import Choice, Decision, Request, decide_measured, decide_unmeasured
from edgevision.loading.configurations import configurations, entries_of
from edgevision.plugins import Registry, registry
from edgevision.plugins.door import name_with_maker
from edgevision.session import open_session
from edgevision.system.interpreter import check_can_start
from edgevision.system.log import info, warning

#: Seconds for a model, and for each MB of it, on the CPU. A GPU or NPU may compile for minutes.
_SECONDS, _SECONDS_PER_MB, _SECONDS_TO_COMPILE = 30.0, 1.0, 600.0

_log = logging.getLogger("edgevision")


class _NotInChildError(Exception):
    """The child cannot do it: the reason is for the log."""


def decide_in_child(
    bundle: Bundle, request: Request, plugins: Registry, decision: Decision | None
) -> Decision:
    """Decide what runs and check it in a child; in this process where a child cannot have its plugins.

    Args:
        bundle, request, plugins: as for `edgevision.loading.choice.choose`.
        decision: what runs, if that is known without measuring.

    Raises:
        EdgeVisionError: as `edgevision.loading.first_load.checked_choice`.
    """
    what = f"{bundle.path}: {'the first load' if decision is None else decision.choice}"
    on_cpu = decision is None or _runs_on_cpu(decision.choice.backend, decision.choice.settings)
    seconds = _time_limit(sum(file.size_bytes for file in bundle.manifest.files()), on_cpu)
    with Worker() as worker:
        child = _Child(worker, bundle, plugins, seconds)
        try:
            return child.decide(request, what)
        except _NotInChildError as error:
            info("%s: checked in this process, not in one of its own: %s", bundle.path, error)
            return decide_checked(bundle, request, plugins)
        except ProcessError as error:
            if request.backend is not None:
                raise ProcessError(f"{error}; {_next_step(bundle)}") from error
            return child.decide_without_culprits(request, error)


def run_in_child(where: object, artifact: Artifact, backend: Backend, settings: SessionSettings) -> None:
    """Open an artifact in a child and run it once on zeros; raises as `check_bare`."""
    what = f"{where} on {name_with_maker(backend)}"
    try:
        _check_can_start()
        _check_travels(settings)
        seconds = _time_limit(artifact.size_bytes, _runs_on_cpu(backend, settings))
        with Worker() as worker:
            first_run(worker, artifact, backend, settings, {}, what, seconds)
    except PluginFailedError:
        raise
    except (_NotInChildError, PluginError) as error:
        info("%s: is opened in this process, not in one of its own first: %s", where, error)
    except ProcessError as error:
        raise ProcessError(
            f"{error}; it was not opened here: pass another backend, or convert it again"
        ) from error


def answers_in_child(worker: Worker, bundle: Bundle, choice: Choice) -> tuple[str, float]:
    """The device that ran a choice in a child, and its largest difference from a known answer.

    In this process where a child cannot have the backend.

    Raises:
        ProcessError: the runtime was killed, ended, or timed out.
        EdgeVisionError: it refused the artifact, or an answer differs.
    """
    entry, backend, settings = choice
    on_cpu = _runs_on_cpu(backend, settings)
    seconds = _time_limit(sum(file.size_bytes for file in entry.files), on_cpu)
    fields = {
        "bundle": str(bundle.path.absolute()),
        "artifact": entry.id,
        "backend": backend.name,
        "class": class_name(backend),
        "settings": settings_fields(settings),
        "seconds": seconds,
    }
    try:
        _check_can_start()
        _check_travels(settings)
        what = f"{entry.id} on {name_with_maker(backend)}"
        answer = worker.ask(_answers_requested, Message(fields), what=what, timeout_s=seconds).fields
    except PluginFailedError:
        raise
    except (_NotInChildError, PluginError):
        return _answers(bundle, choice)
    return answer["device"], answer["difference"]


def _answers_requested(request: Message) -> Message:
    """Do what `answers_in_child` asks for: a job of the worker."""
    fields = request.fields
    limit_this_process(fields["seconds"])
    backend = requested_backend(fields)
    bundle = open_bundle(fields["bundle"], check_trust=False)
    entry = next(one for one in bundle.manifest.artifacts if one.id == fields["artifact"])
    device, difference = _answers(bundle, Choice(entry, backend, SessionSettings(**fields["settings"])))
    return Message({"device": device, "difference": difference})


def _answers(bundle: Bundle, choice: Choice) -> tuple[str, float]:
    with open_session(choice.backend, bundle.artifact(choice.entry), choice.settings) as session:
        return session.device, check_bundle_answers(session, bundle, choice.entry)


def decide_checked(bundle: Bundle, request: Request, plugins: Registry) -> Decision:
    """Decide what runs, open it, and check its known answers, in this process.

    Without a backend in the request, what fails is left out with a warning, and the next one is taken.
    """
    failures: list[EdgeVisionError] = []
    while True:
        try:
            decision = decide_unmeasured(bundle, request, plugins)
            decision = decision or decide_measured(bundle, request, plugins)
        except (PluginError, DeviceError):
            if failures:
                raise failures[0] from None
            raise
        try:
            _answers(bundle, decision.choice)
        except BundleError:
            raise  # damage is never passed over
        except EdgeVisionError as error:
            if request.backend is not None or isinstance(error, MissingRuntimeError):
                raise
            failures.append(error)
            _warn_left_out(bundle, str(decision.choice), error)
            choice = decision.choice
            pair = choice.entry.id, choice.backend.name
            request = replace(request, left_out=request.left_out | {pair})
        else:
            return decision


class _Child:
    """Asks a worker about one bundle."""

    def __init__(self, worker: Worker, bundle: Bundle, plugins: Registry, seconds: float) -> None:
        self._worker = worker
        self._bundle = bundle
        self._plugins = plugins
        self._seconds = seconds

    def decide(self, request: Request, what: str) -> Decision:
        """The decision of the child, checked there.

        Raises:
            _NotInChildError: the child has not all plugins of this process, or cannot be started.
            ProcessError: it was killed, ended, or timed out.
            EdgeVisionError: as `decide_checked`.
        """
        _check_can_start()
        _check_travels(request.settings)
        fields = {
            "bundle": str(self._bundle.path.absolute()),
            "digest": self._bundle.digest,
            "backend": request.backend,
            "precision": request.precision,
            "tune": request.may_tune,
            "settings": settings_fields(request.settings),
            "left_out": sorted(request.left_out),
            "backends": _classes(self._plugins, request.backend),
            "seconds": self._seconds,
        }
        try:
            answer = self._worker.ask(
                _decide_requested, Message(fields), what=what, timeout_s=self._seconds
            ).fields
        except PluginFailedError:
            raise
        except PluginError as error:
            raise _NotInChildError(str(error)) from error
        if "absent" in answer:
            raise _NotInChildError(answer["absent"])
        for line in answer["warnings"]:
            warning("%s", line)
        entry = next(one for one in self._bundle.manifest.artifacts if one.id == answer["artifact"])
        settings = replace(request.settings, device=answer["device"], threads=answer["threads"])
        choice = Choice(entry, self._plugins.backend(answer["backend"]), settings)
        return Decision(choice, answer["reason"], answer["measured"])

    def decide_without_culprits(self, request: Request, error: ProcessError) -> Decision:
        """The decision without those that kill or hang their process, each of which is tried on its own.

        Raises:
            ProcessError: none is left.
        """
        pairs = _pairs(self._bundle, request, self._plugins)
        left_out = set(request.left_out)
        passed: list[Decision] = []
        for pair in pairs:
            alone = replace(request, tune=False, left_out=request.left_out | (set(pairs) - {pair}))
            artifact, backend = pair
            try:
                passed.append(self.decide(alone, f"{self._bundle.path}: {artifact} on {backend}"))
            except BundleError:
                raise
            except _NotInChildError:
                left_out.add(pair)
            except EdgeVisionError as failure:
                left_out.add(pair)
                if isinstance(failure, (PluginError, DeviceError)) and not isinstance(
                    failure, PluginFailedError
                ):
                    continue  # it is not available here
                _warn_left_out(self._bundle, f"{artifact} on {backend}", failure)
        if not passed:
            raise ProcessError(f"{error}; {_next_step(self._bundle)}") from error
        if len(passed) == 1 or not request.may_tune:
            return passed[0]
        return self.decide(
            replace(request, left_out=frozenset(left_out)), f"{self._bundle.path}: the first load"
        )


def _decide_requested(request: Message) -> Message:
    """Do what `_Child.decide` asks for: the job of the worker."""
    fields = request.fields
    limit_this_process(fields["seconds"])
    plugins = registry()
    own = _classes(plugins, fields["backend"])
    if own != fields["backends"]:
        names = sorted({name for name, _ in fields["backends"].items() ^ own.items()})
        return Message({"absent": f"these backends are not the same there: {', '.join(names)}"})
    # The caller has checked the signature, and hands over the digest that it covers.
    bundle = open_bundle(fields["bundle"], check_trust=False)
    if bundle.digest != fields["digest"]:
        raise BundleError(f"{bundle.path}: was replaced while it was loaded; load it again")
    settings = SessionSettings(**fields["settings"])
    left_out = frozenset((artifact, backend) for artifact, backend in fields["left_out"])
    asked = Request(fields["backend"], fields["precision"], settings, fields["tune"], left_out=left_out)
    with _warnings() as warnings:
        choice, reason, measured = decide_checked(bundle, asked, plugins)
    return Message(
        {
            "artifact": choice.entry.id,
            "backend": choice.backend.name,
            "device": choice.settings.device,
            "threads": choice.settings.threads,
            "reason": reason,
            "measured": measured,
            "warnings": warnings,
        }
    )


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what is logged as a warning, for the caller's own log."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Collector(logging.WARNING)
    _log.addHandler(handler)
    try:
        yield lines
    finally:
        _log.removeHandler(handler)


def _pairs(bundle: Bundle, request: Request, plugins: Registry) -> list[tuple[str, str]]:
    """Every artifact of the precision on every backend that may run it, in the bundle's order."""
    by_order = [
        (entry.id, name) for entry in entries_of(bundle, request.precision) for name in entry.backends
    ]
    possible = configurations(bundle, request.precision, request.settings.threads, plugins)
    pairs = dict.fromkeys([*by_order, *(one.pair for one in possible)])
    return [pair for pair in pairs if pair not in request.left_out]


def _classes(plugins: Registry, backend: str | None) -> dict[str, str]:
    """Name -> class of the backends that count for a request: both processes must have the same."""
    backends = plugins.backends() if backend is None else {backend: plugins.backend(backend)}
    return {name: class_name(one) for name, one in backends.items()}


def _check_can_start() -> None:
    """Raise where no child can be started: in a frozen program it would be the program itself, once more."""
    if getattr(sys, "frozen", False):
        raise _NotInChildError("this program has no Python of its own to start")
    try:
        check_can_start()
    except ProcessError as error:
        raise _NotInChildError(str(error)) from error


def _check_travels(settings: SessionSettings) -> None:
    try:
        json.dumps(dict(settings.options))
    except (TypeError, ValueError) as error:
        raise _NotInChildError(f"an option of the backend is not a JSON value: {error}") from error


def _time_limit(size_bytes: int, on_cpu: bool) -> float:
    return _SECONDS + _SECONDS_PER_MB * size_bytes / 1e6 if on_cpu else _SECONDS_TO_COMPILE


def _runs_on_cpu(backend: Backend, settings: SessionSettings) -> bool:
    if settings.device is not None:
        return settings.device == "cpu"
    try:
        return bool(backend.devices()[0].name == "cpu")
    except Exception:  # the child reports it
        return True


def _warn_left_out(bundle: Bundle, choice: str, error: EdgeVisionError) -> None:
    _log.warning("%s: %s is left out, because it failed its first load here: %s", bundle.path, choice, error)


def _next_step(bundle: Bundle) -> str:
    return (
        f"the bundle was not loaded: run edgevision selftest {bundle.path} to see what runs on this machine, "
        "then pass that backend; or convert again"
    )
