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
    from edgevision.benchmarking.tuning_table import tune
    from edgevision.bundle import read_bundle
    from edgevision.conversion import ConversionSettings, convert
    from edgevision.errors import EdgeVisionError
    from edgevision.evaluation.budget import Budget
    from edgevision.evaluation.comparing import compare
    from edgevision.evaluation.evaluating import RunSettings, evaluate
    from edgevision.evaluation.operating_points import OperatingDemand
    from edgevision.evaluation.proofs import TaskOptions
    from edgevision.input_options import InputOptions
    from edgevision.reporting.report import write_report
    from edgevision.runtime import BareModel, load
    from edgevision.session import open_session
    from edgevision.tasks.classify import Classification, Classifier, ClassScore

_HOMES = {
    "BareModel": "runtime",
    "Budget": "evaluation.budget",
    "ClassScore": "tasks.classify",
    "Classification": "tasks.classify",
    "Classifier": "tasks.classify",
    "ConversionSettings": "conversion",
    "EdgeVisionError": "errors",
    "InputOptions": "input_options",
    "OperatingDemand": "evaluation.operating_points",
    "RunSettings": "evaluation.evaluating",
    "SessionSettings": "backend",
    "TaskOptions": "evaluation.proofs",
    "bench": "benchmarking.bench",
    "compare": "evaluation.comparing",
    "convert": "conversion",
    "evaluate": "evaluation.evaluating",
    "load": "runtime",
    "open_session": "session",
    "read_bundle": "bundle",
    "tune": "benchmarking.tuning_table",
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
    "OperatingDemand",
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
