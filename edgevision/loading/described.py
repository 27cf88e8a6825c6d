"""Bare files that carry the complete description of their model: the answers of the bundle, without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgevision.description import ModelDescription
from edgevision.errors import ArtifactError, OptionError
from edgevision.imaging.levels import MAPPING_FIELDS
from edgevision.imaging.preprocess import Preprocessing, keras_applications_preprocessing
from edgevision.plugins import Registry
from edgevision.tasks.description import ClassifyTask, DetectTask, task_from_dict
from edgevision.tasks.score_calibration import score_calibration_from
from edgevision.tasks.task_model import model_of_task

if TYPE_CHECKING:
    from edgevision.imaging.input_options import InputOptions
    from edgevision.session import CheckedSession
    from edgevision.tasks.description import Task
    from edgevision.tasks.model_types import Model


class _BareOptions(Protocol):
    """The caller's options for a bare file, as `edgevision.loading.bare.BareModel` has them."""

    @property
    def image(self) -> InputOptions: ...
    @property
    def label_names(self) -> tuple[str, ...]: ...
    @property
    def score_kind(self) -> str | None: ...
    @property
    def output(self) -> str | None: ...
    @property
    def decoder(self) -> str | None: ...
    @property
    def decoder_settings(self) -> Mapping[str, Any]: ...
    @property
    def task(self) -> str | None: ...
    @property
    def task_options(self) -> Mapping[str, Any]: ...


def described_model(
    path: Path, session: CheckedSession, description: ModelDescription, bare: _BareOptions, plugins: Registry
) -> Model:
    """The model of a bare file with a description, and with the caller's options in place of what it says.

    Raises:
        ArtifactError: the description is not valid.
        OptionError: an option is not for this task, or does not match the network.
    """
    where = f"{path}: its description"
    try:
        how = description.preprocessing
        preprocessing = None if how is None else Preprocessing.from_dict(how, f"{where}: preprocessing")
        task = task_from_dict(dict(description.task), f"{where}: task")
        calibration = score_calibration_from(description.score_calibration)
    except OptionError as error:
        raise ArtifactError(f"{error}; convert the model again") from error
    if preprocessing is not None:
        preprocessing = _with_image_options(preprocessing, bare.image)
    labels = bare.label_names or description.labels
    if description.labels and len(labels) != len(description.labels):
        raise OptionError(
            f"{path}: {len(labels)} labels were passed, but the model itself names "
            f"{len(description.labels)} classes ({', '.join(description.labels[:3])}, …)"
        )
    changed = _with_task_options(path, task, bare)
    if changed != task or labels != description.labels:
        calibration = None  # it was fitted to the scores and the classes that the file describes
    return model_of_task(session, changed, preprocessing, labels, calibration, plugins)


def _with_image_options(how: Preprocessing, options: InputOptions) -> Preprocessing:
    names = [field.name for field in fields(options) if field.name not in ("applications", "size_wh")]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if not options.mapping.is_plain:
        given = {**dict.fromkeys(MAPPING_FIELDS), **given}
    if options.size_wh not in (None, how.size_wh):
        given["size_wh"] = options.size_wh  # the network refuses another than its own
    if options.applications is not None:
        given = {**keras_applications_preprocessing(options.applications), **given}
    elif options.value_range is not None:
        given = {"mean": (0.0,), "scale": (1.0,), **given}
    return replace(how, **given)


def _with_task_options(path: Path, task: Task, bare: _BareOptions) -> Task:
    if bare.task_options or bare.task not in (None, task.name):
        raise OptionError(f"{path}: says that it is for task '{task.name}'; remove --task and --task-option")
    is_decoded = bare.decoder is not None or bool(bare.decoder_settings)
    if isinstance(task, ClassifyTask) and not is_decoded:
        return replace(task, output=bare.output or task.output, score_kind=bare.score_kind or task.score_kind)
    if isinstance(task, DetectTask) and bare.output is None and bare.score_kind is None:
        if bare.decoder is not None and bare.decoder != task.decoder:
            return replace(task, decoder=bare.decoder, decoder_settings=bare.decoder_settings)
        return replace(task, decoder_settings={**task.decoder_settings, **bare.decoder_settings})
    if not is_decoded and bare.output is None and bare.score_kind is None:
        return task
    raise OptionError(f"{path}: says that it is for task '{task.name}'; remove the options of another task")
