"""convert(): a trained model and device targets go in, a bundle with evidence comes out."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgevision import __version__
from edgevision.artifact import CALIBRATED, Artifact
from edgevision.bundle import EVIDENCE, LABELS, SELFTEST, check_output, file_entry, write_bundle
from edgevision.converter import ActivationSource, CalibrationData, Converter, Source, SourceReader
from edgevision.errors import (
    AgreementError,
    ConversionError,
    InputError,
    OptionError,
    PluginError,
    SourceError,
)
from edgevision.evaluation.calibration_checks import check_images, refuse_warnings
from edgevision.evaluation.calibration_coverage import SAMPLE, coverage_findings, measure_coverage
from edgevision.evaluation.calibration_facts import Coverage, Finding
from edgevision.evaluation.evidence import Evidence, SetFacts, evidence_json, this_machine
from edgevision.evaluation.image_sets import ImageSet
from edgevision.evaluation.input_readings import check_reading
from edgevision.evaluation.measuring import Candidate, judge, known_answers, measure
from edgevision.evaluation.proof import TaskProof
from edgevision.evaluation.proofs import TaskOptions, proof_of
from edgevision.evaluation.seed_sets import SeedSet
from edgevision.evaluation.seeded_proof import calibration_seeds
from edgevision.evaluation.source_session import SourceSession
from edgevision.evaluation.synthetic_set import IMAGES, SYNTHETIC, synthetic_finding, synthetic_set
from edgevision.manifest import ArtifactEntry, FileEntry, Manifest, SourceEntry
from edgevision.plan import PlannedArtifact, bench_for, plan_artifacts
from edgevision.plugins import Registry, registry
from edgevision.selftest import Selftest, write_selftest
from edgevision.session import CheckedSession, open_session
from edgevision.target import find_target, load_targets
from edgevision.tasks.description import GenerateTask

#: Told (what is being done, steps done, steps in all).
Progress = Callable[[str, int, int], None]

#: A set of images as a caller may name it.
Images = str | Path | ImageSet

#: How many images' time a conversion takes, for the progress bar alone.
_STEPS_OF_CONVERSION = 400

_CALIBRATION_CALLS = 500
_EVALUATION_SEEDS = 32


@dataclass(frozen=True)
class ConversionSettings:
    """How a model is converted, beside what goes in and what comes out.

    Attributes:
        task: what the model itself does not tell of its input, outputs and classes.
        min_agreement: least share of evaluation images on which an artifact and the model must
            decide alike, 0…1; `None` takes a limit that suits task and precision
            (`TaskProof.least_agreement`).
        calibration_samples, evaluation_samples: at most so many images of each set, spread over
            its classes; `None` takes all. Of networks that make images of a seed: calls of the network
            that it is calibrated on, and seeds that it is measured on (`None` is 500 and 32).
        strict: refuse a calibration set that there is a warning about, before any conversion.
        trust_source: run code that the model carries.
        force: replace a bundle that is there.
        targets_files: TOML files with more targets.
    """

    task: TaskOptions = field(default_factory=TaskOptions)
    min_agreement: float | None = None
    calibration_samples: int | None = 500
    evaluation_samples: int | None = None
    strict: bool = False
    trust_source: bool = False
    force: bool = False
    targets_files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.min_agreement is not None and not 0.0 <= self.min_agreement <= 1.0:
            raise OptionError(f"min_agreement: expected 0 to 1, got {self.min_agreement}")
        for name in ("calibration_samples", "evaluation_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name}: expected 1 or more, got {value}")


def convert(
    source: str | Path,
    output: str | Path,
    *,
    targets: Sequence[str],
    evaluation: Images | None = None,
    calibration: Images | None = None,
    precisions: Sequence[str] = (),
    settings: ConversionSettings | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """Convert a trained model for devices, and prove each artifact against it.

    Args:
        source: ``.keras``, ``.h5``, or a SavedModel directory.
        output: the bundle to be written, ``NAME.evb``.
        targets: names of device profiles, one or more.
        evaluation: images that the evidence is measured on: a folder, a folder a class, or a
            zip of either. Neither set is given for networks that make images of a seed
            (`TaskOptions.generation`): they are calibrated and measured on seeds.
        calibration: images that set the ranges of activations, for int8 and int16x8. Those that
            are in the evaluation set as well are left out of that. The word ``synthetic`` stands for
            images that are made from the model itself, by its batch normalizations (`synthetic_set`).
        precisions: that each target gets, of those that it can run; by default the target's
            first.
        settings: all else.
        progress: told of every step.

    Returns:
        The evidence, which is in the bundle as well.

    Raises:
        OptionError: an option is missing, unknown or contradicts another.
        SourceError: the model cannot be read.
        InputError: an image set is empty or has a broken image; or, with `ConversionSettings.strict`,
            there is a warning about the calibration set.
        PluginError, MissingRuntimeError, DeviceError: a converter or backend cannot be had here.
        ConversionError: an artifact cannot be made.
        AgreementError: an artifact does not agree with the model closely enough. Nothing is written.
        OutputError: the bundle cannot be written. Nothing is left behind.
    """
    source, output, settings = Path(source), Path(output), settings or ConversionSettings()
    plugins = registry()
    known = load_targets(settings.targets_files, plugins)
    planned = plan_artifacts([find_target(name, known) for name in targets], precisions)
    check_output(output, settings.force)
    reader = _find_reader(source, plugins)
    benches = [bench_for(one, plugins) for one in planned]
    sets = _image_sets(evaluation, calibration, planned, settings)
    steps = _Steps(progress, len(planned), len(sets.evaluation))

    steps.next(f"reading {source.name}")
    model = reader.read(source, trust_source=settings.trust_source, input_size_wh=settings.task.image.size_wh)
    proof = proof_of(model, settings.task, sets.evaluation, plugins)
    source_session = SourceSession(model)
    if sets.synthetic:
        steps.next("making calibration images", 0)
    sets = _known_to_fit(sets, model, proof, settings)
    reference = proof.model(CheckedSession(source_session, model.kind))
    data = None if sets.calibration is None else proof.network_inputs(source_session, sets.calibration)
    candidates, models = [], []
    for one, bench in zip(planned, benches, strict=True):
        steps.next(f"converting to {one.id}", _STEPS_OF_CONVERSION)
        artifact = _converted(model, one, data, plugins)
        session = open_session(bench.backend, artifact, bench.settings)
        candidates.append(Candidate(one, artifact, bench, session))
        models.append(_artifact_model(proof, candidates[-1]))
    steps.next("measuring", _STEPS_OF_CONVERSION)
    source_answers, *answers = measure(proof, [reference, *models], sets.evaluation, steps.measured)

    coverage = _coverage(model, proof, sets)
    evidence = Evidence(
        created=_now(),
        source_sha256=model.sha256,
        machine=this_machine(),
        evaluation=_set_facts(
            sets.evaluation, sets.left_out, annotated=bool(settings.task.annotations or settings.task.truth)
        ),
        calibration=None if sets.calibration is None else _set_facts(sets.calibration),
        results=tuple(
            judge(proof, candidate, given, source_answers, settings.min_agreement)
            for candidate, given in zip(candidates, answers, strict=True)
        ),
        notes=tuple(_notes(candidates, sets.left_out)),
        calibration_findings=(*sets.findings, *(() if coverage is None else coverage_findings(coverage))),
        calibration_coverage=coverage,
    )
    _require_agreement(evidence)
    steps.next("writing the bundle", len(sets.evaluation))
    selftest = known_answers(proof, source_session, candidates, sets.evaluation, source_answers)
    manifest, files = _compose(model, proof, candidates, evidence, selftest)
    write_bundle(output, manifest, files, settings.force)
    return evidence


class _Steps:
    """Counts what is done, and tells the caller's progress."""

    def __init__(self, progress: Progress | None, conversions: int, images: int) -> None:
        self._progress = progress
        self._in_all = _STEPS_OF_CONVERSION * (conversions + 1) + images
        self._done = 0
        self._stage = ""

    def next(self, stage: str, steps: int = 0) -> None:
        """Begin a stage, `steps` after the one before began."""
        self._done += steps
        self._stage = stage
        self.measured(0)

    def measured(self, images: int) -> None:
        if self._progress is not None:
            self._progress(self._stage, self._done + images, self._in_all)


def _find_reader(path: Path, plugins: Registry) -> SourceReader:
    if not path.exists():
        raise SourceError(f"{path}: there is no such file or directory")
    readers = plugins.readers()
    for reader in readers.values():
        if reader.reads(path):
            return reader
    raise SourceError(
        f"{path}: expected a .keras or .h5 file, or a SavedModel directory"
        + ("" if readers else "; no plugin that reads models is installed")
    )


def _converted(
    source: Source, planned: PlannedArtifact, data: CalibrationData | None, plugins: Registry
) -> Artifact:
    converter = _find_converter(source, planned, plugins)
    return converter.convert(source, planned.precision, data if planned.precision in CALIBRATED else None)


def _find_converter(source: Source, planned: PlannedArtifact, plugins: Registry) -> Converter:
    fitting = [
        c for c in plugins.converters().values() if (c.kind, c.format) == (source.kind, planned.format)
    ]
    for converter in fitting:
        if planned.precision in converter.precisions:
            return converter
    possible = sorted({precision for converter in fitting for precision in converter.precisions})
    raise PluginError(
        f"no converter makes {planned.id} from {source.description}; "
        f"it can be: {', '.join(possible) or 'nothing'}"
    )


@dataclass(frozen=True)
class _Sets:
    """What a conversion is calibrated and measured on.

    Attributes:
        evaluation: images or seeds.
        calibration: `None` where no precision needs it.
        left_out: evaluation images that the calibration set holds as well.
        synthetic: the calibration set is to be made from the model.
        findings: what was found in the calibration set.
    """

    evaluation: ImageSet | SeedSet
    calibration: ImageSet | SeedSet | None
    left_out: int = 0
    synthetic: bool = False
    findings: tuple[Finding, ...] = ()


def _image_sets(
    evaluation: Images | None,
    calibration: Images | None,
    planned: Sequence[PlannedArtifact],
    settings: ConversionSettings,
) -> _Sets:
    task = settings.task.generation
    if task is not None:
        return _seed_sets(evaluation, calibration, planned, settings, task)
    if evaluation is None:
        raise OptionError("no images to measure on; type --evaluation FOLDER")
    calibration_set = _calibration_set(calibration, planned, settings)
    evaluation_set, left_out = _evaluation_set(evaluation, calibration_set, settings)
    if calibration_set is None:
        return _Sets(evaluation_set, None, synthetic=_is_synthetic(calibration, planned))
    findings, kept = check_images(calibration_set, evaluation_set, left_out)
    return _Sets(kept, calibration_set, left_out + len(evaluation_set) - len(kept), findings=findings)


def _seed_sets(
    evaluation: Images | None,
    calibration: Images | None,
    planned: Sequence[PlannedArtifact],
    settings: ConversionSettings,
    task: GenerateTask,
) -> _Sets:
    for name, given in (("evaluation", evaluation), ("calibration", calibration)):
        if given is not None:
            raise OptionError(
                f"--{name} {given}: the network makes images of seeds, and is measured on them; leave it out"
            )
    calibrated = any(one.precision in CALIBRATED for one in planned)
    calls = settings.calibration_samples or _CALIBRATION_CALLS
    return _Sets(
        SeedSet(0, settings.evaluation_samples or _EVALUATION_SEEDS),
        calibration_seeds(task, calls) if calibrated else None,
    )


def _calibration_set(
    given: Images | None, planned: Sequence[PlannedArtifact], settings: ConversionSettings
) -> ImageSet | None:
    needing = [one.id for one in planned if one.precision in CALIBRATED]
    if not needing or _is_synthetic(given, planned):
        return None
    if given is None:
        raise OptionError(
            f"{', '.join(needing)}: the ranges of activations are measured on images of yours; "
            "type --calibration FOLDER, or --calibration synthetic, "
            "or choose --precision float32, float16 or int8-dynamic"
        )
    images = _opened(given)
    return images if settings.calibration_samples is None else images.sample(settings.calibration_samples)


def _evaluation_set(
    given: Images, calibration: ImageSet | None, settings: ConversionSettings
) -> tuple[ImageSet, int]:
    """The images to measure on, and how many were left out because artifacts are calibrated on them."""
    images = _opened(given)
    total = len(images)
    if calibration is not None:
        shared = set(images.digests) & set(calibration.digests)
        if len(set(images.digests)) == len(shared):
            raise InputError(
                f"{images.name}: the calibration set holds every image of the evaluation set; "
                f"measure on others with --evaluation FOLDER"
            )
        images = images.without(shared)
    left_out = total - len(images)
    if settings.evaluation_samples is not None:
        images = images.sample(settings.evaluation_samples)
    return images, left_out


def _is_synthetic(given: Images | None, planned: Sequence[PlannedArtifact]) -> bool:
    return given == SYNTHETIC and any(one.precision in CALIBRATED for one in planned)


def _known_to_fit(sets: _Sets, source: Source, proof: TaskProof, settings: ConversionSettings) -> _Sets:
    """The sets with what can be known of calibration only with the source in hand, and made with it.

    Raises:
        InputError: `strict` refuses the calibration set.
    """
    preprocessing = proof.preprocessing
    if preprocessing is None:
        return sets
    if sets.synthetic:
        made = synthetic_set(source, preprocessing, min(IMAGES, settings.calibration_samples or IMAGES))
        return replace(sets, calibration=made, findings=(synthetic_finding(made),))
    if isinstance(sets.calibration, ImageSet):
        reading = check_reading(source, preprocessing, sets.calibration)
        sets = replace(sets, findings=sets.findings if reading is None else (*sets.findings, reading))
    if settings.strict:
        refuse_warnings(sets.findings)
    return sets


def _coverage(source: Source, proof: TaskProof, sets: _Sets) -> Coverage | None:
    """How well the calibration's ranges hold, where the source tells what flows in it."""
    calibration, evaluation = sets.calibration, sets.evaluation
    if not (
        isinstance(source, ActivationSource)
        and isinstance(calibration, ImageSet)
        and isinstance(evaluation, ImageSet)
    ):
        return None
    samples = (images.sample(SAMPLE) for images in (calibration, evaluation))
    return measure_coverage(source, *(proof.network_inputs(SourceSession(source), one) for one in samples))


def _opened(given: Images) -> ImageSet:
    return given if isinstance(given, ImageSet) else ImageSet.open(Path(given))


def _set_facts(examples: ImageSet | SeedSet, left_out: int = 0, annotated: bool = False) -> SetFacts:
    labelled = annotated or (isinstance(examples, ImageSet) and examples.labels is not None)
    return SetFacts(examples.name, len(examples), examples.digest, labelled, left_out)


def _artifact_model(proof: TaskProof, candidate: Candidate) -> Any:
    try:
        return proof.model(candidate.session)
    except OptionError as error:
        name = candidate.planned.id
        raise ConversionError(f"{name}: the artifact's tensors are not the source's: {error}") from error


def _notes(candidates: Sequence[Candidate], left_out: int) -> Iterable[str]:
    if left_out:
        yield f"{left_out} evaluation images were left out: the calibration set holds them as well"
    for candidate in candidates:
        if not candidate.bench.on_target:
            session = candidate.session
            names = ", ".join(target.name for target in candidate.planned.targets)
            yield (
                f"{candidate.planned.id} was measured on {session.backend} {session.device}: "
                f"this machine does not have what runs it on {names}"
            )


def _require_agreement(evidence: Evidence) -> None:
    missed = [result for result in evidence.results if not result.passed]
    if missed:
        worst = min(missed, key=lambda result: result.comparison.agreement - result.min_agreement)
        raise AgreementError(
            f"{worst.artifact} agrees with the source on {worst.comparison.agreement:.2%} of "
            f"{worst.comparison.images} images, demanded are {worst.min_agreement:.2%}: nothing was written; "
            f"calibrate on more images that are like those in use, choose another --precision, "
            f"or say what is enough with --min-agreement",
            evidence,
        )


def _compose(
    source: Source,
    proof: TaskProof,
    candidates: Sequence[Candidate],
    evidence: Evidence,
    selftest: Selftest,
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of the bundle, and the content of every other file."""
    files = {
        LABELS: "".join(f"{label}\n" for label in proof.labels).encode(),
        SELFTEST: write_selftest(selftest),
        EVIDENCE: evidence_json(evidence).encode(),
    }
    artifacts = []
    for candidate in candidates:
        folder = f"artifacts/{candidate.planned.id}"
        own = {f"{folder}/{name}": content for name, content in candidate.artifact.files.items()}
        artifacts.append(_entry(candidate, tuple(file_entry(name, content) for name, content in own.items())))
        files.update(own)
    manifest = Manifest(
        created=evidence.created,
        task=proof.task,
        preprocessing=proof.preprocessing,
        source=SourceEntry(source.path.name, source.description, source.sha256),
        artifacts=tuple(artifacts),
        labels=file_entry(LABELS, files[LABELS]),
        selftest=file_entry(SELFTEST, files[SELFTEST]),
        evidence=file_entry(EVIDENCE, files[EVIDENCE]),
        versions={"edgevision": __version__, **source.versions},
    )
    return manifest, files


def _entry(candidate: Candidate, files: tuple[FileEntry, ...]) -> ArtifactEntry:
    session = candidate.session
    backends = dict.fromkeys([*(target.backend for target in candidate.planned.targets), session.backend])
    return ArtifactEntry(
        id=candidate.planned.id,
        format=candidate.artifact.format,
        precision=candidate.artifact.precision,
        files=files,
        inputs=session.inputs,
        outputs=session.outputs,
        targets=tuple(target.name for target in candidate.planned.targets),
        backends=tuple(backends),
    )


def _now() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")
