"""Settings of decoders: from JSON values to a checked dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from edgevision.errors import MissingOptionError, OptionError
from edgevision.system.numeric import is_real, is_whole, plain
from edgevision.system.shown import shown
from edgevision.tensors import TensorSpec

SettingsT = TypeVar("SettingsT")

#: Activations to apply to an output.
ACTIVATIONS = ("none", "sigmoid", "softmax")
#: Units of coordinates: pixels of the network's input, or shares of its width and height.
UNITS = ("pixels", "share")


def read_settings(kind: type[SettingsT], settings: Mapping[str, Any], decoder: str) -> SettingsT:
    """The settings of a decoder as the dataclass `kind`, whose own checks name the field.

    Raises:
        OptionError: a setting is missing, unknown or invalid; names the option to pass.
    """
    where = f"decoder '{decoder}'"
    known = fields(kind)  # type: ignore[arg-type]
    names = [field.name for field in known]
    for name in settings:
        if name not in names:
            raise OptionError(f"{where} has no setting '{name}'; it has: {', '.join(names)}")
    missing = [field.name for field in known if field.default is MISSING and field.name not in settings]
    if missing:
        raise MissingOptionError("", *(_question(field, where) for field in known if field.name in missing))
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain(settings).items()
    }
    for field in known:
        _check_word(values, field.name, field.metadata.get("words"), where)
    try:
        return kind(**values)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from error


def _question(field: Field[Any], where: str) -> str:
    choices = [
        f"--decoder-setting {field.name}={word if isinstance(word, str) else str(word).lower()}"
        for word in field.metadata.get("words", ())
    ]
    return (
        f"{where} needs the setting '{field.name}': {field.metadata.get('expected', 'a value')}; "
        f"pass {' or '.join(choices) or f'--decoder-setting {field.name}=VALUE'}"
    )


def words(choices: Sequence[str]) -> dict[str, Any]:
    """Metadata of a field with a fixed set of words."""
    return {"words": tuple(choices), "expected": " or ".join(choices)}


def tensor(what: str) -> dict[str, Any]:
    """Metadata of a field with the name of an output."""
    return {"expected": f"the name of the output with {what}"}


def flag(what: str) -> dict[str, Any]:
    """Metadata of a field that is true or false."""
    return {"words": (True, False), "expected": f"true or false: {what}"}


def check_count(name: str, value: object) -> None:
    """Check that a setting is a whole number, 0 or above.

    Raises:
        OptionError: it is not.
    """
    if not is_whole(value):
        raise OptionError(f"setting '{name}': expected a whole number of 0 or more, got {shown(value)}")


def check_above_zero(name: str, value: object) -> None:
    """Check that a setting is a finite number above 0.

    Raises:
        OptionError: it is not.
    """
    if not is_real(value) or value <= 0:
        raise OptionError(f"setting '{name}': expected a number above 0, got {shown(value)}")


def output_named(outputs: Sequence[TensorSpec], name: object, decoder: str, setting: str) -> TensorSpec:
    """The output named by a setting.

    Raises:
        OptionError: no output of that name.
    """
    for spec in outputs:
        if spec.name == name:
            return spec
    names = ", ".join(f"'{spec.name}'" for spec in outputs)
    raise OptionError(
        f"decoder '{decoder}': setting '{setting}': no output {shown(name)}; there are: {names}"
    )


def check_shape(spec: TensorSpec, valid: bool, expected: str, decoder: str) -> None:
    """Raise if the shape of an output for one image is not as expected.

    Args:
        spec: the output.
        valid: whether its shape is as expected.
        expected: the expected shape, for the error.
        decoder: name of the decoder, for the error.

    Raises:
        OptionError: `valid` is false.
    """
    if not valid:
        got = f"({', '.join(map(str, spec.shape))})"
        raise OptionError(
            f"decoder '{decoder}': output '{spec.name}': expected {expected} per image, got {got}"
        )


def _check_word(values: Mapping[str, Any], name: str, known: tuple[Any, ...] | None, where: str) -> None:
    if known is None or name not in values:
        return
    # Flags by identity: 1 is not true.
    value = values[name]
    if not any(value is word or (isinstance(word, str) and value == word) for word in known):
        choices = ", ".join(word if isinstance(word, str) else str(word).lower() for word in known)
        raise OptionError(f"{where}: setting '{name}': expected one of {choices}, got {shown(value)}")
