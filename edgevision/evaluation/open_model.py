"""Models that are evaluated, opened on this machine: an artifact of a bundle, or a bare file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.bundle.answers_on_session import check_unproved
from edgevision.bundle.storage import read_bundle
from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation.evaluator import MeasuringEvaluator
from edgevision.evaluation.for_model import evaluator_for_model
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.run import measure, readable, workers_on
from edgevision.loading.bare import BareModel, bare_options, open_bare
from edgevision.loading.choice import Request
from edgevision.loading.first_load import checked_choice
from edgevision.metrics.measures import Measures
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.arguments import flag, instance, optional_text
from edgevision.system.progress import Progress
from edgevision.tasks.score_calibration import ScoreCalibration


@dataclass(frozen=True)
class RunSettings:
    """The artifact to run, its backend and device; as the arguments of `edgevision.load`.

    Attributes:
        backend, device, precision: required if given; `None` leaves the choice to `load`.
        settings: threads and other settings of `load`; `device` takes precedence over its device.
        tune: as for `load`.
        bare: options for a bare file.
    """

    backend: str | None = None
    device: str | None = None
    precision: str | None = None
    settings: SessionSettings = field(default_factory=SessionSettings)
    tune: bool | None = None
    bare: BareModel | None = None

    def __post_init__(self) -> None:
        for name in ("backend", "device", "precision"):
            object.__setattr__(self, name, optional_text(getattr(self, name), name))
        instance(self.settings, SessionSettings, "settings")
        if self.tune is not None:
            object.__setattr__(self, "tune", flag(self.tune, "tune"))
        if self.bare is not None:
            instance(self.bare, BareModel, "bare")


@dataclass(frozen=True)
class ArtifactRun:
    """An artifact, and the backend and device that it ran on.

    Attributes:
        bundle: path of the bundle or bare file.
        artifact: its id in the bundle; for a bare file the file's name.
        sha256, size_bytes: hash and size of the artifact.
        backend, version, device, precision: as in the evidence.
        score_calibration: temperature and operating point of a classifier, where it has them.
        bundle_digest: of the whole bundle; `None` for a bare file.
    """

    bundle: str
    artifact: str
    sha256: str
    size_bytes: int
    backend: str
    version: str
    device: str
    precision: str
    score_calibration: ScoreCalibration | None = None
    bundle_digest: str | None = None


@dataclass(frozen=True, eq=False)
class ModelAnswers:
    """The answers of one model.

    Attributes:
        evaluator: its evaluator, with the ground truth.
        answers: one per image.
    """

    evaluator: MeasuringEvaluator
    answers: Sequence[Any]

    @property
    def measures(self) -> Measures:
        """The metrics of the answers."""
        measures = self.evaluator.measure(self.answers)
        if measures is None:
            raise TypeError("internal error: the evaluator of a model has no ground truth")
        return measures


class Measuring(Protocol):
    """Where a model is run over the images that it is measured on."""

    def answers(
        self,
        opened: OpenModel,
        evaluator: MeasuringEvaluator,
        images: ImageSet,
        on_done: Callable[[int], None],
    ) -> Sequence[Any]:
        """The answers of a model, one per image, in the order of the set.

        Args:
            opened: the model.
            evaluator: its evaluator.
            images: one or more.
            on_done: called with the number of images done so far.

        Raises:
            InputError: an image cannot be read.
            InferenceError: a runtime failed.
        """
        ...

    def readable(self, images: ImageSet) -> ImageSet:
        """The images that can be decoded; the others are among its `left_out`."""
        ...


class MeasuringHere:
    """As `Measuring`: in this process, on the session that is open."""

    def answers(
        self,
        opened: OpenModel,
        evaluator: MeasuringEvaluator,
        images: ImageSet,
        on_done: Callable[[int], None],
    ) -> Sequence[Any]:
        """As `Measuring.answers`."""
        (answers,) = measure(evaluator, [opened.model_for(evaluator)], images, on_done, opened.workers)
        return answers

    def readable(self, images: ImageSet) -> ImageSet:
        """As `Measuring.readable`."""
        return readable(images)


_HERE = MeasuringHere()


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A model that is open on this machine.

    Attributes:
        facts: its task and its description.
        run: the artifact, with backend and device.
        workers: calls that run at once.
        settings: of its session.
        plugins: provide the decoder.
        model_for: the model that an evaluator's answers come from.
    """

    facts: ModelFacts
    run: ArtifactRun
    workers: int
    settings: SessionSettings
    plugins: Registry
    model_for: Callable[[MeasuringEvaluator], Any]

    def answers(
        self,
        images: ImageSet,
        paths: GroundTruthPaths,
        progress: Progress | None = None,
        measuring: Measuring = _HERE,
    ) -> ModelAnswers:
        """Run it over images; raises as `edgevision.evaluation.evaluate.evaluate`."""
        evaluator = evaluator_for_model(self.facts, images, paths, self.plugins)
        stage = f"measuring {self.facts.path.name} {self.facts.artifact}"

        def on_done(images_done: int) -> None:
            if progress is not None:
                progress(stage, images_done, len(images))

        return ModelAnswers(evaluator, measuring.answers(self, evaluator, images, on_done))


@contextmanager
def open_model(path: Path, images: ImageSet, on: RunSettings, plugins: Registry) -> Iterator[OpenModel]:
    """Open a model for the images that it will run over; the end of the block closes it.

    Args:
        path: a bundle, or a bare file.
        images: decide how many calls run at once, each with its share of the threads.
        on: what runs.
        plugins: of this process.

    Raises:
        OptionError: there are options for bare files, and this is a bundle; or others are wrong.
        EdgeVisionError: as `edgevision.load`.
    """
    request = _request(on)
    workers, settings = workers_on(images, request.settings)
    described = bare_options(path, on.bare, {"precision": on.precision})
    if described is not None:
        bare = open_bare(path, replace(request, settings=settings), described, plugins)
        with bare.recognizer(path) as model:
            facts = ModelFacts.of_bare(path, model)
            run = _run(facts, bare.artifact, bare.backend, model.session)
            yield OpenModel(facts, run, workers, settings, plugins, lambda evaluator: model)
        return
    bundle = read_bundle(path)
    choice = checked_choice(bundle, request, plugins)
    artifact, facts = bundle.artifact(choice.entry), ModelFacts.of_bundle(bundle, choice.entry)
    # The choice of `load`, but with threads shared among parallel calls.
    with open_session(choice.backend, artifact, settings) as session:
        check_unproved(session, bundle, choice.entry)
        run = _run(facts, artifact, choice.backend, session)
        yield OpenModel(facts, run, workers, settings, plugins, lambda evaluator: evaluator.model(session))


def _request(on: RunSettings) -> Request:
    settings = replace(on.settings, device=on.device or on.settings.device)
    return Request(on.backend, on.precision, settings, on.tune)


def _run(facts: ModelFacts, artifact: Artifact, backend: Backend, session: CheckedSession) -> ArtifactRun:
    return ArtifactRun(
        str(facts.path),
        facts.artifact,
        artifact.sha256,
        artifact.size_bytes,
        session.backend,
        backend.version(),
        session.device,
        session.precision,
        facts.score_calibration,
        facts.bundle_digest,
    )
