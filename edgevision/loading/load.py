"""load(): a bundle, or a bare artifact, and this machine give a model that is ready to be called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from edgevision.backend import (
    DoubtingBackend,
    SessionSettings,
)
from edgevision.bundle.layout import is_bundle
from edgevision.errors import EdgeVisionError, OptionError
from edgevision.loading.bare import BareModel, load_bare
from edgevision.plugins import Registry, registry
from edgevision.session import CheckedSession, open_session

if TYPE_CHECKING:  # a process that runs one bare classifier imports no bundles, and no other tasks
    from typing_extensions import Unpack

    from edgevision.bundle.manifest import ArtifactEntry
    from edgevision.bundle.storage import Bundle
    from edgevision.loading.choice import Choice
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.generation.build import Generator
    from edgevision.tasks.kinds import Model

#: ``0``: `load` does not measure, unless its argument `tune` says so.
TUNE_VARIABLE = "EDGEVISION_TUNE"


class LoadOptions(TypedDict, total=False):
    """The keyword arguments of `load`, which has their meaning."""

    precision: str | None
    threads: int | None
    settings: SessionSettings | None
    selftest: bool
    bare: BareModel | None
    tune: bool | None


def load(  # noqa: PLR0913  (all but the first three by name)
    path: str | Path,
    backend: str | None = None,
    device: str | None = None,
    *,
    precision: str | None = None,
    threads: int | None = None,
    settings: SessionSettings | None = None,
    selftest: bool = False,
    bare: BareModel | None = None,
    tune: bool | None = None,
) -> Model:
    """Load a model on this machine: a `Classifier`, a `Detector` or a `Generator`, as the bundle says.

    Of a bundle's artifacts the first is taken that a backend it was measured on can run here: that is
    the bundle's order. Where no backend is asked for, that artifact then competes, on this machine's
    CPU, with those of the same precision, each on every backend that it was measured on or whose own
    format it has, with one thread and with all cores. The fastest in 10,000 calls, opening counted in,
    wins if it gives its known answers; within 10 % the one with fewer threads, then the first in the
    bundle's order. That is measured once, in about 0.3 s of CPU time beside imports, and kept (see
    `edgevision.loading.cache`). No other precision is taken for being faster, and what the bundle's
    order puts on a GPU or NPU stays there. The logger ``edgevision`` tells what was chosen and why;
    ``model.session`` has its backend, device, precision and threads.

    What is asked for by an argument is what runs, or the call raises.

    Args:
        path: a bundle, or a bare ``.tflite``, ``.xml`` or ``.onnx`` file.
        backend: name of the backend that must run it.
        device: name of the device that it must run on, such as ``cpu`` or ``cuda:0``.
        precision: of the bundle's artifact, such as ``int8``.
        threads: CPU threads for one call.
        settings: cache directory, execution precision, and the backend's own options; its device and
            threads are the arguments of these names.
        selftest: check the bundle's known answers on this device before the model is returned. Done in
            any case where the backend knows that such a device may compute something else.
        bare: what a bare file does not say of itself.
        tune: `False` takes the bundle's order and the runtime's own number of threads, the same every
            time. `None` measures unless the environment says ``EDGEVISION_TUNE=0``.

    Raises:
        BundleError: the bundle is damaged.
        OptionError: an argument is unknown, or a bare file leaves open what `bare` does not say.
        PluginError, MissingRuntimeError, DeviceError: what was asked for cannot be had here.
        ArtifactError: the runtime refuses the artifact.
        InferenceError: a known answer is not given.
    """
    path, settings = Path(path), _with(settings or SessionSettings(), device, threads)
    plugins = registry()
    if not is_bundle(path):
        _check_bare(path, {"precision": precision, "selftest": selftest, "tune": tune})
        return load_bare(path, backend, settings, bare or BareModel(), plugins)
    if bare is not None:
        raise OptionError(
            f"{path}: a bundle says itself what its input takes; leave out the options for bare files"
        )
    from edgevision.bundle.storage import read_bundle

    bundle = read_bundle(path)
    choice = choose_artifact(bundle, backend, settings, precision, plugins, tune)
    model = _load_entry(bundle, choice, plugins)
    if selftest or _is_doubted(path, choice, model.session.device):
        from edgevision.bundle.known_answers import check_known_answers, read_known_answers

        content = bundle.read(bundle.manifest.selftest)
        answers = read_known_answers(content, bundle.manifest.preprocessing, f"{path}: selftest")
        try:
            check_known_answers(model.session, answers, choice.entry.id, choice.entry.precision)
        except EdgeVisionError:
            model.close()
            raise
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
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector

    model = load(path, backend, device, **options)
    if not isinstance(model, (Classifier, Detector)):
        return model
    raise _refusal(model, path, "generator")


def _refusal(model: Model, path: str | Path, expected: str) -> OptionError:
    """Close a model of another task than `expected`, and return the error to raise."""
    model.close()
    task = _task_noun(model)
    return OptionError(f"{path}: expected a {expected}, got a {task}; load it with edgevision.load_{task}")


def _task_noun(model: Model) -> str:
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector

    if isinstance(model, Classifier):
        return "classifier"
    return "detector" if isinstance(model, Detector) else "generator"


def _check_bare(path: Path, given: Mapping[str, object]) -> None:
    """Refuse what only a bundle can give."""
    for name, value in given.items():
        if value:
            raise OptionError(f"{path}: {name} is for bundles, and this is a bare file; leave it out")


def _is_doubted(path: Path, choice: Choice, device: str) -> bool:
    """Whether the backend itself knows why this machine may compute something else."""
    if not isinstance(choice.backend, DoubtingBackend):
        return False
    doubt = choice.backend.doubt(choice.entry.precision, device)
    if doubt:
        import logging

        logging.getLogger("edgevision").info("%s: known answers are checked: %s", path, doubt)
    return bool(doubt)


def _with(settings: SessionSettings, device: str | None, threads: int | None) -> SessionSettings:
    """`settings`, with what the arguments of their own say."""
    for name, given in (("device", device), ("threads", threads)):
        there = getattr(settings, name)
        if None not in (given, there) and given != there:
            raise OptionError(f"{name}: {given!r} and settings.{name} {there!r} contradict each other")
    return replace(
        settings,
        device=device or settings.device,
        threads=settings.threads if threads is None else threads,
    )


def _load_entry(bundle: Bundle, choice: Choice, plugins: Registry) -> Model:
    session = open_session(choice.backend, bundle.artifact(choice.entry), choice.settings)
    try:
        return _model(session, bundle, choice.entry, plugins)
    except EdgeVisionError:
        session.close()
        raise


def _model(session: CheckedSession, bundle: Bundle, entry: ArtifactEntry, plugins: Registry) -> Model:
    from edgevision.tasks.description import ClassifyTask, GenerateTask

    task, preprocessing, labels = bundle.manifest.task, bundle.manifest.preprocessing, bundle.labels
    if isinstance(task, GenerateTask):
        from edgevision.tasks.generation.build import build_generator

        return build_generator(session, task, preprocessing, labels)
    if preprocessing is None:
        raise OptionError(f"task '{task.name}': expected a preprocessing for its images, got none")
    if isinstance(task, ClassifyTask):
        from edgevision.tasks.classify import Classifier

        return Classifier(
            session, preprocessing, labels, task.score_kind, task.output, entry.score_calibration
        )
    from edgevision.tasks.detect import Detector

    return Detector(session, preprocessing, labels, task, plugins.decoder(task.decoder))


def choose_artifact(
    bundle: Bundle,
    backend: str | None,
    settings: SessionSettings,
    precision: str | None,
    plugins: Registry,
    tune: bool | None = None,
) -> Choice:
    """The artifact that `load` takes, the backend that it takes it with, and how; see there.

    Raises:
        OptionError: the bundle has no artifact that fits.
        PluginError, MissingRuntimeError: the backend, or none that fits, can be had here.
    """
    from edgevision.loading.choice import candidates, first_choice

    if backend is None and _may_tune(tune, settings):
        possible = candidates(bundle, settings, precision, plugins)
        if len(possible) > 1:
            from edgevision.loading.race import tuned_choice

            return tuned_choice(bundle, settings, precision, possible, plugins)
    return first_choice(bundle, backend, settings, precision, plugins)


def _may_tune(tune: bool | None, settings: SessionSettings) -> bool:
    """Options are one backend's own, and a GPU or NPU has no rival: with either the order decides."""
    if settings.options or settings.device not in (None, "cpu"):
        return False
    return tune if tune is not None else os.environ.get(TUNE_VARIABLE) != "0"
