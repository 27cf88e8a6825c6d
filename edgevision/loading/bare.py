"""Bare artifacts: files without a bundle, and the options that describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgevision.artifact import Artifact, FileFormat, format_of
from edgevision.backend import ArtifactDescription, Backend
from edgevision.bundle.layout import is_bundle
from edgevision.errors import EdgeVisionError, MissingOptionError, OpenSizeError, OptionError
from edgevision.imaging.input_options import (
    InputOptions,
    StatedNormalization,
    image_layout,
    resolve_preprocessing,
)
from edgevision.imaging.preprocess import Preprocessing
from edgevision.loading.choice import Request, choose_backend
from edgevision.loading.companions import read_with_companions
from edgevision.loading.first_load import NEVER, check_bare, selftest_mode
from edgevision.loading.metadata import check_metadata, describe_artifact
from edgevision.loading.opening import open_for
from edgevision.loading.own_description import own_description
from edgevision.plugins import Registry
from edgevision.session import CheckedSession
from edgevision.system.arguments import instance, mapping, optional_text
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.labels import abbreviated, background_hint

if TYPE_CHECKING:  # a process that runs one bare classifier imports no bundles, and no other tasks
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.image_model import ImageModel
    from edgevision.tasks.kind import DescribingKind, NetworkFacts
    from edgevision.tasks.model_types import Model
    from edgevision.tasks.recognition import DecoderChoice
    from edgevision.tasks.task_choice import TaskChoice
    from edgevision.tensors import TensorSpec

#: Of detectors that leave the size of their input open.
_USUAL_SIZE_WH = (640, 640)


@dataclass(frozen=True)
class BareModel:
    """Options for a bare file. A field that is not `None` overrides the file's own metadata.

    Attributes:
        image: size, values and colour of the input.
        labels: one name per class, in the network's order; or the path of a label file, or a dictionary of
            ids and names, as for `edgevision.tasks.label_files.stated_labels`. Read at once.
        score_kind: of a classifier's output: ``softmax``, ``sigmoid`` or ``logits``.
        output: name of the output with the scores, where there are several.
        decoder: name of the decoder that turns the outputs of a detector into boxes.
        decoder_settings: settings of that decoder, besides those that it recognises; an array may also be the
            `Path` of a ``.npy`` or ``.json`` file, which is read at once.
        task: name of the kind of task, such as ``classify`` or a plugin's; `None` leaves it to the file.
        task_options: options of that kind, by name.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: Sequence[str] | Mapping[Any, Any] | str | Path | None = None
    score_kind: str | None = None
    output: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    task_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instance(self.image, InputOptions, "image")
        for name in ("score_kind", "output", "decoder", "task"):
            object.__setattr__(self, name, optional_text(getattr(self, name), name))
        mapping(self.decoder_settings, "decoder_settings")
        mapping(self.task_options, "task_options")
        if self.labels is not None:
            from edgevision.tasks.label_files import stated_labels

            object.__setattr__(self, "labels", stated_labels(self.labels))
        if self.decoder_settings:
            from edgevision.tasks.setting_files import read_setting_files

            object.__setattr__(self, "decoder_settings", read_setting_files(self.decoder_settings))
        if self.task_options:
            from edgevision.tasks.setting_files import read_setting_files

            object.__setattr__(self, "task_options", read_setting_files(self.task_options))

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels as names in the network's order; empty if they are not stated."""
        return self.labels if isinstance(self.labels, tuple) else ()

    @property
    def stated_fields(self) -> frozenset[str]:
        """The fields of `edgevision.backend.UnsupportedMetadata` that are stated here."""
        image, family = self.image, self.image.applications is not None
        stated = {
            "values": family or image.value_range is not None,
            "color": family or image.color is not None,
            "resize": image.resize is not None,
            "interpolation": image.interpolation is not None,
            "size": image.size_wh is not None,
            "labels": self.labels is not None,
            "scores": self.score_kind is not None,
            "decoder": self.decoder is not None,
            "kind": not all(one is None for one in (self.score_kind, self.decoder, self.task)),
        }
        return frozenset(name for name, is_stated in stated.items() if is_stated)


def bare_options(
    path: Path, bare: BareModel | None, for_bundles: Mapping[str, object] | None = None
) -> BareModel | None:
    """The options for a bare file, the default ones where the caller has none; `None` for a bundle.

    Args:
        path: a bundle or a bare file.
        bare: the caller's options for bare files.
        for_bundles: name -> value of the caller's arguments that only bundles take.

    Raises:
        OptionError: there are options for bare files and this is a bundle, or the other way round.
    """
    bare = None if bare is None else instance(bare, BareModel, "bare")
    if is_bundle(path):
        if bare is not None:
            raise OptionError(
                f"{path}: a bundle defines its own preprocessing and labels; "
                "remove the options for bare files"
            )
        return None
    for name, value in (for_bundles or {}).items():
        if value:
            raise OptionError(f"{path}: {name} is for bundles, and this is a bare file; remove it")
    return bare or BareModel()


class OpenBare(NamedTuple):
    """A bare file that has been opened.

    Attributes:
        model: closes its session.
        artifact: the file's content.
        backend: runs it.
    """

    model: Model
    artifact: Artifact
    backend: Backend

    def recognizer(self, path: Path) -> ImageModel[Any]:
        """The model, if it answers about images.

        Raises:
            OptionError: it generates images; it is closed.
        """
        from edgevision.tasks.image_model import ImageModel
        from edgevision.tasks.kind import kind_of

        if isinstance(self.model, ImageModel) and kind_of(self.model.task).takes_images:
            return self.model
        self.model.close()
        raise OptionError(f"{path}: generates images; pass its bundle, or run edgevision generate")


def load_bare(path: Path, request: Request, bare: BareModel, plugins: Registry) -> Model:
    """Load a bare file: a `Classifier` or a `Detector`; raises as `open_bare`."""
    return open_bare(path, request, bare, plugins).model


def open_bare(path: Path, request: Request, bare: BareModel, plugins: Registry) -> OpenBare:
    """Open a bare file, with what it was read from and what runs it.

    Raises:
        OptionError: the file needs an option that `bare` does not have, or its metadata says something that
            EdgeVision does not support and `bare` does not override.
        PluginError, MissingRuntimeError, DeviceError: the backend or device is not available.
        ArtifactError: the file cannot be read, or the runtime refuses it.
    """
    formats = known_formats(path, request.backend, plugins)
    artifact = read_with_companions(path, formats, plugins, request.backend)
    backend = choose_backend(path, artifact.format, request, plugins)
    # An isolated session has a process of its own, and runs once on zeros there.
    mode = selftest_mode(request.selftest) if request.isolation is None else NEVER
    own = own_description(artifact, plugins, backend)
    if own is not None:
        from edgevision.loading.described import described_model

        check_bare(path, artifact, backend, request.settings, mode)
        with ExitStack() as stack:
            session = stack.enter_context(open_for(request.isolation, backend, artifact, request.settings))
            described = described_model(path, session, own, bare, plugins)
            stack.pop_all()
        return OpenBare(described, artifact, backend)
    metadata = describe_artifact(artifact, backend, plugins)
    named = None if bare.decoder is None else plugins.decoder(bare.decoder)
    check_metadata(path, metadata, bare.stated_fields, named, bare.task)
    settings = replace(request.settings, image_size_wh=bare.image.size_wh or metadata.size_wh)
    with ExitStack() as stack:
        try:
            check_bare(path, artifact, backend, settings, mode)
            session = stack.enter_context(open_for(request.isolation, backend, artifact, settings))
        except OpenSizeError as error:
            asked = _asked_at_a_usual_size(
                path, artifact, backend, replace(request, settings=settings), bare, metadata, plugins, mode
            )
            raise OpenSizeError(f"{error}{asked}") from error
        model: Model
        chosen = _describing_kind(path, session, bare, metadata, plugins)
        if chosen is not None:
            model = _bare_model(path, session, *chosen, bare, metadata, plugins)
        else:
            preprocessing, choice = _resolved(path, session, bare, metadata, plugins)
            model = (
                _bare_classifier(path, session, preprocessing, bare, metadata)
                if choice is None
                else _bare_detector(path, session, preprocessing, choice, bare, metadata)
            )
        stack.pop_all()  # the model closes the session from here on
    return OpenBare(model, artifact, backend)


def _describing_kind(
    path: Path, session: CheckedSession, bare: BareModel, metadata: ArtifactDescription, plugins: Registry
) -> tuple[TaskChoice, DescribingKind] | None:
    """The kind of task that describes the network itself; `None` for those with options of their own.

    Raises:
        PluginError: there is no kind that `bare` names.
        OptionError: it has no such option.
    """
    said = metadata.task or metadata.decoders or bare.decoder or bare.output or bare.score_kind
    if bare.task is None and said:
        return None
    from edgevision.tasks.kind import DescribingKind
    from edgevision.tasks.task_choice import choose_task

    try:
        choice = choose_task(_facts(path, session, bare, plugins))
    except MissingOptionError:
        return None  # asked for with everything else that is missing
    return (choice, choice.kind) if isinstance(choice.kind, DescribingKind) else None


def _facts(path: Path, session: CheckedSession, bare: BareModel, plugins: Registry) -> NetworkFacts:
    from edgevision.tasks.kind import NetworkFacts
    from edgevision.tasks.options import TaskOptions

    names = ("image", "labels", "output", "score_kind", "decoder", "decoder_settings", "task", "task_options")
    options = TaskOptions(**{name: getattr(bare, name) for name in names})
    size_wh = image_layout(session.inputs[0], str(path))[1]
    return NetworkFacts(session.outputs, size_wh, options, plugins, str(path))


def _bare_model(
    path: Path,
    session: CheckedSession,
    choice: TaskChoice,
    kind: DescribingKind,
    bare: BareModel,
    metadata: ArtifactDescription,
    plugins: Registry,
) -> Model:
    """The model of a kind that describes the network itself.

    Raises:
        MissingOptionError: names everything that neither the file nor the caller states.
    """
    from edgevision.tasks.kind import ModelParts

    missing = MissingOptions(str(path))
    with missing.collected():
        preprocessing = resolve_preprocessing(session.inputs[0], bare.image, _stated(metadata), str(path))
    facts = _facts(path, session, bare, plugins)
    with missing.collected(), choice.hinted(facts):
        task = kind.describe(facts)
    missing.check()
    labels = _labels(path, bare, metadata.labels)
    model: Model = kind.model(session, task, ModelParts(preprocessing, labels, None, plugins))
    return model


def _asked_at_a_usual_size(
    path: Path,
    artifact: Artifact,
    backend: Backend,
    request: Request,
    bare: BareModel,
    metadata: ArtifactDescription,
    plugins: Registry,
    mode: str,
) -> str:
    """The further questions to a caller whose artifact has an open size; empty if nothing else is missing."""
    with suppress(EdgeVisionError):
        probe = replace(request.settings, image_size_wh=_USUAL_SIZE_WH)
        check_bare(path, artifact, backend, probe, mode)
        with open_for(request.isolation, backend, artifact, probe) as session:
            try:
                _resolved(path, session, bare, metadata, plugins)
            except MissingOptionError as error:
                return f"; besides, {MissingOptionError('', *error.questions)}"
    return ""


def _resolved(
    path: Path,
    session: CheckedSession,
    bare: BareModel,
    metadata: ArtifactDescription,
    plugins: Registry,
) -> tuple[Preprocessing, DecoderChoice | None]:
    """The preprocessing, and the decoder of a detector.

    Raises:
        MissingOptionError: names everything that neither the file nor the caller states.
        OptionError: the size that the caller or the file states is not the input's.
    """
    where, spec = str(path), session.inputs[0]
    size_wh = image_layout(spec, where)[1]
    _check_size(where, size_wh, bare, metadata)
    missing, stated = MissingOptions(where), _stated(metadata)
    with missing.collected():
        preprocessing = resolve_preprocessing(spec, bare.image, stated, where)
    with missing.collected():
        choice = _bare_decoder(path, session, size_wh, bare, metadata, plugins)
        if choice is None:
            if bare.decoder_settings:
                raise OptionError(
                    f"{where}: decoder settings are for detectors, and this file is read as a "
                    "classifier; pass --decoder NAME as well, or remove them"
                )
            _score_kind(path, _score_output(session, bare, metadata), bare, metadata)
        else:
            from edgevision.tasks.base import image_outputs

            choice.check_stated(image_outputs(session.outputs), size_wh, bare.decoder_settings)
    missing.check()
    if choice is not None:
        from edgevision.decoder import family_resize

        family = family_resize(choice.decoder)
        return resolve_preprocessing(spec, bare.image, stated, where, family), choice
    if metadata.decoders and metadata.task is None:  # what was said was said of a detector
        return resolve_preprocessing(spec, bare.image, None, where), None
    return preprocessing, None


def known_formats(path: Path, backend: str | None, plugins: Registry) -> tuple[FileFormat, ...]:
    """The file formats of the backend that was asked for, or of all where it has none for this file."""
    own = plugins.file_formats(backend)
    return own if format_of(path, own) is not None else plugins.file_formats()


def _stated(metadata: ArtifactDescription) -> StatedNormalization:
    return StatedNormalization(
        metadata.value_range,
        metadata.mean or (0.0,),
        metadata.scale or (1.0,),
        metadata.color,
        metadata.resize,
        metadata.interpolation,
        metadata.pad_value,
        metadata.integers_as_pixels,
    )


def _check_size(where: str, size_wh: tuple[int, int], bare: BareModel, metadata: ArtifactDescription) -> None:
    """Refuse a size, from the caller or else from the metadata, that is not the input's."""
    by_caller = bare.image.size_wh is not None
    expected = bare.image.size_wh or metadata.size_wh
    if expected in (None, size_wh):
        return
    (width, height), (other_width, other_height) = size_wh, expected
    said = "you passed" if by_caller else "its metadata says"
    raise OptionError(
        f"{where}: the input takes images of {width}x{height}, but {said} {other_width}x{other_height}; "
        + ("leave the size out" if by_caller else f"if that is wrong pass --input-size {width}x{height}")
    )


def _bare_classifier(
    path: Path,
    session: CheckedSession,
    preprocessing: Preprocessing,
    bare: BareModel,
    metadata: ArtifactDescription,
) -> Classifier:
    from edgevision.tasks.classify import Classifier, class_count

    output = _score_output(session, bare, metadata)
    own_labels = _own_labels(class_count(output), metadata)
    labels = _labels(path, bare, own_labels) or [f"class {n}" for n in range(class_count(output))]
    return Classifier(
        session,
        preprocessing,
        labels,
        _score_kind(path, output, bare, metadata),
        output.name,
        score_sigmoids=metadata.score_sigmoids,
        score_threshold=metadata.thresholds.get("score_threshold", 0.0),
    )


def _score_output(session: CheckedSession, bare: BareModel, metadata: ArtifactDescription) -> TensorSpec:
    from edgevision.tasks.classify import score_output

    main = tuple(spec for spec in session.outputs if spec.name not in metadata.side_outputs)
    return score_output(session.outputs if bare.output else main, bare.output)


def _own_labels(classes: int, metadata: ArtifactDescription) -> tuple[str, ...] | None:
    """The labels in the metadata, with the one that it leaves out."""
    labels = metadata.labels
    if labels and metadata.first_label and classes == len(labels) + 1:
        return (metadata.first_label, *labels)
    return labels


def _score_kind(path: Path, output: TensorSpec, bare: BareModel, metadata: ArtifactDescription) -> str:
    """The type of a classifier's output.

    Raises:
        MissingOptionError: neither the file nor the caller says it; a linear last layer is no classifier.
    """
    score_kind = bare.score_kind or metadata.score_kind
    if score_kind is None:
        raise MissingOptionError(
            str(path), "cannot infer the output type; pass --scores softmax, sigmoid, or logits"
        )
    if bare.score_kind is None and score_kind == "logits" and not (bare.labels or metadata.labels):
        raise MissingOptionError(
            str(path),
            f"output '{output.name}' is linear ({output.describe()}): these may be logits or the "
            f"values of a regression; for a classifier pass --scores logits or --labels FILE",
        )
    return score_kind


def _bare_detector(
    path: Path,
    session: CheckedSession,
    preprocessing: Preprocessing,
    choice: DecoderChoice,
    bare: BareModel,
    metadata: ArtifactDescription,
) -> Detector:
    from edgevision.decoder import nms_applied
    from edgevision.tasks.detect import Detector

    thresholds = dict(metadata.thresholds)
    if nms_applied(choice.decoder):
        thresholds.pop("iou_threshold", None)
    task, labels = choice.task(bare.decoder_settings, thresholds), _labels(path, bare, metadata.labels)
    return Detector(session, preprocessing, labels, task, choice.decoder, metadata.score_sigmoids)


def _labels(path: Path, bare: BareModel, own: tuple[str, ...] | None) -> tuple[str, ...]:
    """The stated labels, else the model's own; empty without either.

    Raises:
        OptionError: there are both, of different numbers.
    """
    stated, own = bare.label_names, own or ()
    if stated and own and len(stated) != len(own):
        raise OptionError(
            f"{path}: {len(stated)} labels were passed, but the model itself names {len(own)} classes "
            f"({abbreviated(own[:3])}, …){background_hint(len(stated), len(own))}"
        )
    return stated or own


def _bare_decoder(
    path: Path,
    session: CheckedSession,
    size_wh: tuple[int, int],
    bare: BareModel,
    metadata: ArtifactDescription,
    plugins: Registry,
) -> DecoderChoice | None:
    """The decoder of a bare detector; `None` for a classifier."""
    if bare.decoder is None and (metadata.task == "classify" or bare.output or bare.score_kind):
        return None
    from edgevision.tasks.base import image_outputs
    from edgevision.tasks.recognition import choose_decoder, described_decoder, unrecognised

    outputs = image_outputs(session.outputs)
    if metadata.decoders and bare.decoder in (None, *metadata.decoders):
        labels = bare.label_names or metadata.labels
        stated = {
            name: {**settings, **_named_outputs(metadata, name, outputs)}
            for name, settings in metadata.decoders.items()
            if bare.decoder in (None, name)
        }
        return described_decoder(
            str(path), outputs, size_wh, plugins, stated, None if labels is None else len(labels)
        )
    choice = choose_decoder(str(path), outputs, size_wh, plugins, bare.decoder)
    if choice is None and metadata.task == "detect":
        raise unrecognised(str(path), outputs, plugins.decoders())
    return choice


def _named_outputs(
    metadata: ArtifactDescription, decoder: str, outputs: Sequence[TensorSpec]
) -> dict[str, str]:
    """Settings of the first decoder that name outputs."""
    if decoder != next(iter(metadata.decoders)):
        return {}
    return {name: outputs[place].name for name, place in metadata.output_places.items()}
