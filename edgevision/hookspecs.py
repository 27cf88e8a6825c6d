"""The hooks that a plugin can implement.

A plugin is a module that an entry point of the group ``edgevision`` names. It implements any of
these hooks, marked with ``@edgevision.hookimpl``; ``examples/plugin_template`` is one to copy.
Importing the module must not import a runtime: that waits until a model is opened.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from edgevision.backend import Backend
    from edgevision.converter import Converter, SourceReader
    from edgevision.decoder import Decoder
    from edgevision.executor import Executor
    from edgevision.export_format import ExportFormat
    from edgevision.frame_source import FrameSource
    from edgevision.health import Health
    from edgevision.observation import Observation, StreamEvent
    from edgevision.tracker import TrackerKind

#: Version of the interface that plugins build on: the hooks, and the modules that `docs/plugins.md` lists.
#: A plugin may state the one that it was written for, in an attribute ``edgevision_interface`` of its module.
#: The number rises with what a plugin of an earlier number would not survive.
INTERFACE = 1

hookspec = pluggy.HookspecMarker("edgevision")
hookimpl = pluggy.HookimplMarker("edgevision")


@hookspec
def edgevision_backends() -> Iterable[Backend]:  # type: ignore[empty-body]
    """Runtimes that load artifacts and run them."""


@hookspec
def edgevision_readers() -> Iterable[SourceReader]:  # type: ignore[empty-body]
    """Readers of trained models."""


@hookspec
def edgevision_converters() -> Iterable[Converter]:  # type: ignore[empty-body]
    """Converters from trained models to artifacts."""


@hookspec
def edgevision_decoders() -> Iterable[Decoder]:  # type: ignore[empty-body]
    """Decoders from a detection network's outputs to boxes."""


@hookspec
def edgevision_tasks() -> Iterable[Any]:  # type: ignore[empty-body]
    """Kinds of tasks, each an `edgevision.tasks.api.TaskKind`."""


@hookspec
def edgevision_export_formats() -> Iterable[ExportFormat]:  # type: ignore[empty-body]
    """Forms of a model that other programs expect, for ``edgevision export``."""


@hookspec
def edgevision_frame_sources() -> Iterable[FrameSource]:  # type: ignore[empty-body]
    """Kinds of sources that frames of a stream come from, such as cameras."""


@hookspec
def edgevision_trackers() -> Iterable[TrackerKind]:  # type: ignore[empty-body]
    """Methods that follow the objects of a stream from frame to frame."""


@hookspec
def edgevision_executors() -> Iterable[Executor]:  # type: ignore[empty-body]
    """Where batches of many images are worked on, such as a cluster."""


@hookspec
def edgevision_targets() -> Iterable[Path]:  # type: ignore[empty-body]
    """TOML files with device profiles, in the form of ``edgevision/targets.toml``."""


@hookspec
def edgevision_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Commands for the command line ``edgevision``."""


# Observers: called after each event, in the thread that had it, which waits for them. One that raises is
# logged and breaks nothing. The caller's own objects become observers with `edgevision.observe`.


@hookspec
def edgevision_model_loaded(model: Any, path: Path) -> None:
    """Called when `edgevision.load` has opened a model from a file or bundle."""


@hookspec
def edgevision_inferred(observation: Observation) -> None:
    """Called after each answer about an image, also one that is stale, and each abstention."""


@hookspec
def edgevision_failed(observation: Observation) -> None:
    """Called where an image got no answer because of an error, which is then raised."""


@hookspec
def edgevision_dropped(observation: Observation) -> None:
    """Called where a stream dropped a frame without an answer."""


@hookspec
def edgevision_stream_event(model: Any, event: StreamEvent) -> None:
    """Called where a stream's source was opened, lost, reconnected or broken, has ended, or hangs.

    It is called by a thread of the stream, and with the model that answers about the source's frames.
    """


@hookspec
def edgevision_health_changed(health: Health, before: Health | None) -> None:
    """Called when a check or a look finds a model's health in another state, or another model in its place.

    `before` is `None` at the first look.
    """
