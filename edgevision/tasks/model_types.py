"""The type of the models that `edgevision.load` returns, imported without the tasks themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a process that runs one classifier imports no other task
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.generation.build import Generator

    #: A model that is ready to be called: the bundle or the bare file determines which. Those of a plugin's
    #: tasks are further subclasses of `edgevision.tasks.api.ImageModel`.
    Model = Classifier | Detector | Generator


def __getattr__(name: str) -> Any:
    """`Model` at run time, for those who evaluate annotations: this imports all tasks."""
    if name != "Model":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.generation.build import Generator

    return Classifier | Detector | Generator
