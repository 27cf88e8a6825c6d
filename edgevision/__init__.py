"""Put trained Keras vision models on edge devices, and prove that they still do there what they did here.

    import edgevision

    model = edgevision.load("model.evb")
    print(model("photo.jpg").top(3))

What is named here is imported when it is first used: `import edgevision` loads no runtime, no
image library, and not even numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgevision._version import __version__
from edgevision.hookspecs import hookimpl

if TYPE_CHECKING:
    from edgevision.backend import SessionSettings
    from edgevision.benchmarking.bench import bench
    from edgevision.benchmarking.tune import tune
    from edgevision.bundle.storage import read_bundle
    from edgevision.conversion.convert import ConversionSettings, convert
    from edgevision.errors import EdgeVisionError
    from edgevision.evaluation.compare import compare
    from edgevision.evaluation.evaluate import RunSettings, evaluate
    from edgevision.evidence.operating_points import OperatingPointSpecification
    from edgevision.evidence.requirements import Budget
    from edgevision.imaging.input_options import InputOptions
    from edgevision.loading.bare import BareModel
    from edgevision.loading.load import load
    from edgevision.reporting.report import write_report
    from edgevision.session import open_session
    from edgevision.tasks.classify import Classification, Classifier, ClassScore
    from edgevision.tasks.options import TaskOptions

_HOMES = {
    "BareModel": "loading.bare",
    "Budget": "evidence.requirements",
    "ClassScore": "tasks.classify",
    "Classification": "tasks.classify",
    "Classifier": "tasks.classify",
    "ConversionSettings": "conversion.convert",
    "EdgeVisionError": "errors",
    "InputOptions": "imaging.input_options",
    "OperatingPointSpecification": "evidence.operating_points",
    "RunSettings": "evaluation.evaluate",
    "SessionSettings": "backend",
    "TaskOptions": "tasks.options",
    "bench": "benchmarking.bench",
    "compare": "evaluation.compare",
    "convert": "conversion.convert",
    "evaluate": "evaluation.evaluate",
    "load": "loading.load",
    "open_session": "session",
    "read_bundle": "bundle.storage",
    "tune": "benchmarking.tune",
    "write_report": "reporting.report",
}

__all__ = [
    "BareModel",
    "Budget",
    "ClassScore",
    "Classification",
    "Classifier",
    "ConversionSettings",
    "EdgeVisionError",
    "InputOptions",
    "OperatingPointSpecification",
    "RunSettings",
    "SessionSettings",
    "TaskOptions",
    "__version__",
    "bench",
    "compare",
    "convert",
    "evaluate",
    "hookimpl",
    "load",
    "open_session",
    "read_bundle",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgevision' has no attribute '{name}'")
    value = getattr(import_module(f"edgevision.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
