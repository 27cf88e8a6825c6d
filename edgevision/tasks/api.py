"""All that the author of a task needs; each name is imported on first use.

A package with a task imports from here and from `edgevision` alone. Its entry point in the group
``edgevision`` names a module that gives the kind::

    from edgevision.tasks.api import TaskKind, hookimpl

    @hookimpl
    def edgevision_tasks() -> list[TaskKind]:
        from edgevision_segment.kind import SegmentKind  # or yours

        return [SegmentKind()]

`TaskKind` is the interface; `SingleRunModel` and `ImageEvaluator` are bases that leave what the outputs mean
and how results are compared.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# For type checkers and editors; `tests/tasks/test_api.py` keeps it equal to `_NAMES` below.
if TYPE_CHECKING:
    from edgevision.datasets.image_sets import ImageSet as ImageSet
    from edgevision.drawing.colors import class_color as class_color
    from edgevision.drawing.results import enlarged as enlarged
    from edgevision.drawing.results import with_legend as with_legend
    from edgevision.drawing.text import Pen as Pen
    from edgevision.errors import InferenceError as InferenceError
    from edgevision.errors import InputError as InputError
    from edgevision.errors import MissingOptionError as MissingOptionError
    from edgevision.errors import MissingRuntimeError as MissingRuntimeError
    from edgevision.errors import NothingFoundError as NothingFoundError
    from edgevision.errors import OptionError as OptionError
    from edgevision.evaluation.evaluator import Evaluator as Evaluator
    from edgevision.evaluation.ground_truth import GroundTruthPaths as GroundTruthPaths
    from edgevision.evaluation.image_evaluator import ImageEvaluator as ImageEvaluator
    from edgevision.evaluation.image_task import ImageTaskEvaluation as ImageTaskEvaluation
    from edgevision.evaluation.model_facts import ModelFacts as ModelFacts
    from edgevision.evaluation.network_inputs import TileInputs as TileInputs
    from edgevision.evaluation.source_model import SourceModel as SourceModel
    from edgevision.evaluation.task_evaluation import PicturingEvaluator as PicturingEvaluator
    from edgevision.evaluation.task_evaluation import TaskEvaluation as TaskEvaluation
    from edgevision.hookspecs import hookimpl as hookimpl
    from edgevision.imaging.decode import decode_frame as decode_frame
    from edgevision.imaging.decode import decode_image as decode_image
    from edgevision.imaging.frame import Frame as Frame
    from edgevision.imaging.pixels import Pixels as Pixels
    from edgevision.imaging.placement import Placement as Placement
    from edgevision.imaging.placement import placement_of as placement_of
    from edgevision.imaging.preprocess import Preprocessing as Preprocessing
    from edgevision.imaging.resampling import grid_of as grid_of
    from edgevision.imaging.tiles import Axis as Axis
    from edgevision.imaging.tiles import axis_tiles as axis_tiles
    from edgevision.imaging.tiles import blended_bands as blended_bands
    from edgevision.imaging.write import write_image as write_image
    from edgevision.metrics.comparison import Comparison as Comparison
    from edgevision.metrics.comparison import Metric as Metric
    from edgevision.metrics.comparison import ResultDetails as ResultDetails
    from edgevision.metrics.comparison import pair as pair
    from edgevision.metrics.comparison import pair_classes as pair_classes
    from edgevision.metrics.comparison import result_details as result_details
    from edgevision.metrics.intervals import Groups as Groups
    from edgevision.metrics.intervals import Interval as Interval
    from edgevision.metrics.intervals import mean_method as mean_method
    from edgevision.metrics.intervals import share_by_image as share_by_image
    from edgevision.metrics.measures import ClassMetricValues as ClassMetricValues
    from edgevision.metrics.measures import LastMeasures as LastMeasures
    from edgevision.metrics.measures import Measures as Measures
    from edgevision.metrics.measures import MetricValue as MetricValue
    from edgevision.metrics.measures import Values as Values
    from edgevision.metrics.measures import mean_error as mean_error
    from edgevision.metrics.measures import mean_of as mean_of
    from edgevision.metrics.measures import share_of as share_of
    from edgevision.metrics.part_ratios import part_ratio as part_ratio
    from edgevision.plugins import Registry as Registry
    from edgevision.session import CheckedSession as CheckedSession
    from edgevision.system.arguments import one_of as one_of
    from edgevision.system.arguments import real_number as real_number
    from edgevision.system.arguments import whole_number as whole_number
    from edgevision.system.array_files import read_npy as read_npy
    from edgevision.system.array_files import read_npz as read_npz
    from edgevision.system.files import write_file as write_file
    from edgevision.system.json_documents import json_document as json_document
    from edgevision.system.missing_options import MissingOptions as MissingOptions
    from edgevision.system.reading import read_file as read_file
    from edgevision.system.strict_json import JsonError as JsonError
    from edgevision.system.strict_json import read_json as read_json
    from edgevision.tasks.explainable_model import ExplainableModel as ExplainableModel
    from edgevision.tasks.explained import Aim as Aim
    from edgevision.tasks.explained import class_of as class_of
    from edgevision.tasks.image_kind import OVERLAP_OPTION as OVERLAP_OPTION
    from edgevision.tasks.image_kind import ImageTaskKind as ImageTaskKind
    from edgevision.tasks.image_model import ImageModel as ImageModel
    from edgevision.tasks.kind import Claim as Claim
    from edgevision.tasks.kind import DecidingKind as DecidingKind
    from edgevision.tasks.kind import DecisionDifference as DecisionDifference
    from edgevision.tasks.kind import DescribingKind as DescribingKind
    from edgevision.tasks.kind import ModelParts as ModelParts
    from edgevision.tasks.kind import NetworkFacts as NetworkFacts
    from edgevision.tasks.kind import ResultReplayer as ResultReplayer
    from edgevision.tasks.kind import TaskKind as TaskKind
    from edgevision.tasks.kind import TaskOption as TaskOption
    from edgevision.tasks.label_files import stated_labels as stated_labels
    from edgevision.tasks.options import TaskOptions as TaskOptions
    from edgevision.tasks.single_run import SingleRunModel as SingleRunModel
    from edgevision.tasks.single_run import stated_output as stated_output
    from edgevision.tasks.texts import TaskTexts as TaskTexts
    from edgevision.tasks.tiled import TiledModel as TiledModel
    from edgevision.tasks.tiled import Tiles as Tiles
    from edgevision.tensors import Array as Array
    from edgevision.tensors import TensorSpec as TensorSpec

_NAMES: dict[str, tuple[str, ...]] = {
    "datasets.image_sets": ("ImageSet",),
    "drawing.colors": ("class_color",),
    "drawing.results": ("enlarged", "with_legend"),
    "drawing.text": ("Pen",),
    "errors": (
        "InferenceError",
        "InputError",
        "MissingOptionError",
        "MissingRuntimeError",
        "NothingFoundError",
        "OptionError",
    ),
    "evaluation.evaluator": ("Evaluator",),
    "evaluation.ground_truth": ("GroundTruthPaths",),
    "evaluation.image_evaluator": ("ImageEvaluator",),
    "evaluation.image_task": ("ImageTaskEvaluation",),
    "evaluation.model_facts": ("ModelFacts",),
    "evaluation.network_inputs": ("TileInputs",),
    "evaluation.source_model": ("SourceModel",),
    "evaluation.task_evaluation": ("PicturingEvaluator", "TaskEvaluation"),
    "hookspecs": ("hookimpl",),
    "imaging.decode": ("decode_frame", "decode_image"),
    "imaging.frame": ("Frame",),
    "imaging.pixels": ("Pixels",),
    "imaging.placement": ("Placement", "placement_of"),
    "imaging.preprocess": ("Preprocessing",),
    "imaging.resampling": ("grid_of",),
    "imaging.tiles": ("Axis", "axis_tiles", "blended_bands"),
    "imaging.write": ("write_image",),
    "metrics.comparison": ("Comparison", "Metric", "ResultDetails", "pair", "pair_classes", "result_details"),
    "metrics.intervals": ("Groups", "Interval", "mean_method", "share_by_image"),
    "metrics.measures": (
        "ClassMetricValues",
        "LastMeasures",
        "Measures",
        "MetricValue",
        "Values",
        "mean_error",
        "mean_of",
        "share_of",
    ),
    "metrics.part_ratios": ("part_ratio",),
    "plugins": ("Registry",),
    "session": ("CheckedSession",),
    "system.arguments": ("one_of", "real_number", "whole_number"),
    "system.array_files": ("read_npy", "read_npz"),
    "system.files": ("write_file",),
    "system.json_documents": ("json_document",),
    "system.missing_options": ("MissingOptions",),
    "system.reading": ("read_file",),
    "system.strict_json": ("JsonError", "read_json"),
    "tasks.explainable_model": ("ExplainableModel",),
    "tasks.explained": ("Aim", "class_of"),
    "tasks.image_kind": ("OVERLAP_OPTION", "ImageTaskKind"),
    "tasks.image_model": ("ImageModel",),
    "tasks.kind": (
        "Claim",
        "DecidingKind",
        "DecisionDifference",
        "DescribingKind",
        "ModelParts",
        "NetworkFacts",
        "ResultReplayer",
        "TaskKind",
        "TaskOption",
    ),
    "tasks.label_files": ("stated_labels",),
    "tasks.options": ("TaskOptions",),
    "tasks.single_run": ("SingleRunModel", "stated_output"),
    "tasks.texts": ("TaskTexts",),
    "tasks.tiled": ("TiledModel", "Tiles"),
    "tensors": ("Array", "TensorSpec"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605  (computed, and tested)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(f"edgevision.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
