"""Bare artifacts: files without a bundle, and the options that describe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import ArtifactDescription, Backend, DescribingBackend
from edgevision.errors import OptionError
from edgevision.imaging.input_options import InputOptions, StatedNormalization, resolve_preprocessing
from edgevision.imaging.preprocess import Preprocessing
from edgevision.loading.choice import Request, choose_backend
from edgevision.loading.own_description import own_description
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.tasks.labels import as_labels

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
        labels: one name per class.
        score_kind: of a classifier's output: ``softmax``, ``sigmoid`` or ``logits``.
        output: name of the output with the scores, where there are several.
        decoder: name of the decoder that turns the outputs of a detector into boxes.
        decoder_settings: settings of that decoder, besides those that it recognises; an array may also be the
            `Path` of a ``.npy`` or ``.json`` file, which is read at once.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: Sequence[str] | None = None
    score_kind: str | None = None
    output: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels is not None:
            object.__setattr__(self, "labels", as_labels(self.labels))
        if self.decoder_settings:
            from edgevision.tasks.setting_files import read_setting_files

            object.__setattr__(self, "decoder_settings", read_setting_files(self.decoder_settings))


def load_bare(path: Path, request: Request, bare: BareModel, plugins: Registry) -> Model:
    """Load a bare file: a `Classifier` or a `Detector`.

    Raises:
        OptionError: the file needs an option that `bare` does not have.
        PluginError, MissingRuntimeError, DeviceError: the backend or device is not available.
        ArtifactError: the file cannot be read, or the runtime refuses it.
    """
    artifact = read_artifact(path)
    backend = choose_backend(path, artifact.format, request, plugins)
    own = own_description(artifact, plugins)
    metadata = ArtifactDescription() if own is not None else _description(artifact, backend, plugins)
    with ExitStack() as stack:
        session = stack.enter_context(open_session(backend, artifact, request.settings))
        if own is not None:
            from edgevision.loading.described import described_model

            model = described_model(path, session, own, bare, plugins)
            stack.pop_all()
            return model
        stated = None
        if metadata.value_range is not None:
            stated = StatedNormalization(
                metadata.value_range, metadata.mean or (0.0,), metadata.scale or (1.0,)
            )
        preprocessing = resolve_preprocessing(session.inputs[0], bare.image, stated, str(path))
        choice = _bare_decoder(path, session, preprocessing.size_wh, bare, metadata, plugins)
        model = (
            _bare_classifier(path, session, preprocessing, bare, metadata)
            if choice is None
            else _bare_detector(session, preprocessing, choice, bare, metadata)
        )
        stack.pop_all()  # the model closes the session from here on
    return model


def _bare_classifier(
    path: Path,
    session: CheckedSession,
    preprocessing: Preprocessing,
    bare: BareModel,
    metadata: ArtifactDescription,
) -> Classifier:
    from edgevision.tasks.classify import Classifier, class_count, score_output

    output = score_output(session.outputs, bare.output)
    score_kind = bare.score_kind or metadata.score_kind
    if score_kind is None:
        raise OptionError(f"{path}: cannot infer the output type; pass --scores softmax, sigmoid, or logits")
    if bare.score_kind is None and score_kind == "logits" and not (bare.labels or metadata.labels):
        raise OptionError(
            f"{path}: output '{output.name}' is linear ({output.describe()}): these may be logits or the "
            f"values of a regression; for a classifier pass --scores logits or --labels FILE"
        )
    labels = bare.labels or metadata.labels or [f"class {n}" for n in range(class_count(output))]
    return Classifier(session, preprocessing, labels, score_kind, output.name)


def _bare_detector(
    session: CheckedSession,
    preprocessing: Preprocessing,
    choice: DecoderChoice,
    bare: BareModel,
    metadata: ArtifactDescription,
) -> Detector:
    from edgevision.tasks.detect import Detector

    task, labels = choice.task(bare.decoder_settings), bare.labels or metadata.labels or ()
    return Detector(session, preprocessing, labels, task, choice.decoder)


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
