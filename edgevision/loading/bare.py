"""Bare artifacts: files without a bundle, and what a caller says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import (
    ArtifactDescription,
    Backend,
    DescribingBackend,
    SessionSettings,
)
from edgevision.errors import DeviceError, EdgeVisionError, OptionError
from edgevision.imaging.input_options import InputOptions, StatedNormalization, resolve_preprocessing
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session

if TYPE_CHECKING:  # a process that runs one bare classifier imports no bundles, and no other tasks
    from edgevision.tasks.classify import Classifier
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.generation.build import Generator
    from edgevision.tasks.recognition import DecoderChoice

    #: What `load` gives: the bundle, or the bare file, says which.
    Model = Classifier | Detector | Generator


#: The backend that a bare artifact of a format runs on, if none is asked for: the first that is
#: ready. A fixed order, so that the same machine makes the same choice every time.
BACKENDS_OF_FORMAT = {
    "tflite": ("tflite", "openvino"),
    "openvino": ("openvino",),
    "onnx": ("cuda", "onnx", "openvino"),
}


@dataclass(frozen=True)
class BareModel:
    """What a bare artifact does not say of itself. `None` leaves a field to what it says.

    Attributes:
        image: what its input takes.
        labels: one name a class.
        score_kind: ``softmax``, ``sigmoid`` or ``logits``: what its output holds.
        output: name of the output with the scores, where there are several.
        decoder: name of the decoder that turns the outputs of a detector into boxes.
        decoder_settings: what that decoder is to know beside what it recognises.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: Sequence[str] | None = None
    score_kind: str | None = None
    output: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)


def load_bare(
    path: Path, backend: str | None, settings: SessionSettings, bare: BareModel, plugins: Registry
) -> Model:
    artifact = read_artifact(path)
    runner = _bare_backend(path, artifact, backend, settings.device, plugins)
    said = _description(artifact, runner, plugins)
    session = open_session(runner, artifact, settings)
    try:
        found = None
        if said.value_range is not None:
            found = StatedNormalization(said.value_range, said.mean or (0.0,), said.scale or (1.0,))
        preprocessing = resolve_preprocessing(session.inputs[0], bare.image, found, str(path))
        choice = _bare_decoder(path, session, preprocessing.size_wh, bare, said, plugins)
        if choice is None:
            return _bare_classifier(path, session, preprocessing, bare, said)
        return _bare_detector(session, preprocessing, choice, bare, said)
    except EdgeVisionError:
        session.close()
        raise


def _bare_classifier(
    path: Path,
    session: CheckedSession,
    preprocessing: Preprocessing,
    bare: BareModel,
    said: ArtifactDescription,
) -> Classifier:
    from edgevision.tasks.classify import Classifier, class_count, score_output

    output = score_output(session.outputs, bare.output)
    score_kind = bare.score_kind or said.score_kind
    if score_kind is None:
        raise OptionError(
            f"{path}: nothing in it tells what its output holds; type --scores softmax, sigmoid or logits"
        )
    labels = bare.labels or said.labels or [f"class {n}" for n in range(class_count(output))]
    return Classifier(session, preprocessing, labels, score_kind, output.name)


def _bare_detector(
    session: CheckedSession,
    preprocessing: Preprocessing,
    choice: DecoderChoice,
    bare: BareModel,
    said: ArtifactDescription,
) -> Detector:
    from edgevision.tasks.detect import Detector

    task, labels = choice.task(bare.decoder_settings), bare.labels or said.labels or ()
    return Detector(session, preprocessing, labels, task, choice.decoder)


def _bare_decoder(
    path: Path,
    session: CheckedSession,
    size_wh: tuple[int, int],
    bare: BareModel,
    said: ArtifactDescription,
    plugins: Registry,
) -> DecoderChoice | None:
    """The decoder of a bare detector; `None` for a classifier."""
    if bare.decoder is None and (said.task == "classify" or bare.output or bare.score_kind):
        return None
    from edgevision.tasks.detect import image_outputs
    from edgevision.tasks.recognition import DecoderChoice, choose_decoder, unrecognised

    outputs = image_outputs(session.outputs)
    if bare.decoder is None and said.decoder is not None:
        settings = {name: outputs[place].name for name, place in said.output_places.items()}
        return DecoderChoice(plugins.decoder(said.decoder), settings)
    choice = choose_decoder(str(path), outputs, size_wh, plugins, bare.decoder)
    if choice is None and said.task == "detect":
        raise unrecognised(str(path), outputs, plugins.decoders())
    return choice


def _bare_backend(
    path: Path, artifact: Artifact, backend: str | None, device: str | None, plugins: Registry
) -> Backend:
    if backend is not None:
        return plugins.backend(backend)
    from edgevision.loading.choice import listed, reason_against

    reasons: dict[str, str] = {}
    for name in _known(BACKENDS_OF_FORMAT[artifact.format], plugins):
        reasons[name] = reason_against(name, device, plugins)
        if not reasons[name]:
            return plugins.backend(name)
    raise DeviceError(
        f"{path}: no backend that loads it can run here: {listed(reasons) or 'none is installed'}"
    )


def _known(names: Iterable[str], plugins: Registry) -> list[str]:
    there = plugins.backends()
    return [name for name in names if name in there]


def _description(artifact: Artifact, runner: Backend, plugins: Registry) -> ArtifactDescription:
    """What an artifact says of itself, asked of the backend that runs it, else of any that can tell."""
    for backend in _starting_with(runner, plugins):
        if artifact.format == backend.formats[0] and isinstance(backend, DescribingBackend):
            return backend.describe(artifact)
    return ArtifactDescription()


def _starting_with(runner: Backend, plugins: Registry) -> Iterator[Backend]:
    yield runner
    yield from plugins.backends().values()
