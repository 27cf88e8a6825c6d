"""Settings of each kind of generator, as stored in a manifest: plain values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from edgevision.errors import OptionError
from edgevision.system.arguments import one_of
from edgevision.system.numeric import is_real, is_share, is_whole, plain_fields
from edgevision.system.shown import shown

KINDS = ("image-to-image", "latent", "diffusion")
FITS = ("tiles", "resize")
DISTRIBUTIONS = ("normal", "uniform")
CONDITION_KINDS = ("class-id", "one-hot")
SCHEDULES = ("linear", "cosine", "betas", "alphas-cumprod")
PREDICTIONS = ("epsilon", "x0", "v")
TIMESTEPS = ("index", "fraction", "noise-variance")
SAMPLERS = ("ddim", "ddpm", "euler")

_MAX_TRAINING_STEPS = 100_000


@dataclass(frozen=True)
class ImageToImageSettings:
    """How images of any size are adapted to the network's input size.

    Attributes:
        fit: ``tiles``: cut into overlapping tiles, for networks with a local receptive field (denoising,
            super-resolution); ``resize``: the whole image resized as the preprocessing says, for
            networks with a global one (reconstruction, translation).
        overlap: the least number of input pixels that neighbouring tiles share. With twice the radius
            of the receptive field, seams are invisible.
    """

    fit: str = "tiles"
    overlap: int = 16

    def __post_init__(self) -> None:
        plain_fields(self, "overlap")
        one_of(self.fit, FITS, "fit")
        _check("overlap", is_whole(self.overlap, 0), "a whole number, 0 or more", self.overlap)


@dataclass(frozen=True)
class Condition:
    """The input that selects the class of the image.

    Attributes:
        input: name of the tensor.
        kind: ``class-id``: the number of the class; ``one-hot``: 1 at its index, 0 elsewhere.
        classes: the number of classes; their names are the bundle's labels.
        null_class: the class id that meant "no class" in training, which guidance needs; `None`
            without one.
    """

    input: str
    kind: str
    classes: int
    null_class: int | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "classes", "null_class")
        _check("input", _is_name(self.input), "the name of a tensor", self.input)
        one_of(self.kind, CONDITION_KINDS, "kind")
        _check("classes", is_whole(self.classes, 1), "a whole number, 1 or more", self.classes)
        null = self.null_class
        _check("null_class", null is None or is_whole(null, 0), "a whole number, 0 or more, or none", null)


@dataclass(frozen=True)
class LatentSettings:
    """A decoder or the generator of a GAN: a random vector in, an image out.

    Attributes:
        input: name of the tensor that takes the vector.
        distribution: of the vectors in training: ``normal`` (mean 0, deviation 1) or ``uniform``
            in -1…1.
        condition: the input for a class; `None` for an unconditional network.
    """

    input: str
    distribution: str = "normal"
    condition: Condition | None = None

    def __post_init__(self) -> None:
        _check("input", _is_name(self.input), "the name of a tensor", self.input)
        one_of(self.distribution, DISTRIBUTIONS, "distribution")
        _parse_field(self, "condition", Condition, optional=True)


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise at each timestep of a diffusion network's training.

    Attributes:
        kind: ``linear``: betas from `beta_start` to `beta_end` in `steps` (Ho et al. 2020);
            ``cosine``: in `steps`, with `offset` (Nichol & Dhariwal 2021, section 3.2);
            ``betas`` or ``alphas-cumprod``: listed in `values`.
        steps: timesteps of the training.
        beta_start, beta_end: of ``linear``.
        offset: of ``cosine``.
        values: of ``betas`` (each 0 to 1) or ``alphas-cumprod`` (falling, each 0 to 1).
    """

    kind: str
    steps: int | None = None
    beta_start: float | None = None
    beta_end: float | None = None
    offset: float | None = None
    values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "steps", "beta_start", "beta_end", "offset", "values")
        one_of(self.kind, SCHEDULES, "kind")
        needed = _FIELDS_OF_SCHEDULE[self.kind]
        for name in ("steps", "beta_start", "beta_end", "offset", "values"):
            value = getattr(self, name)
            if name not in needed:
                _check(name, value is None, f"no value for '{self.kind}'", value)
        if "steps" in needed:
            steps = self.steps
            valid = is_whole(steps, 2) and steps is not None and steps <= _MAX_TRAINING_STEPS
            _check("steps", valid, f"a whole number, 2 to {_MAX_TRAINING_STEPS}", steps)
        for name in ("beta_start", "beta_end", "offset"):
            if name in needed:
                _check(name, _is_inner_share(getattr(self, name)), "above 0 and below 1", getattr(self, name))
        if "values" in needed:
            self._check_values()

    def _check_values(self) -> None:
        values = self.values
        valid = isinstance(values, tuple) and 2 <= len(values) <= _MAX_TRAINING_STEPS
        _check(
            "values",
            valid and all(map(_is_inner_share, values or ())),
            "two or more numbers above 0 and below 1",
            values,
        )
        if self.kind == "alphas-cumprod" and values is not None:
            falls = all(later < earlier for earlier, later in pairwise(values))
            _check("values", falls, "decreasing numbers", values)


@dataclass(frozen=True)
class DiffusionSettings:
    """A network that removes noise from an image, called in a loop.

    Attributes:
        image_input: name of the input tensor for the noisy image.
        timestep_input: name of the input tensor for the noise level.
        timestep: unit of the noise level: ``index`` of the training's timestep, from 0; ``fraction``:
            that index over the number of timesteps; ``noise-variance``: 1 - alpha-bar.
        prediction: the network's output: the noise (``epsilon``), the clean image (``x0``), or the
            velocity (``v``, Salimans & Ho 2022).
        schedule: the noise schedule of the training.
        condition: the input for a class; `None` for an unconditional network.
        clip: clip the clean image predicted at each step to the output range, as Ho et al. 2020 do.
            Not for networks whose images are latent vectors.
        sampler: the default sampler: ``ddim``, ``ddpm`` or ``euler``.
        steps: the default number of steps.
        guidance: the default scale of classifier-free guidance; 1 is none.
    """

    image_input: str
    timestep_input: str
    timestep: str
    prediction: str
    schedule: NoiseSchedule
    condition: Condition | None = None
    clip: bool = True
    sampler: str = "ddim"
    steps: int = 50
    guidance: float = 1.0

    def __post_init__(self) -> None:
        plain_fields(self, "clip", "steps", "guidance")
        for name in ("image_input", "timestep_input"):
            _check(name, _is_name(getattr(self, name)), "the name of a tensor", getattr(self, name))
        one_of(self.timestep, TIMESTEPS, "timestep")
        one_of(self.prediction, PREDICTIONS, "prediction")
        one_of(self.sampler, SAMPLERS, "sampler")
        _check("clip", isinstance(self.clip, bool), "true or false", self.clip)
        _check("steps", is_whole(self.steps, 1), "a whole number, 1 or more", self.steps)
        _check("guidance", is_real(self.guidance), "a finite number", self.guidance)
        _parse_field(self, "schedule", NoiseSchedule)
        _parse_field(self, "condition", Condition, optional=True)
        free = self.condition is not None and self.condition.null_class is not None
        _check("guidance", free or self.guidance == 1, "1 where there is no null_class", self.guidance)


GenerateSettings = ImageToImageSettings | LatentSettings | DiffusionSettings

SETTINGS_OF_KIND: Mapping[str, type[GenerateSettings]] = {
    "image-to-image": ImageToImageSettings,
    "latent": LatentSettings,
    "diffusion": DiffusionSettings,
}

_FIELDS_OF_SCHEDULE = {
    "linear": ("steps", "beta_start", "beta_end"),
    "cosine": ("steps", "offset"),
    "betas": ("values",),
    "alphas-cumprod": ("values",),
}


def read_fields(kind: type[Any], document: object, where: str) -> Any:
    """A settings object from a JSON object; fields with a default may be left out.

    Raises:
        OptionError: a field is missing, unknown or invalid; names the field.
    """
    if isinstance(document, kind):
        return document
    if not isinstance(document, Mapping):
        raise OptionError(f"{where}: expected an object with settings, got {shown(document)}")
    known = [field.name for field in fields(kind)]
    for name in document:
        if name not in known:
            raise OptionError(f"{where}: unknown field '{name}'; known fields: {', '.join(known)}")
    try:
        return kind(**document)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from error
    except TypeError as error:  # the only one left: a field without a default is missing
        raise OptionError(f"{where}: {str(error).partition('() ')[2] or error}") from error


def _parse_field(settings: object, name: str, kind: type[Any], optional: bool = False) -> None:
    """Replace a JSON object in a field with settings of `kind`."""
    value = getattr(settings, name)
    if not (optional and value is None):
        object.__setattr__(settings, name, read_fields(kind, value, name))


def _check(name: str, valid: bool, expected: str, got: object) -> None:
    if not valid:
        raise OptionError(f"{name}: expected {expected}, got {shown(got, 200)}")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_inner_share(value: object) -> bool:
    return is_share(value) and value not in (0, 1)
