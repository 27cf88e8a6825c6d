"""What each kind of generating network needs to be told, as a manifest says it: plain values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from edgevision.errors import OptionError
from edgevision.numeric import is_real, is_share, is_whole, plain_fields

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
    """How an image of any size meets a network of one size.

    Attributes:
        fit: ``tiles``: cut into overlapping tiles, for networks that look at a pixel's
            neighbourhood (denoise, super-resolution); ``resize``: the whole image at the network's
            size, as the preprocessing says, for networks that look at the whole (reconstruct, translate).
        overlap: pixels of the input that neighbouring tiles share at least. Twice the distance over
            which the network looks makes seams invisible.
    """

    fit: str = "tiles"
    overlap: int = 16

    def __post_init__(self) -> None:
        plain_fields(self, "overlap")
        _check_word("fit", self.fit, FITS)
        _check("overlap", is_whole(self.overlap, 0), "a whole number, 0 or more", self.overlap)


@dataclass(frozen=True)
class Condition:
    """The input that says of which class the image shall be.

    Attributes:
        input: name of the tensor.
        kind: ``class-id``: the class's number; ``one-hot``: 1 at the class's place, 0 elsewhere.
        classes: how many classes there are; their names are the bundle's labels.
        null_class: the number that stood for "no class" in training, which guidance needs; `None`
            if there was none.
    """

    input: str
    kind: str
    classes: int
    null_class: int | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "classes", "null_class")
        _check("input", _is_name(self.input), "the name of a tensor", self.input)
        _check_word("kind", self.kind, CONDITION_KINDS)
        _check("classes", is_whole(self.classes, 1), "a whole number, 1 or more", self.classes)
        null = self.null_class
        _check("null_class", null is None or is_whole(null, 0), "a whole number, 0 or more, or none", null)


@dataclass(frozen=True)
class LatentSettings:
    """A decoder or the generator of a GAN: a random vector in, an image out.

    Attributes:
        input: name of the tensor that takes the vector.
        distribution: that the vectors had in training: ``normal`` (mean 0, deviation 1) or
            ``uniform`` in -1…1.
        condition: the input for a class; `None` for a network without one.
    """

    input: str
    distribution: str = "normal"
    condition: Condition | None = None

    def __post_init__(self) -> None:
        _check("input", _is_name(self.input), "the name of a tensor", self.input)
        _check_word("distribution", self.distribution, DISTRIBUTIONS)
        _parse_field(self, "condition", Condition, optional=True)


@dataclass(frozen=True)
class NoiseSchedule:
    """How much noise a diffusion network met at each timestep of its training.

    Attributes:
        kind: ``linear``: betas from `beta_start` to `beta_end` in `steps` (Ho et al. 2020);
            ``cosine``: in `steps`, with `offset` (Nichol & Dhariwal 2021, section 3.2);
            ``betas`` or ``alphas-cumprod``: given one by one in `values`.
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
        _check_word("kind", self.kind, SCHEDULES)
        needed = _FIELDS_OF_SCHEDULE[self.kind]
        for name in ("steps", "beta_start", "beta_end", "offset", "values"):
            given = getattr(self, name)
            if name not in needed:
                _check(name, given is None, f"nothing for '{self.kind}'", given)
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
        sound = isinstance(values, tuple) and 2 <= len(values) <= _MAX_TRAINING_STEPS
        _check(
            "values",
            sound and all(map(_is_inner_share, values or ())),
            "two or more numbers above 0 and below 1",
            values,
        )
        if self.kind == "alphas-cumprod" and values is not None:
            falls = all(later < earlier for earlier, later in pairwise(values))
            _check("values", falls, "numbers of which each is below the one before", values)


@dataclass(frozen=True)
class DiffusionSettings:
    """A network that takes noise out of an image, called in a loop.

    Attributes:
        image_input: name of the tensor that takes the noisy image.
        timestep_input: name of the tensor that is told how noisy it is.
        timestep: what that tensor takes: ``index`` of the training's timestep, 0 up; ``fraction``:
            that index by the number of timesteps; ``noise-variance``: 1 - alpha-bar.
        prediction: what the network gives: the noise (``epsilon``), the clean image (``x0``), or
            the velocity (``v``, Salimans & Ho 2022).
        schedule: of the training.
        condition: the input for a class; `None` for a network without one.
        clip: keep the clean image that each step foresees in the output range, as
            Ho et al. 2020 do. Not for networks whose images are latent vectors.
        sampler: ``ddim``, ``ddpm`` or ``euler``, unless the caller asks for another.
        steps: of the sampler, unless the caller asks for others.
        guidance: scale of classifier-free guidance, unless the caller asks for another; 1 is none.
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
        _check_word("timestep", self.timestep, TIMESTEPS)
        _check_word("prediction", self.prediction, PREDICTIONS)
        _check_word("sampler", self.sampler, SAMPLERS)
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
    """A settings object from the table that JSON has of it; fields with a default may be left out.

    Raises:
        OptionError: a field is missing, unknown or wrong; names it.
    """
    if isinstance(document, kind):
        return document
    if not isinstance(document, Mapping):
        raise OptionError(f"{where}: expected a table of settings, got {document!r}")
    known = [one.name for one in fields(kind)]
    for name in document:
        if name not in known:
            raise OptionError(f"{where}: unknown field '{name}'; known are: {', '.join(known)}")
    try:
        return kind(**document)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from error
    except TypeError as error:  # the only one left: a field without a default is missing
        raise OptionError(f"{where}: {str(error).partition('() ')[2] or error}") from error


def _parse_field(settings: object, name: str, kind: type[Any], optional: bool = False) -> None:
    """Put an object where JSON has a table."""
    given = getattr(settings, name)
    if not (optional and given is None):
        object.__setattr__(settings, name, read_fields(kind, given, name))


def _check(name: str, valid: bool, expected: str, got: object) -> None:
    if not valid:
        raise OptionError(f"{name}: expected {expected}, got {got!r:.200}")


def _check_word(name: str, given: object, known: tuple[str, ...]) -> None:
    _check(name, given in known, f"one of {', '.join(known)}", given)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_inner_share(value: object) -> bool:
    return is_share(value) and value not in (0, 1)
