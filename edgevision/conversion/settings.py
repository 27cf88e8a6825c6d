"""The arguments of `convert`: its settings, and the request that holds them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from edgevision.calibration.synthetic import SYNTHETIC
from edgevision.conversion.source_limits import SourceLimits
from edgevision.datasets.groups import GroupSource
from edgevision.evaluation.run import Images
from edgevision.evidence.attention import AttentionSpecification
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.prediction_sets import PredictionSetSpecification
from edgevision.evidence.requirements import Budget
from edgevision.system.arguments import flag, instance, mapping, names, optional_text, paths, whole_number
from edgevision.tasks.options import TaskOptions

_FLAGS = (
    *("strict", "force_input", "trust_source", "pictures", "dicom_pictures"),
    *("force", "keep_passing", "accept_not_shown", "calibrate_scores", "record_names"),
)


class ConverterChoice(NamedTuple):
    """Which converters convert, where several can.

    Attributes:
        names: of converters that are taken before others; each converts to an artifact of the conversion.
        options: of the converter, besides those of the artifact's targets.
    """

    names: Sequence[str] = ()
    options: Mapping[str, Any] = MappingProxyType({})


#: The only one that can.
ANY_CONVERTER = ConverterChoice()


@dataclass(frozen=True)
class ConversionSettings:
    """Settings of a conversion, beside its inputs and its output.

    Attributes:
        task: input, outputs and classes of the model, where the model itself does not say.
        budget: the loss that an artifact may have.
        calibration_samples, evaluation_samples: the most images to use of each set, sampled evenly over its
            classes; `None` uses all. For networks that generate images from seeds: network calls to calibrate
            on, and seeds to evaluate on (`None` means 500 and 32).
        strict: refuse a calibration set that has warnings, or a source that does not predict the evaluation
            set's labels as its training promises, before any conversion.
        force_input: accept options about the input that contradict what the model itself contains, such as a
            value range of 0…1 for a model that divides by 255.
        trust_source: run code that is embedded in the model.
        imports: installed packages that define layers of the model, such as ``keras_hub``; they are imported,
            and their versions are in the evidence.
        signature: of a SavedModel with several: the signature to convert.
        pictures: keep small pictures of evaluation images on which artifacts and source differ in the bundle,
            for its report. The known answers contain images either way.
        dicom_pictures: allow this for DICOM files, too, which may be of patients: by default a bundle has
            neither pictures nor names of them, and its known answers are of noise.
        force: replace an existing bundle.
        keep_passing: where some artifacts pass and others do not, write a bundle of those that passed, whose
            evidence lists the others as `missing`. Otherwise nothing is written.
        accept_not_shown: write artifacts, too, of which the evaluation images are too few to show that they
            meet their requirements; the evidence says so. One that misses a requirement is never written.
        operating_point: for a classifier: the requirement for the threshold of a class of interest. The
            threshold is computed on the calibration images, which must be labelled, and verified on the
            evaluation images.
        calibrate_scores: for a classifier: fit a temperature to the scores of each artifact, on the same
            images. An operating point then applies to the scores at that temperature.
        prediction_sets: for a classifier: prediction sets with a stated coverage, on the same images; with
            `calibrate_scores`, each on half of them. The coverage is measured on the evaluation images.
        attention: measure whether the answers of each artifact rest on other parts of the images than the
            source's, and require that they do not, if it has a limit. It takes long: hundreds of runs per
            image, model and artifact. `None` does not.
        targets_files: TOML files with more targets.
        record_names: keep paths as they were given in the evidence, and the names of files that may tell a
            person: of DICOM files, and of images in groups. By default the evidence has base names, and
            digests in place of these.
        author: who runs the conversion, for the evidence.
        command: words of the command line that runs it, for the evidence.
        reader: name of the reader of the source; `None` takes the one that recognises it.
        converters: names of converters to take where several convert to one format.
        converter_options: options of the converter, as JSON values, besides those of the targets.
        source_limits: limits of the process in which the source is read and converted. `None` converts in the
            caller's process, without limits: a damaged source may kill or hang it. That process alone has
            classes that the caller registered with Keras.

    Raises:
        OptionError: a number of samples is not a whole number above 0, `imports` or `targets_files` is not a
            sequence, or a setting that is on or off is neither True nor False.
    """

    task: TaskOptions = field(default_factory=TaskOptions)
    budget: Budget = field(default_factory=Budget)
    calibration_samples: int | None = 500
    evaluation_samples: int | None = None
    strict: bool = False
    force_input: bool = False
    trust_source: bool = False
    imports: Sequence[str] = ()
    signature: str | None = None
    pictures: bool = True
    dicom_pictures: bool = False
    force: bool = False
    keep_passing: bool = False
    accept_not_shown: bool = False
    targets_files: Sequence[str | Path] = ()
    operating_point: OperatingPointSpecification | None = None
    calibrate_scores: bool = False
    prediction_sets: PredictionSetSpecification | None = None
    attention: AttentionSpecification | None = None
    record_names: bool = False
    author: str | None = None
    command: Sequence[str] = ()
    reader: str | None = None
    converters: Sequence[str] = ()
    converter_options: Mapping[str, Any] = field(default_factory=dict)
    source_limits: SourceLimits | None = field(default_factory=SourceLimits)

    def __post_init__(self) -> None:
        for name in ("calibration_samples", "evaluation_samples"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, whole_number(value, name, least=1))
        for name in ("imports", "command", "converters"):
            object.__setattr__(self, name, names(getattr(self, name), name))
        object.__setattr__(self, "targets_files", paths(self.targets_files, "targets_files"))
        for name in _FLAGS:
            object.__setattr__(self, name, flag(getattr(self, name), name))
        mapping(self.converter_options, "converter_options")
        instance(self.task, TaskOptions, "task")
        instance(self.budget, Budget, "budget")
        for name in ("signature", "author", "reader"):
            object.__setattr__(self, name, optional_text(getattr(self, name), name))
        if self.operating_point is not None:
            instance(self.operating_point, OperatingPointSpecification, "operating_point")
        if self.prediction_sets is not None:
            instance(self.prediction_sets, PredictionSetSpecification, "prediction_sets")
        if self.attention is not None:
            instance(self.attention, AttentionSpecification, "attention")
        if self.source_limits is not None:
            instance(self.source_limits, SourceLimits, "source_limits")

    @property
    def converter_choice(self) -> ConverterChoice:
        """Which converters convert, and their options."""
        return ConverterChoice(self.converters, self.converter_options)

    @property
    def needs_labelled_calibration(self) -> bool:
        """True if something must be computed that takes labelled calibration images."""
        return bool(self.calibrate_scores or self.operating_point or self.prediction_sets)


@dataclass(frozen=True)
class ConversionRequest:
    """The arguments of `convert`, normalized.

    Attributes:
        source: the trained model.
        output: the bundle to write.
        targets: names of device profiles.
        precisions: names of precisions, or ``auto``; empty for the default.
        evaluation, calibration: image sets, as the caller named them.
        settings: all other settings.
        groups: which images of the evaluation set belong together, as for `ImageSet.grouped`, and of the
            calibration set, if it has no groups of its own and `groups` says so of its images.
        failed: id of an artifact -> why it cannot be converted, of those that ended an earlier process.
    """

    source: Path
    output: Path
    targets: tuple[str, ...]
    precisions: tuple[str, ...]
    evaluation: Images | None
    calibration: Images | None
    settings: ConversionSettings
    groups: GroupSource | None = None
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_calibrate(self) -> bool:
        """True if there is something to calibrate on: images, or the seeds of a generator."""
        return self.calibration is not None or self.settings.task.generation is not None

    @property
    def synthetic(self) -> bool:
        """True if the calibration images are to be synthesized from the model."""
        return isinstance(self.calibration, str) and self.calibration == SYNTHETIC
