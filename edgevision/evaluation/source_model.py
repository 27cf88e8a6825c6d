"""A trained model with what its caller states of its task."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevision.converter import Source, SourceFacts
from edgevision.errors import SourceError
from edgevision.imaging.input_options import StatedNormalization, image_layout, resolve_preprocessing
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import Registry
from edgevision.tasks.kind import NetworkFacts
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec


@dataclass(frozen=True, eq=False)
class SourceModel:
    """A trained model whose task is found in it, or stated.

    Attributes:
        source: the trained model.
        options: the caller's statements.
        plugins: provide decoders.
    """

    source: Source
    options: TaskOptions
    plugins: Registry

    @property
    def where(self) -> str:
        """The model, for errors."""
        return str(self.source.path)

    @property
    def input_size_wh(self) -> tuple[int, int]:
        """Width and height of its image; raises as `preprocessing`."""
        return image_layout(self.source.inputs[0], self.where)[1]

    @property
    def facts(self) -> NetworkFacts:
        """Facts that task kinds recognise it by; of a model with seeds as its input, without a size."""
        takes_image = self.options.generation is None
        size_wh = None
        if takes_image:
            check_takes_image(self.source)
            size_wh = self.input_size_wh
        kinds = self.source.facts.score_kinds
        return NetworkFacts(self.source.outputs, size_wh, self.options, self.plugins, self.where, kinds)

    def preprocessing(self, family: tuple[str, int] | None = None) -> Preprocessing:
        """From an image to its input, by the caller's options and the model's own layers.

        Args:
            family: how images are fitted to networks of its kind, as `edgevision.decoder.family_resize`.

        Raises:
            MissingOptionError: names everything that neither says.
            OptionError: the two contradict each other.
            SourceError: the model takes something else than an image.
        """
        check_takes_image(self.source)
        stated = stated_normalization(self.source.facts)
        return resolve_preprocessing(
            self.source.inputs[0], self.options.image, stated, str(self.source.path), family
        )


def stated_normalization(facts: SourceFacts) -> StatedNormalization | None:
    """The facts of a source about its input: of its preprocessor, which comes first, else of its layers."""
    own = facts.preprocessing
    if own is not None:
        return StatedNormalization(
            own.value_range,
            own.mean,
            own.scale,
            color=None,
            resize=own.resize,
            interpolation=own.interpolation,
        )
    if facts.pixel_range is None and facts.interpolation is None:
        return None
    return StatedNormalization(
        facts.pixel_range, color=facts.color, resize=facts.resize, interpolation=facts.interpolation
    )


def check_takes_image(source: Source) -> None:
    """Refuse a model whose input is something else than an image; raises SourceError."""
    if len(source.inputs) != 1:
        names = ", ".join(spec.name for spec in source.inputs)
        raise SourceError(
            f"{source.path}: has {len(source.inputs)} inputs ({names}); expected one, an image; save the "
            "part of the model that takes the image, such as the shared encoder of a siamese network: "
            "model.get_layer('NAME').save('NAME.keras'); or, if it generates images from seeds, pass --task "
            "FILE"
        )
    spec = source.inputs[0]
    if len(spec.shape) != 4 or not {1, 3}.intersection((spec.shape[1], spec.shape[3])):
        raise SourceError(
            f"{source.path}: input '{spec.name}' is {spec.describe()}; expected an image, (batch, height, "
            f"width, 1 or 3); {_instead_of_image(spec)}"
        )


def _instead_of_image(spec: TensorSpec) -> str:
    """The next step for an input that is not an image."""
    sizes = spec.shape[1:]
    if len(sizes) == 1 and sizes[0] is not None:
        sides = {channels: math.isqrt(sizes[0] // channels) for channels in (1, 3)}
        flat = [side for channels, side in sides.items() if side * side * channels == sizes[0] and side > 1]
        size = f"{flat[0]}x{flat[0]}" if flat else "WIDTHxHEIGHT"
        return (
            f"if the values are those of an image, row by row, pass --input-size {size}; if it generates "
            "images from a vector, pass --task FILE"
        )
    if len(sizes) == 3 and sizes[2] == 4:
        height, width = sizes[:2]
        return (
            "EdgeVision has no alpha channel; save a model that adds an opaque one, here for pixels in "
            "0..255: "
            f"image = keras.Input(({height}, {width}, 3)); alpha = keras.ops.ones_like(image[..., :1]) * "
            "255; "
            "keras.Model(image, model(keras.ops.concatenate([image, alpha], axis=-1))).save('NAME.keras')"
        )
    if len(sizes) == 3 and sizes[2] is not None:
        return (
            f"images of {sizes[2]} channels are not supported; save a model whose first layers make these of "
            "1 or 3, or the part of the model that takes so many"
        )
    if len(sizes) == 4:
        return "video is not supported; save the part of the model that takes one frame"
    return "if it generates images from a vector, pass --task FILE"
