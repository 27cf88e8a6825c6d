"""load(): open a bundle or a bare file, decide what runs, open it, and build the model of its task."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from edgevision.backend import DoubtingBackend, SessionSettings
from edgevision.errors import MissingPluginError, OptionError
from edgevision.loading.bare import BareModel, bare_options, load_bare
from edgevision.loading.choice import Choice, Request
from edgevision.loading.first_load import ALWAYS, NEVER, checked_choice
from edgevision.loading.opening import open_for
from edgevision.loading.requests import request_of
from edgevision.observation import observers
from edgevision.plugins import Registry, registry
from edgevision.system.arguments import instance, one_path
from edgevision.system.log import info

if TYPE_CHECKING:  # a process that runs one bare classifier imports no bundles, and no other tasks
    from typing_extensions import Unpack

    from edgevision.bundle.manifest import ArtifactEntry
    from edgevision.bundle.storage import Bundle
    from edgevision.bundle.trust import TrustPolicy
    from edgevision.health import Check, HealthChecks
    from edgevision.isolation.settings import Isolation
    from edgevision.loading.fallback import Fallback
    from edgevision.loading.requirements import Requirements
    from edgevision.session import CheckedSession
    from edgevision.system.numeric import RealNumber
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.generation.build import Generator
    from edgevision.tasks.model_types import Model


class LoadOptions(TypedDict, total=False):
    """The keyword arguments of `load`, which has their meaning."""

    precision: str | None
    threads: int | None
    settings: SessionSettings | None
    selftest: str
    bare: BareModel | None
    tune: bool | None
    trust: TrustPolicy | None
    isolate: bool | Isolation
    deadline_ms: RealNumber | None
    standby: bool
    require: Requirements | None
    health_every_s: RealNumber | HealthChecks | None
    fallback: Sequence[str | Path | Fallback]


def load(  # noqa: PLR0913  (all but the first three by name)
    path: str | Path,
    backend: str | None = None,
    device: str | None = None,
    *,
    precision: str | None = None,
    threads: int | None = None,
    settings: SessionSettings | None = None,
    selftest: str = "first-load",
    bare: BareModel | None = None,
    tune: bool | None = None,
    trust: TrustPolicy | None = None,
    isolate: bool | Isolation = False,
    deadline_ms: RealNumber | None = None,
    standby: bool = False,
    require: Requirements | None = None,
    health_every_s: RealNumber | HealthChecks | None = None,
    fallback: Sequence[str | Path | Fallback] = (),
) -> Model:
    """Load a model on this machine: a `Classifier`, a `Detector` or a `Generator`, as the bundle says.

    What an argument asks for is what runs, or the call raises. Where no backend is asked for, the
    fastest configuration of the bundle runs. The bundle's order sets the precision: the first artifact
    counts that an available backend runs on which it was measured. It competes, on the CPU, with the
    artifacts of the same precision, each on every backend on which it was measured or whose own format it
    has, with one thread and with all cores. The fastest in 10,000 calls, opening included, wins if it gives
    its known answers; among those within 20 % the one with fewer threads, then the first in the bundle's
    order. This is measured once, in about 0.3 s of CPU time plus imports, and kept (see
    `edgevision.loading.cache`). An artifact that the bundle's order runs on a GPU or NPU stays there.

    The logger ``edgevision`` has the decision and the reason; ``model.session`` has backend, device,
    precision and threads.

    A bundle's manifest, its labels, the sizes of all files and the content of the artifact that runs are
    checked. Artifacts that do not run are not read; `edgevision.read_bundle` checks them all.

    An artifact that crashes its runtime, hangs or answers wrongly on its first load does so in a child
    process. Where no backend is asked for, it is left out with a warning, and the next one is taken.

    Args:
        path: a bundle, or a bare ``.tflite``, ``.xml`` or ``.onnx`` file.
        backend: name of the backend that must run it.
        device: name of the device that it must run on, such as ``cpu`` or ``cuda:0``.
        precision: of the bundle's artifact, such as ``int8``.
        threads: CPU threads for one call.
        settings: cache directory, execution precision, and the backend's own options; its device and
            threads are the arguments of these names.
        selftest: when the model is checked on this machine. ``first-load``: once for each bundle, backend,
            device, settings, processor and set of installed versions, in a child process, before anything is
            opened here: it opens the artifact and asks it the bundle's known answers, in the time of one
            opening and about 1 s. A bare file is run once, on zeros. What passed is kept (see
            `edgevision.loading.first_load`). ``always``: also on each load, on the session that is returned.
            ``never``: only an artifact that was compiled elsewhere and is not proved yet. On a backend that
            the artifact was neither converted for nor measured on, and where the backend reports that such a
            device may compute something else, ``first-load`` is ``always``. Where ``EDGEVISION_SELFTEST`` is
            set, it stands for ``first-load``.
        bare: options for a bare file.
        tune: `False` takes the bundle's order and the runtime's own number of threads, the same every
            time. `None` measures unless the environment says ``EDGEVISION_TUNE=0``.
        trust: who must have signed the bundle, beside the policy in ``EDGEVISION_TRUST``, which names PEM
            files with public keys or certificates. A bare file is refused under either.
        isolate: run the runtime in a process of its own, which is started anew, never forked: a crash, a hang
            or a leak of the runtime or a delegate ends that process, the call in it raises `ProcessError`,
            and another process takes over. The plugin must be an installed one. An `Isolation` instead of
            `True` sets the limits.
        deadline_ms: milliseconds that one run of the network may take, with `isolate`. Then its process is
            ended, and the call raises `DeadlineError`. `None` is a minute.
        standby: with `isolate`, keep a second process, with the model open and warm, to take over.
        require: what must hold for the loaded model.
        health_every_s: seconds between checks of a known answer, each one inference in a thread of its own,
            until the model is closed; a `HealthChecks` also says when an answer is overdue. `model.health()`
            has the result. `None` checks when that is called; with `fallback` it is 10.
        fallback: what answers if this model fails, in this order: names of backends, for the same model on
            them, paths of other bundles with the same task and labels, or `Fallback` objects. All are loaded
            now, with these arguments but for backend, device, precision, settings and `bare`; `require` must
            hold for each. One that cannot be loaded raises; the first may be missing, with a warning. The
            next one takes over when a call or a check of a known answer fails, with a warning, an event for
            observers, and the health ``degraded``; it answers the very call that failed. The model does not
            return to an earlier one by itself, except after `HealthChecks.return_after` good checks of it.

    Raises:
        BundleError: the bundle is damaged.
        TrustError: there is a trust policy, and the bundle is unsigned, signed by another, or changed since.
        OptionError: an argument is unknown, or a bare file needs an option that `bare` does not have.
        PluginError, MissingRuntimeError, DeviceError: the backend or device is not available.
        ArtifactError: the runtime refuses the artifact.
        InferenceError: the known answers were checked, and one differs.
        ProcessError: the runtime crashed or timed out on the first load.
        RequirementsError: the loaded model does not meet `require`.
    """
    path, plugins = one_path(path, "path"), registry()
    load_one = partial(
        _load_one,
        threads=threads,
        selftest=selftest,
        tune=tune,
        trust=trust,
        isolation=_isolation(isolate, deadline_ms, standby),
        require=_requirements(require),
        plugins=plugins,
    )
    checks = _health_checks(health_every_s)
    if isinstance(fallback, (tuple, list)) and not fallback:
        model = load_one(path, backend, device, precision, settings, bare)
        if checks is not None:
            model.watch(checks)
    else:
        from edgevision.loading.fallback import load_with_fallbacks

        first = path, backend, device, precision, settings, bare
        model = load_with_fallbacks(load_one, first, fallback, checks, plugins)
    if observers.listening:
        observers.call("edgevision_model_loaded", model=model, path=path)
    return model


def _load_one(  # noqa: PLR0913  (those of load)
    path: Path,
    backend: str | None,
    device: str | None,
    precision: str | None,
    settings: SessionSettings | None,
    bare: BareModel | None,
    *,
    threads: int | None,
    selftest: str,
    tune: bool | None,
    trust: TrustPolicy | None,
    isolation: Isolation | None,
    require: Requirements | None,
    plugins: Registry,
) -> Model:
    """One model, with arguments of `load`, of which the last ones hold for its fallbacks, too."""
    request = request_of(backend, device, precision, threads, settings, tune, selftest)
    request = replace(request, isolation=isolation)
    for_bundles = {"precision": precision, "selftest": request.selftest == ALWAYS, "tune": tune}
    described = bare_options(path, bare, for_bundles)
    if described is None:
        model = _load_bundle(path, request, plugins, trust)
    else:
        if trust is not None:
            from edgevision.bundle.trust import refuse_bare_file

            refuse_bare_file(path, trust)
        model = load_bare(path, request, described, plugins)
    if require is not None:
        _check(model, require, path)
    return model


def load_classifier(
    path: str | Path, backend: str | None = None, device: str | None = None, **options: Unpack[LoadOptions]
) -> Classifier:
    """Load a classifier, with the arguments of `load`.

    Raises:
        OptionError: the model has another task; the message names the function that loads it.
        EdgeVisionError: as `load`.
    """
    from edgevision.tasks.classify import Classifier

    model = load(path, backend, device, **options)
    if isinstance(model, Classifier):
        return model
    raise _refusal(model, path, "classifier")


def load_detector(
    path: str | Path, backend: str | None = None, device: str | None = None, **options: Unpack[LoadOptions]
) -> Detector:
    """Load a detector, with the arguments of `load`.

    Raises:
        OptionError: the model has another task; the message names the function that loads it.
        EdgeVisionError: as `load`.
    """
    from edgevision.tasks.detect import Detector

    model = load(path, backend, device, **options)
    if isinstance(model, Detector):
        return model
    raise _refusal(model, path, "detector")


def load_generator(
    path: str | Path, backend: str | None = None, device: str | None = None, **options: Unpack[LoadOptions]
) -> Generator:
    """Load a model that generates images, with the arguments of `load`.

    Raises:
        OptionError: the model has another task; the message names the function that loads it.
        EdgeVisionError: as `load`.
    """
    from edgevision.tasks.generation.build import Generator

    model = load(path, backend, device, **options)
    if isinstance(model, Generator):
        return model
    raise _refusal(model, path, "generator")


def _refusal(model: Model, path: str | Path, expected: str) -> OptionError:
    """Close a model of another task than `expected`, and return the error to raise."""
    from edgevision.tasks.kind import kind_of

    model.close()
    noun = kind_of(model.task).noun
    loader = f"load_{noun}" if f"load_{noun}" in globals() else "load"
    return OptionError(f"{Path(path)}: expected a {expected}, got a {noun}; load it with edgevision.{loader}")


def _load_bundle(path: Path, request: Request, plugins: Registry, trust: TrustPolicy | None) -> Model:
    from edgevision.bundle.storage import open_bundle
    from edgevision.tasks.task_model import model_of_task

    bundle = open_bundle(path, trust)
    choice = checked_choice(bundle, request, plugins)
    artifact = bundle.artifact(choice.entry)
    with ExitStack() as stack:
        session = stack.enter_context(open_for(request.isolation, choice.backend, artifact, choice.settings))
        manifest, entry = bundle.manifest, choice.entry
        try:
            model = model_of_task(
                session,
                manifest.task,
                manifest.preprocessing,
                bundle.labels,
                entry.score_calibration,
                plugins,
            )
        except MissingPluginError as error:
            from edgevision.bundle.provenance import with_install_command

            decoder = getattr(manifest.task, "decoder", "")
            raise with_install_command(error, manifest.provenance, "decoder", decoder) from error
        if _is_checked_here(path, choice, session.device, request.selftest):
            from edgevision.bundle.answers_on_session import check_bundle_answers

            check_bundle_answers(session, bundle, choice.entry)
        model.bundle_digest = bundle.digest
        model.input_gate = manifest.input_gate
        model.check_by(partial(_known_check, session, bundle, choice.entry))
        stack.pop_all()  # the model closes the session from here on
    return model


def _is_checked_here(path: Path, choice: Choice, device: str, mode: str) -> bool:
    """True if the very session must give its known answers, whether it did in a child or not.

    That is what the caller asked for; or the bundle has no evidence for the backend, or the backend may
    compute something else here.
    """
    doubt = choice.entry.unproved or ""
    if mode == ALWAYS or (mode == NEVER and not doubt):
        return mode == ALWAYS
    if doubt:
        doubt = f"{choice.entry.id} was compiled elsewhere, and is not proved yet: {doubt}"
    elif choice.backend.name not in choice.entry.backends:
        doubt = (
            f"{choice.entry.id} was neither converted for backend '{choice.backend.name}' nor measured on it"
        )
    elif isinstance(choice.backend, DoubtingBackend):
        doubt = choice.backend.doubt(choice.entry.precision, device)
    if doubt:
        info("%s: the known answers are checked: %s", path, doubt)
    return bool(doubt)


def _known_check(session: CheckedSession, bundle: Bundle, entry: ArtifactEntry) -> Check:
    from edgevision.bundle.answers_on_session import known_answer_check

    return known_answer_check(session, bundle, entry)


def _health_checks(stated: RealNumber | HealthChecks | None) -> HealthChecks | None:
    if stated is None:
        return None
    from edgevision.health import health_checks_of

    return health_checks_of(stated)


def _requirements(require: Requirements | None) -> Requirements | None:
    if require is None:
        return None
    from edgevision.loading.requirements import Requirements

    return instance(require, Requirements, "require")


def _check(model: Model, require: Requirements, path: Path) -> None:
    """Check what must hold for a model, and close it if that does not."""
    from edgevision.loading.requirements import check_requirements

    try:
        check_requirements(model, require, str(path))
    except BaseException:
        model.close()
        raise


def _isolation(isolate: bool | Isolation, deadline_ms: RealNumber | None, standby: bool) -> Isolation | None:
    """How the runtime is isolated; `None` if it is not."""
    if isolate is False and deadline_ms is None and standby is False:
        return None
    from edgevision.isolation.settings import isolation_of

    return isolation_of(isolate, deadline_ms, standby)
