"""Convert trained Keras vision models for edge devices, and verify that they still predict the same there.

    import edgevision

    model = edgevision.load_classifier("model.evb")
    print(model("photo.jpg").top(3))

Every name is imported on first use: `import edgevision` loads no runtime, no image library, and not
even numpy or pluggy. Plugins import their contracts from the modules at the root of the package, such
as `edgevision.backend`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# For type checkers and editors; `tests/test_face.py` keeps it equal to `_NAMES` below.
if TYPE_CHECKING:
    from edgevision import errors as errors
    from edgevision._version import __version__ as __version__
    from edgevision.artifact import Artifact as Artifact
    from edgevision.artifact import FloatOperation as FloatOperation
    from edgevision.artifact import QuantizationRecord as QuantizationRecord
    from edgevision.backend import ScoreSigmoids as ScoreSigmoids
    from edgevision.backend import SessionSettings as SessionSettings
    from edgevision.batching.batch import batch as batch
    from edgevision.batching.settings import BatchRun as BatchRun
    from edgevision.batching.settings import BatchSettings as BatchSettings
    from edgevision.benchmarking.bench import BenchResult as BenchResult
    from edgevision.benchmarking.bench import bench as bench
    from edgevision.benchmarking.throughput import Throughput as Throughput
    from edgevision.benchmarking.tune import Chosen as Chosen
    from edgevision.benchmarking.tune import Tuning as Tuning
    from edgevision.benchmarking.tune import TuningRow as TuningRow
    from edgevision.benchmarking.tune import tune as tune
    from edgevision.bundle.manifest import ArtifactEntry as ArtifactEntry
    from edgevision.bundle.manifest import FileEntry as FileEntry
    from edgevision.bundle.manifest import Manifest as Manifest
    from edgevision.bundle.manifest import SourceEntry as SourceEntry
    from edgevision.bundle.provenance import InputRecord as InputRecord
    from edgevision.bundle.provenance import PluginRecord as PluginRecord
    from edgevision.bundle.provenance import Provenance as Provenance
    from edgevision.bundle.signature import Signer as Signer
    from edgevision.bundle.signing import Verification as Verification
    from edgevision.bundle.signing import sign_bundle as sign_bundle
    from edgevision.bundle.signing import verify_bundle as verify_bundle
    from edgevision.bundle.storage import Bundle as Bundle
    from edgevision.bundle.storage import read_bundle as read_bundle
    from edgevision.bundle.trust import TrustPolicy as TrustPolicy
    from edgevision.calibration.findings import Coverage as Coverage
    from edgevision.calibration.findings import Finding as Finding
    from edgevision.calibration.findings import LayerCoverage as LayerCoverage
    from edgevision.conversion.convert import convert as convert
    from edgevision.conversion.settings import ConversionSettings as ConversionSettings
    from edgevision.conversion.settings import ConverterChoice as ConverterChoice
    from edgevision.conversion.source_limits import SourceLimits as SourceLimits
    from edgevision.conversion.training import quantization_aware as quantization_aware
    from edgevision.datasets.groups import GroupFacts as GroupFacts
    from edgevision.datasets.groups import Grouping as Grouping
    from edgevision.datasets.groups import GroupSource as GroupSource
    from edgevision.datasets.image_sets import ImageCopy as ImageCopy
    from edgevision.datasets.image_sets import ImageSet as ImageSet
    from edgevision.datasets.image_sets import SetFacts as SetFacts
    from edgevision.errors import EdgeVisionError as EdgeVisionError
    from edgevision.evaluation.compare import BundleComparison as BundleComparison
    from edgevision.evaluation.compare import PairedTestResult as PairedTestResult
    from edgevision.evaluation.compare import compare as compare
    from edgevision.evaluation.evaluate import Evaluation as Evaluation
    from edgevision.evaluation.evaluate import evaluate as evaluate
    from edgevision.evaluation.open_model import ArtifactRun as ArtifactRun
    from edgevision.evaluation.open_model import RunSettings as RunSettings
    from edgevision.evaluation.run import Images as Images
    from edgevision.evaluation.sample_plan import EvaluationPlan as EvaluationPlan
    from edgevision.evaluation.sample_plan import PlannedRequirement as PlannedRequirement
    from edgevision.evaluation.sample_plan import plan_evaluation as plan_evaluation
    from edgevision.evidence.attention import AttentionDrift as AttentionDrift
    from edgevision.evidence.attention import AttentionReference as AttentionReference
    from edgevision.evidence.attention import AttentionSpecification as AttentionSpecification
    from edgevision.evidence.attention import Faithfulness as Faithfulness
    from edgevision.evidence.attention import MeanOfImages as MeanOfImages
    from edgevision.evidence.attention import MovedAttention as MovedAttention
    from edgevision.evidence.operating_points import Curve as Curve
    from edgevision.evidence.operating_points import OperatingEvidence as OperatingEvidence
    from edgevision.evidence.operating_points import PointMetrics as PointMetrics
    from edgevision.evidence.operating_specification import (
        OperatingPointSpecification as OperatingPointSpecification,
    )
    from edgevision.evidence.prediction_sets import ClassCoverage as ClassCoverage
    from edgevision.evidence.prediction_sets import PredictionSetEvidence as PredictionSetEvidence
    from edgevision.evidence.prediction_sets import (
        PredictionSetSpecification as PredictionSetSpecification,
    )
    from edgevision.evidence.prediction_sets import SetMeasures as SetMeasures
    from edgevision.evidence.quantization import QuantizationEvidence as QuantizationEvidence
    from edgevision.evidence.quantization import RecipeComparison as RecipeComparison
    from edgevision.evidence.records import Attempt as Attempt
    from edgevision.evidence.records import Evidence as Evidence
    from edgevision.evidence.records import Measured as Measured
    from edgevision.evidence.records import MissingArtifact as MissingArtifact
    from edgevision.evidence.requirements import Budget as Budget
    from edgevision.evidence.requirements import Requirement as Requirement
    from edgevision.evidence.temperatures import ScaledScores as ScaledScores
    from edgevision.evidence.temperatures import ScoreQuality as ScoreQuality
    from edgevision.evidence.temperatures import TemperatureEvidence as TemperatureEvidence
    from edgevision.evidence.training_input import TrainingInputEvidence as TrainingInputEvidence
    from edgevision.execution.run_costs import Timing as Timing
    from edgevision.explaining.explanation import Explanation as Explanation
    from edgevision.explaining.faithfulness import ExplanationCurves as ExplanationCurves
    from edgevision.explaining.settings import ExplainSettings as ExplainSettings
    from edgevision.exporting.export import Exported as Exported
    from edgevision.exporting.export import export as export
    from edgevision.exporting.pack import Packed as Packed
    from edgevision.exporting.pack import PackSettings as PackSettings
    from edgevision.exporting.pack import pack as pack
    from edgevision.frame_source import CapturedImage as CapturedImage
    from edgevision.health import Health as Health
    from edgevision.health import HealthChecks as HealthChecks
    from edgevision.hookspecs import hookimpl as hookimpl
    from edgevision.imaging.decode import ImageLike as ImageLike
    from edgevision.imaging.decode import read_frame as read_frame
    from edgevision.imaging.decode import read_frames as read_frames
    from edgevision.imaging.find import LeftOut as LeftOut
    from edgevision.imaging.frame import Frame as Frame
    from edgevision.imaging.gate import InputGate as InputGate
    from edgevision.imaging.input_options import InputOptions as InputOptions
    from edgevision.imaging.levels import ValueMapping as ValueMapping
    from edgevision.imaging.preprocess import Preprocessing as Preprocessing
    from edgevision.imaging.yuv import YuvFrame as YuvFrame
    from edgevision.isolation.settings import Isolation as Isolation
    from edgevision.journal.chain import JournalHead as JournalHead
    from edgevision.journal.journal import Journal as Journal
    from edgevision.journal.reader import JournalReader as JournalReader
    from edgevision.journal.reader import JournalRow as JournalRow
    from edgevision.journal.reader import read_journal as read_journal
    from edgevision.journal.replay import ReplayedRow as ReplayedRow
    from edgevision.journal.replay import replay_journal as replay_journal
    from edgevision.journal.verification import JournalVerification as JournalVerification
    from edgevision.journal.verification import verify_journal as verify_journal
    from edgevision.loading.bare import BareModel as BareModel
    from edgevision.loading.fallback import Fallback as Fallback
    from edgevision.loading.install import Installed as Installed
    from edgevision.loading.install import install as install
    from edgevision.loading.install import roll_back as roll_back
    from edgevision.loading.load import load as load
    from edgevision.loading.load import load_classifier as load_classifier
    from edgevision.loading.load import load_detector as load_detector
    from edgevision.loading.load import load_generator as load_generator
    from edgevision.loading.requirements import Requirements as Requirements
    from edgevision.loading.requirements import UnmetRequirement as UnmetRequirement
    from edgevision.metrics.changes import BoxChange as BoxChange
    from edgevision.metrics.changes import Confusion as Confusion
    from edgevision.metrics.changes import Flip as Flip
    from edgevision.metrics.changes import PixelChange as PixelChange
    from edgevision.metrics.changes import ResultChange as ResultChange
    from edgevision.metrics.comparison import ClassifyDetails as ClassifyDetails
    from edgevision.metrics.comparison import ClassMetrics as ClassMetrics
    from edgevision.metrics.comparison import Comparison as Comparison
    from edgevision.metrics.comparison import DetectDetails as DetectDetails
    from edgevision.metrics.comparison import GenerateDetails as GenerateDetails
    from edgevision.metrics.comparison import LabelAgreement as LabelAgreement
    from edgevision.metrics.comparison import Metric as Metric
    from edgevision.metrics.comparison import ResultDetails as ResultDetails
    from edgevision.metrics.intervals import Interval as Interval
    from edgevision.metrics.measures import ClassMetricValues as ClassMetricValues
    from edgevision.metrics.measures import Measures as Measures
    from edgevision.metrics.measures import MetricValue as MetricValue
    from edgevision.metrics.reliability import Reliability as Reliability
    from edgevision.metrics.reliability import ReliabilityBin as ReliabilityBin
    from edgevision.observation import Observation as Observation
    from edgevision.observation import StreamEvent as StreamEvent
    from edgevision.observing.metrics import Metrics as Metrics
    from edgevision.observing.observe import observe as observe
    from edgevision.reporting.report import write_report as write_report
    from edgevision.reporting.sbom import sbom as sbom
    from edgevision.session import CheckedSession as CheckedSession
    from edgevision.session import open_session as open_session
    from edgevision.streaming.records import RunFacts as RunFacts
    from edgevision.streaming.records import StageTimes as StageTimes
    from edgevision.streaming.records import StreamCounters as StreamCounters
    from edgevision.streaming.records import StreamFrame as StreamFrame
    from edgevision.streaming.records import StreamResult as StreamResult
    from edgevision.streaming.settings import StreamSettings as StreamSettings
    from edgevision.streaming.stream import Stream as Stream
    from edgevision.system.clock import Instant as Instant
    from edgevision.system.machine import Machine as Machine
    from edgevision.system.progress import Progress as Progress
    from edgevision.system.timing import Times as Times
    from edgevision.target import Target as Target
    from edgevision.tasks.classify import Classification as Classification
    from edgevision.tasks.classify import Classifier as Classifier
    from edgevision.tasks.classify import ClassScore as ClassScore
    from edgevision.tasks.description import ClassifyTask as ClassifyTask
    from edgevision.tasks.description import DetectTask as DetectTask
    from edgevision.tasks.description import GenerateTask as GenerateTask
    from edgevision.tasks.detect import Detector as Detector
    from edgevision.tasks.detections import Detection as Detection
    from edgevision.tasks.detections import Detections as Detections
    from edgevision.tasks.generation.build import Generator as Generator
    from edgevision.tasks.generation.diffusion import DiffusionGenerator as DiffusionGenerator
    from edgevision.tasks.generation.geometry import Geometry as Geometry
    from edgevision.tasks.generation.image_to_image import ImageToImage as ImageToImage
    from edgevision.tasks.generation.images import GeneratedImages as GeneratedImages
    from edgevision.tasks.generation.latent import LatentGenerator as LatentGenerator
    from edgevision.tasks.generation_settings import Condition as Condition
    from edgevision.tasks.generation_settings import DiffusionSettings as DiffusionSettings
    from edgevision.tasks.generation_settings import ImageToImageSettings as ImageToImageSettings
    from edgevision.tasks.generation_settings import LatentSettings as LatentSettings
    from edgevision.tasks.generation_settings import NoiseSchedule as NoiseSchedule
    from edgevision.tasks.model_types import Model as Model
    from edgevision.tasks.options import TaskOptions as TaskOptions
    from edgevision.tasks.prediction_sets import PredictionSets as PredictionSets
    from edgevision.tasks.score_calibration import OperatingPoint as OperatingPoint
    from edgevision.tasks.score_calibration import ScoreCalibration as ScoreCalibration
    from edgevision.tasks.tracking import Tracking as Tracking
    from edgevision.tensors import Array as Array
    from edgevision.tensors import Quantization as Quantization
    from edgevision.tensors import TensorSpec as TensorSpec

    OperatingDemand = OperatingPointSpecification

#: Module below `edgevision` -> the public names that it defines.
_NAMES = {
    "_version": ("__version__",),
    "artifact": ("Artifact", "FloatOperation", "QuantizationRecord"),
    "backend": ("ScoreSigmoids", "SessionSettings"),
    "batching.batch": ("batch",),
    "batching.settings": ("BatchRun", "BatchSettings"),
    "benchmarking.bench": ("BenchResult", "bench"),
    "benchmarking.throughput": ("Throughput",),
    "benchmarking.tune": ("Chosen", "Tuning", "TuningRow", "tune"),
    "bundle.manifest": ("ArtifactEntry", "FileEntry", "Manifest", "SourceEntry"),
    "bundle.provenance": ("InputRecord", "PluginRecord", "Provenance"),
    "bundle.signature": ("Signer",),
    "bundle.signing": ("Verification", "sign_bundle", "verify_bundle"),
    "bundle.storage": ("Bundle", "read_bundle"),
    "bundle.trust": ("TrustPolicy",),
    "calibration.findings": ("Coverage", "Finding", "LayerCoverage"),
    "conversion.convert": ("convert",),
    "conversion.settings": ("ConversionSettings", "ConverterChoice"),
    "conversion.source_limits": ("SourceLimits",),
    "conversion.training": ("quantization_aware",),
    "datasets.groups": ("GroupFacts", "GroupSource", "Grouping"),
    "datasets.image_sets": ("ImageCopy", "ImageSet", "SetFacts"),
    "errors": ("EdgeVisionError", "errors"),
    "evaluation.compare": ("BundleComparison", "PairedTestResult", "compare"),
    "evaluation.evaluate": ("Evaluation", "evaluate"),
    "evaluation.open_model": ("ArtifactRun", "RunSettings"),
    "evaluation.run": ("Images",),
    "evaluation.sample_plan": ("EvaluationPlan", "PlannedRequirement", "plan_evaluation"),
    "evidence.attention": (
        "AttentionDrift",
        "AttentionReference",
        "AttentionSpecification",
        "Faithfulness",
        "MeanOfImages",
        "MovedAttention",
    ),
    "evidence.operating_points": ("Curve", "OperatingEvidence", "PointMetrics"),
    "evidence.operating_specification": ("OperatingPointSpecification",),
    "evidence.prediction_sets": (
        "ClassCoverage",
        "PredictionSetEvidence",
        "PredictionSetSpecification",
        "SetMeasures",
    ),
    "evidence.quantization": ("QuantizationEvidence", "RecipeComparison"),
    "evidence.records": ("Attempt", "Evidence", "Measured", "MissingArtifact"),
    "evidence.requirements": ("Budget", "Requirement"),
    "evidence.training_input": ("TrainingInputEvidence",),
    "execution.run_costs": ("Timing",),
    "evidence.temperatures": ("ScaledScores", "ScoreQuality", "TemperatureEvidence"),
    "explaining.explanation": ("Explanation",),
    "explaining.faithfulness": ("ExplanationCurves",),
    "explaining.settings": ("ExplainSettings",),
    "exporting.export": ("Exported", "export"),
    "exporting.pack": ("Packed", "PackSettings", "pack"),
    "frame_source": ("CapturedImage",),
    "health": ("Health", "HealthChecks"),
    "hookspecs": ("hookimpl",),
    "imaging.decode": ("ImageLike", "read_frame", "read_frames"),
    "imaging.find": ("LeftOut",),
    "imaging.frame": ("Frame",),
    "imaging.gate": ("InputGate",),
    "imaging.input_options": ("InputOptions",),
    "imaging.levels": ("ValueMapping",),
    "imaging.preprocess": ("Preprocessing",),
    "imaging.yuv": ("YuvFrame",),
    "isolation.settings": ("Isolation",),
    "journal.chain": ("JournalHead",),
    "journal.journal": ("Journal",),
    "journal.reader": ("JournalReader", "JournalRow", "read_journal"),
    "journal.replay": ("ReplayedRow", "replay_journal"),
    "journal.verification": ("JournalVerification", "verify_journal"),
    "loading.bare": ("BareModel",),
    "loading.fallback": ("Fallback",),
    "loading.install": ("Installed", "install", "roll_back"),
    "loading.load": ("load", "load_classifier", "load_detector", "load_generator"),
    "loading.requirements": ("Requirements", "UnmetRequirement"),
    "metrics.changes": ("BoxChange", "Confusion", "Flip", "PixelChange", "ResultChange"),
    "metrics.reliability": ("Reliability", "ReliabilityBin"),
    "metrics.comparison": (
        "ClassMetrics",
        "ClassifyDetails",
        "Comparison",
        "DetectDetails",
        "GenerateDetails",
        "LabelAgreement",
        "Metric",
        "ResultDetails",
    ),
    "metrics.intervals": ("Interval",),
    "metrics.measures": ("ClassMetricValues", "Measures", "MetricValue"),
    "observation": ("Observation", "StreamEvent"),
    "observing.metrics": ("Metrics",),
    "observing.observe": ("observe",),
    "reporting.report": ("write_report",),
    "reporting.sbom": ("sbom",),
    "session": ("CheckedSession", "open_session"),
    "streaming.records": (
        "RunFacts",
        "StageTimes",
        "StreamCounters",
        "StreamFrame",
        "StreamResult",
    ),
    "streaming.settings": ("StreamSettings",),
    "streaming.stream": ("Stream",),
    "system.clock": ("Instant",),
    "system.machine": ("Machine",),
    "system.progress": ("Progress",),
    "system.timing": ("Times",),
    "target": ("Target",),
    "tasks.classify": ("Classification", "Classifier", "ClassScore"),
    "tasks.description": ("ClassifyTask", "DetectTask", "GenerateTask"),
    "tasks.detect": ("Detector",),
    "tasks.detections": ("Detection", "Detections"),
    "tasks.generation.build": ("Generator",),
    "tasks.generation.diffusion": ("DiffusionGenerator",),
    "tasks.generation.geometry": ("Geometry",),
    "tasks.generation.image_to_image": ("ImageToImage",),
    "tasks.generation.images": ("GeneratedImages",),
    "tasks.generation.latent": ("LatentGenerator",),
    "tasks.generation_settings": (
        "Condition",
        "DiffusionSettings",
        "ImageToImageSettings",
        "LatentSettings",
        "NoiseSchedule",
    ),
    "tasks.model_types": ("Model",),
    "tasks.options": ("TaskOptions",),
    "tasks.prediction_sets": ("PredictionSets",),
    "tasks.score_calibration": ("OperatingPoint", "ScoreCalibration"),
    "tasks.tracking": ("Tracking",),
    "tensors": ("Array", "Quantization", "TensorSpec"),
}

#: Name kept for code written before its class was renamed -> the present name.
_KEPT_NAMES = {"OperatingDemand": "OperatingPointSpecification"}

_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
_MODULE_OF |= {kept: _MODULE_OF[present] for kept, present in _KEPT_NAMES.items()}

if not TYPE_CHECKING:
    # Hidden from type checkers: with `__getattr__` they would accept any misspelled name, and a
    # computed `__all__` hides every name from `import *`.
    __all__ = list(_MODULE_OF)

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'edgevision' has no attribute '{name}'")
        module = import_module(f"edgevision.{_MODULE_OF[name]}")
        value = module if name == "errors" else getattr(module, _KEPT_NAMES.get(name, name))
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return __all__
