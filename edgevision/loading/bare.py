"""Bare artifacts: files without a bundle, and the options that describe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgevision.artifact import Artifact, FileFormat, format_of, read_artifact
from edgevision.backend import ArtifactDescription, Backend, DescribingBackend
from edgevision.errors import MissingOptionError, OptionError
from edgevision.imaging.input_options import (
    InputOptions,
    StatedNormalization,
    image_layout,
    resolve_preprocessing,
)
from edgevision.imaging.preprocess import Preprocessing
from edgevision.loading.choice import Request, choose_backend
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.labels import abbreviated, background_hint

if TYPE_CHECKING:  # a process that runs one bare classifier imports no bundles, and no other tasks
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.kinds import Model
    from edgevision.tasks.recognition import DecoderChoice


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

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: Sequence[str] | Mapping[Any, Any] | str | Path | None = None
    score_kind: str | None = None
    output: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels is not None:
            from edgevision.tasks.label_files import stated_labels

            object.__setattr__(self, "labels", stated_labels(self.labels))
        if self.decoder_settings:
            from edgevision.tasks.setting_files import read_setting_files

            object.__setattr__(self, "decoder_settings", read_setting_files(self.decoder_settings))

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels as names in the network's order; empty if they are not stated."""
        return self.labels if isinstance(self.labels, tuple) else ()


class OpenBare(NamedTuple):
    """A bare file that has been opened.

    Attributes:
        model: closes its session.
        artifact: the file's content.
        backend: runs it.
    """

    model: Classifier | Detector
    artifact: Artifact
    backend: Backend


def load_bare(path: Path, request: Request, bare: BareModel, plugins: Registry) -> Model:
    """Load a bare file: a `Classifier` or a `Detector`; raises as `open_bare`."""
    return open_bare(path, request, bare, plugins).model


def open_bare(path: Path, request: Request, bare: BareModel, plugins: Registry) -> OpenBare:
    """Open a bare file, with what it was read from and what runs it.

    Raises:
        OptionError: the file needs an option that `bare` does not have.
        PluginError, MissingRuntimeError, DeviceError: the backend or device is not available.
        ArtifactError: the file cannot be read, or the runtime refuses it.
    """
    artifact = read_artifact(path, known_formats(path, request.backend, plugins))
    backend = choose_backend(path, artifact.format, request, plugins)
    metadata = _description(artifact, backend, plugins)
    with ExitStack() as stack:
        session = stack.enter_context(open_session(backend, artifact, request.settings))
        stated = None
        if metadata.value_range is not None:
            stated = StatedNormalization(
                metadata.value_range, metadata.mean or (0.0,), metadata.scale or (1.0,)
            )
        preprocessing, choice = _stated(path, session, bare, metadata, stated, plugins)
        model: Classifier | Detector = (
            _bare_classifier(path, session, preprocessing, bare, metadata)
            if choice is None
            else _bare_detector(path, session, preprocessing, choice, bare, metadata)
        )
        stack.pop_all()  # the model closes the session from here on
    return OpenBare(model, artifact, backend)


def _stated(
    path: Path,
    session: CheckedSession,
    bare: BareModel,
    metadata: ArtifactDescription,
    normalization: StatedNormalization | None,
    plugins: Registry,
) -> tuple[Preprocessing, DecoderChoice | None]:
    """The preprocessing, and the decoder of a detector.

    Raises:
        MissingOptionError: names everything that neither the file nor the caller states.
    """
    missing, spec = MissingOptions(str(path)), session.inputs[0]
    with missing.collected():
        preprocessing = resolve_preprocessing(spec, bare.image, normalization, str(path))
    with missing.collected():
        size_wh = image_layout(spec, str(path))[1]
        choice = _bare_decoder(path, session, size_wh, bare, metadata, plugins)
        if choice is None:
            _score_kind(path, session, bare, metadata)
        else:
            from edgevision.tasks.detect import image_outputs

            choice.check_stated(image_outputs(session.outputs), size_wh, bare.decoder_settings)
    missing.check()
    return preprocessing, choice


def known_formats(path: Path, backend: str | None, plugins: Registry) -> tuple[FileFormat, ...]:
    """The file formats of the backend that was asked for, or of all where it has none for this file."""
    own = plugins.file_formats(backend)
    return own if format_of(path, own) is not None else plugins.file_formats()


def _bare_classifier(
    path: Path,
    session: CheckedSession,
    preprocessing: Preprocessing,
    bare: BareModel,
    metadata: ArtifactDescription,
) -> Classifier:
    from edgevision.tasks.classify import Classifier, class_count, score_output

    output, score_kind = (
        score_output(session.outputs, bare.output),
        _score_kind(path, session, bare, metadata),
    )
    labels = _labels(path, bare, metadata) or [f"class {n}" for n in range(class_count(output))]
    return Classifier(session, preprocessing, labels, score_kind, output.name)


def _score_kind(path: Path, session: CheckedSession, bare: BareModel, metadata: ArtifactDescription) -> str:
    """The type of a classifier's output.

    Raises:
        MissingOptionError: neither the file nor the caller says it; a linear last layer is no classifier.
    """
    from edgevision.tasks.classify import score_output

    output = score_output(session.outputs, bare.output)
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
    from edgevision.tasks.detect import Detector

    task, labels = choice.task(bare.decoder_settings), _labels(path, bare, metadata)
    return Detector(session, preprocessing, labels, task, choice.decoder)


def _labels(path: Path, bare: BareModel, metadata: ArtifactDescription) -> tuple[str, ...]:
    """The stated labels, else the model's own; empty without either.

    Raises:
        OptionError: there are both, of different numbers.
    """
    stated, own = bare.label_names, metadata.labels or ()
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
    from edgevision.tasks.detect import image_outputs
    from edgevision.tasks.recognition import DecoderChoice, choose_decoder, unrecognised

    outputs = image_outputs(session.outputs)
    if bare.decoder is None and metadata.decoder is not None:
        settings = {name: outputs[place].name for name, place in metadata.output_places.items()}
        return DecoderChoice(plugins.decoder(metadata.decoder), settings)
    choice = choose_decoder(str(path), outputs, size_wh, plugins, bare.decoder)
    if choice is None and metadata.task == "detect":
        raise unrecognised(str(path), outputs, plugins.decoders())
    return choice


def _description(artifact: Artifact, runner: Backend, plugins: Registry) -> ArtifactDescription:
    """The artifact's own metadata, read by the backend that runs it, else by any whose own format it is."""
    for backend in _starting_with(runner, plugins):
        if artifact.format in backend.formats[:1] and isinstance(backend, DescribingBackend):
            return backend.describe(artifact)
    return ArtifactDescription()


def _starting_with(runner: Backend, plugins: Registry) -> Iterator[Backend]:
    yield runner
    yield from plugins.backends().values()
