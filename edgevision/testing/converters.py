"""The contract of a converter, as one function for its author's tests."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from edgevision.artifact import (
    Artifact,
    declare_precisions,
    is_calibrated,
    precision_meanings,
    standard_precision,
)
from edgevision.backend import Backend
from edgevision.converter import CalibrationData, Converter, SelectiveConverter, Source
from edgevision.errors import ConversionError
from edgevision.plugins import registry
from edgevision.plugins.door import inside
from edgevision.session import CheckedSession, open_session
from edgevision.tensors import Array, TensorSpec
from edgevision.testing.children import raised_as_assertion
from edgevision.testing.process_state import no_temporary_files, unchanged_process

#: Precision -> largest difference from the source's output, as a share of the range of that output.
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
    """Check that `converter` keeps the contract of `edgevision.converter`, at each of its precisions.

    A backend loads each artifact and runs one image, then three, and the outputs are compared with the
    source's within `TOLERANCES`. For a `SelectiveConverter`, so is an int8 artifact whose most sensitive
    layer stays in float. Precisions differ, the calibration set is used and not changed, the same conversion
    has the same bytes, and nothing is left behind.

    Args:
        converter: the converter under test.
        source: a small source of the converter's kind.
        calibration: a few images; the first three are compared too.
        backend: a backend for the converter's format; by default the installed one whose native format
            that is.

    Raises:
        AssertionError: states the broken rule, and how it broke.
    """
    with raised_as_assertion("converter"), unchanged_process(), no_temporary_files():
        _check_converter(inside(converter), inside(source), calibration, backend)


def _check_converter(
    converter: Converter, source: Source, calibration: CalibrationData, backend: Backend | None
) -> None:
    assert converter.name, "the converter has no name"
    assert converter.kind == source.kind, f"converts sources of kind '{converter.kind}', not '{source.kind}'"
    assert converter.precisions, "the converter has no precision"
    declare_precisions(getattr(converter, "precision_words", ()))
    known = precision_meanings()
    for precision in converter.precisions:
        assert precision in known, f"'{precision}' is not a precision ({', '.join(known)})"
        if is_calibrated(precision):
            _check_refuses(converter, source, precision)
    _check_refuses_unknown(converter, source)
    backend = backend or _backend_of(converter.format)
    images = [dict(inputs) for inputs in calibration][:3]
    kept = [{name: array.copy() for name, array in inputs.items()} for inputs in images]
    answers = _answers_of(source, kept)
    artifacts: dict[str, Artifact] = {}
    for precision in converter.precisions:
        artifact = _converted(converter, source, precision, calibration)
        _check_unchanged(source, calibration, kept, answers)
        _check_artifact(artifact, source, backend, kept)
        artifacts[precision] = artifact
        if precision in SELECTIVE and isinstance(converter, SelectiveConverter):
            chosen = _check_selection(converter, source, precision, calibration, artifact)
            _check_artifact(chosen, source, backend, kept)
    _check_told_apart(artifacts)
    for precision in list(converter.precisions)[-1:]:
        again = _converted(converter, source, precision, calibration)
        assert again.sha256 == artifacts[precision].sha256, (
            f"{precision}: the same conversion returned another artifact the second time; "
            "leave out times, random names and the order of sets"
        )
    _check_calibration_used(converter, source, calibration, artifacts)


def _converted(
    converter: Converter, source: Source, precision: str, calibration: CalibrationData
) -> Artifact:
    artifact = converter.convert(source, precision, calibration)
    assert isinstance(artifact, Artifact), f"{precision}: returned {type(artifact).__name__}, not an Artifact"
    assert artifact.format == converter.format, f"{precision}: returned a {artifact.format} artifact"
    assert artifact.precision == precision, f"{precision} requested: returned {artifact.precision}"
    for name in artifact.files:
        inside_folder = not name.startswith("/") and not {"", "..", "."} & set(re.split(r"[/\\]", name))
        assert inside_folder, f"{precision}: file name '{name}' is a path outside its folder"
    return artifact


def _check_refuses_unknown(converter: Converter, source: Source) -> None:
    try:
        converter.convert(source, "no-such-precision", None)
    except ConversionError:
        return
    raise AssertionError("an unknown precision: expected ConversionError, got an artifact")


def _check_told_apart(artifacts: Mapping[str, Artifact]) -> None:
    first: dict[str, str] = {}
    for precision, artifact in artifacts.items():
        other = first.setdefault(artifact.sha256, precision)
        assert other == precision, (
            f"the bytes of {precision} are the same as those of {other}; convert to what the precision states"
        )


def _check_unchanged(
    source: Source, calibration: CalibrationData, kept: list[dict[str, Array]], answers: dict[str, Array]
) -> None:
    for place, (inputs, before) in enumerate(zip(calibration, kept, strict=False)):
        same = all(np.array_equal(inputs[name], array) for name, array in before.items())
        assert same, f"a conversion changed the calibration set: image {place} differs; work on copies"
    now = _answers_of(source, kept)
    same = all(np.allclose(now[name], array, atol=1e-5) for name, array in answers.items())
    assert same, "a conversion changed the source: its answers differ from those before; work on a copy"


def _check_calibration_used(
    converter: Converter, source: Source, calibration: CalibrationData, artifacts: Mapping[str, Artifact]
) -> None:
    """Ranges of activations follow the calibration set: images of less contrast give another artifact."""
    for precision, artifact in artifacts.items():
        if is_calibrated(precision):
            darker = [{name: array * 0.25 for name, array in inputs.items()} for inputs in calibration]
            other = converter.convert(source, precision, darker)
            assert other.sha256 != artifact.sha256, (
                f"{precision}: the calibration set is not used: images of a quarter of the contrast give the "
                "same artifact"
            )
            return


def _answers_of(source: Source, images: list[dict[str, Array]]) -> dict[str, Array]:
    inputs = {name: np.concatenate([image[name] for image in images]) for name in images[0]}
    return {name: array.copy() for name, array in source.run(inputs).items()}


def _check_selection(
    converter: SelectiveConverter,
    source: Source,
    precision: str,
    calibration: CalibrationData,
    whole: Artifact,
) -> Artifact:
    sensitivities = list(converter.sensitivities(source, precision, calibration))
    assert sensitivities, f"{precision}: sensitivities returned no layer"
    errors = [error for _, error in sensitivities]
    assert errors == sorted(errors, reverse=True), (
        f"{precision}: sensitivities are not sorted, greatest first"
    )
    assert all(np.isfinite(error) and error >= 0 for error in errors), f"{precision}: errors are {errors}"
    names = [name for name, _ in sensitivities]
    assert len(set(names)) == len(names), f"{precision}: layers share a name: {', '.join(names)}"
    chosen = converter.convert(source, precision, calibration, names[:1])
    assert chosen.precision == precision, f"{precision} with a layer in float: returned {chosen.precision}"
    assert chosen.sha256 != whole.sha256, (
        f"{precision}: '{names[0]}' should stay in float, and nothing changed"
    )
    try:
        converter.convert(source, precision, calibration, ["no such layer"])
    except ConversionError:
        return chosen
    raise AssertionError(f"{precision}: an unknown layer: expected ConversionError, got an artifact")


def _check_refuses(converter: Converter, source: Source, precision: str) -> None:
    try:
        converter.convert(source, precision, None)
    except ConversionError:
        return
    raise AssertionError(f"{precision} without a calibration set: expected ConversionError, got an artifact")


def _backend_of(artifact_format: str) -> Backend:
    native = [backend for backend in registry().backends().values() if backend.formats[0] == artifact_format]
    ready = {status.name for status in registry().backend_statuses() if status.ready}
    usable = [backend for backend in native if backend.name in ready]
    assert usable, f"no backend for {artifact_format} artifacts is ready; see edgevision backends"
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


def _check_specs(side: str, expected: tuple[TensorSpec, ...], got: tuple[TensorSpec, ...]) -> None:
    source_shapes = {spec.name: spec.shape[1:] for spec in expected}
    shapes = {spec.name: spec.shape[1:] for spec in got}
    assert shapes == source_shapes, f"{side} are {shapes}; expected the source's: {source_shapes}"


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
        assert difference <= TOLERANCES[standard_precision(precision)], (
            f"{where}: output '{spec.name}' of {len(images)} image(s) differs from the source's by "
            f"{difference:.3g} of its range (allowed: {TOLERANCES[standard_precision(precision)]:.3g})"
        )


def _quantized(spec: TensorSpec, values: Array) -> Array:
    """`values` as the integers that stand for them, where the input takes integers."""
    if spec.quantization is None:
        return values.astype(spec.dtype)
    limits = np.iinfo(spec.dtype)
    integers = np.round(values / spec.quantization.scale) + spec.quantization.zero_point
    return np.clip(integers, limits.min, limits.max).astype(spec.dtype)
