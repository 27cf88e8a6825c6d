"""The contract of a converter, as a test that its author runs."""

from __future__ import annotations

import numpy as np

from edgevision.artifact import CALIBRATED, PRECISIONS, Artifact
from edgevision.backend import Backend
from edgevision.converter import CalibrationData, Converter, SelectiveConverter, Source
from edgevision.errors import ConversionError
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.tensors import Array, TensorSpec

#: Precision -> how far an answer may be from the source's, as a part of the span of its answers.
TOLERANCES = {
    "float32": 0.001,
    "float16": 0.02,
    "int16x8": 0.1,
    "int8-dynamic": 0.1,
    "int8-float-io": 0.25,
    "int8": 0.25,
}


#: The precisions in which a `SelectiveConverter` keeps layers in float.
SELECTIVE = ("int8", "int8-float-io")


def check_converter(
    converter: Converter, source: Source, calibration: CalibrationData, backend: Backend | None = None
) -> None:
    """Check that `converter` makes, at each of its precisions, what the source means.

    Each artifact is loaded by a backend, one image and then three images are run, and the answers
    are compared with the source's own within `TOLERANCES`. Of a `SelectiveConverter` an int8 artifact
    with its most sensitive layer in float is checked so too.

    Args:
        converter: to be checked.
        source: a small one, of the converter's kind.
        calibration: a few images for it; the first three are compared too.
        backend: that loads the converter's format; left out, the installed one whose own format it is.

    Raises:
        AssertionError: says which part of the contract is broken.
    """
    assert converter.name, "a converter has a name"
    assert converter.kind == source.kind, f"takes sources of kind '{converter.kind}', not '{source.kind}'"
    assert converter.precisions, "a converter makes at least one precision"
    for precision in converter.precisions:
        assert precision in PRECISIONS, f"'{precision}' is none of {', '.join(PRECISIONS)}"
        if precision in CALIBRATED:
            _check_refuses(converter, source, precision)
    backend = backend or _backend_of(converter.format)
    images = [dict(inputs) for inputs in calibration][:3]
    for precision in converter.precisions:
        artifact = converter.convert(source, precision, calibration)
        assert artifact.format == converter.format, f"{precision}: gave a {artifact.format} artifact"
        assert artifact.precision == precision, f"asked for {precision}, gave {artifact.precision}"
        _check_artifact(artifact, source, backend, images)
        if precision in SELECTIVE and isinstance(converter, SelectiveConverter):
            chosen = _check_selection(converter, source, precision, calibration, artifact)
            _check_artifact(chosen, source, backend, images)


def _check_selection(
    converter: SelectiveConverter,
    source: Source,
    precision: str,
    calibration: CalibrationData,
    whole: Artifact,
) -> Artifact:
    found = list(converter.sensitivities(source, precision, calibration))
    assert found, f"{precision}: sensitivities gave no layer"
    errors = [error for _, error in found]
    assert errors == sorted(errors, reverse=True), (
        f"{precision}: sensitivities are not sorted, greatest first"
    )
    assert all(np.isfinite(error) and error >= 0 for error in errors), f"{precision}: errors are {errors}"
    names = [name for name, _ in found]
    assert len(set(names)) == len(names), f"{precision}: layers share a name: {', '.join(names)}"
    chosen = converter.convert(source, precision, calibration, names[:1])
    assert chosen.precision == precision, f"{precision} with a layer in float: is called {chosen.precision}"
    assert chosen.sha256 != whole.sha256, f"{precision}: '{names[0]}' was to stay float, and nothing changed"
    try:
        converter.convert(source, precision, calibration, ["no such layer"])
    except ConversionError:
        return chosen
    raise AssertionError(f"{precision}: kept a layer that there is not; expected ConversionError")


def _check_refuses(converter: Converter, source: Source, precision: str) -> None:
    try:
        converter.convert(source, precision, None)
    except ConversionError:
        return
    raise AssertionError(f"{precision} without a calibration set: expected ConversionError, got an artifact")


def _backend_of(artifact_format: str) -> Backend:
    own = [backend for backend in registry().backends().values() if backend.formats[0] == artifact_format]
    ready = {status.name for status in registry().backend_statuses() if status.ready}
    usable = [backend for backend in own if backend.name in ready]
    assert usable, f"no backend is ready that loads {artifact_format} artifacts: edgevision backends says why"
    return usable[0]


def _check_artifact(
    artifact: Artifact, source: Source, backend: Backend, images: list[dict[str, Array]]
) -> None:
    with open_session(backend, artifact) as session:
        where = f"{artifact.format} {artifact.precision}"
        _check_specs(f"{where}: inputs", source.inputs, session.inputs)
        _check_specs(f"{where}: outputs", source.outputs, session.outputs)
        _check_answers(where, artifact.precision, source, session, images[:1])
        if session.dynamic_batch:
            _check_answers(where, artifact.precision, source, session, images)


def _check_specs(what: str, expected: tuple[TensorSpec, ...], got: tuple[TensorSpec, ...]) -> None:
    wanted = {spec.name: spec.shape[1:] for spec in expected}
    found = {spec.name: spec.shape[1:] for spec in got}
    assert found == wanted, f"{what} are {found}; expected the source's: {wanted}"


def _check_answers(
    where: str, precision: str, source: Source, session: CheckedSession, images: list[dict[str, Array]]
) -> None:
    inputs = {
        name: np.concatenate([image[name] for image in images])
        for name in (spec.name for spec in source.inputs)
    }
    expected = source.run(inputs)
    got = session.run({spec.name: _quantized(spec, inputs[spec.name]) for spec in session.inputs})
    for spec in session.outputs:
        span = max(float(np.ptp(expected[spec.name])), 1e-3)
        difference = float(np.abs(spec.dequantize(got[spec.name]) - expected[spec.name]).max()) / span
        assert difference <= TOLERANCES[precision], (
            f"{where}: output '{spec.name}' of {len(images)} image(s) differs from the source's by "
            f"{difference:.3g} of its span; allowed is {TOLERANCES[precision]:.3g}"
        )


def _quantized(spec: TensorSpec, values: Array) -> Array:
    """`values` as the integers that stand for them, where the input takes integers."""
    if spec.quantization is None:
        return values.astype(spec.dtype)
    limits = np.iinfo(spec.dtype)
    integers = np.round(values / spec.quantization.scale) + spec.quantization.zero_point
    return np.clip(integers, limits.min, limits.max).astype(spec.dtype)
