"""Every operation of `keras.ops` and every layer of `keras.layers` that an image network can have.

Each entry is a function of a (batch, 12, 12, 4) tensor of values around zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Operation = Callable[[Any], Any]
HEIGHT, WIDTH, CHANNELS = 12, 12, 4


def operations(keras: Any) -> Mapping[str, Operation]:
    """Name in `keras.ops`, with a variant after a colon -> the operation on an activation."""
    ops = keras.ops
    ramp = np.linspace(-1, 1, CHANNELS).astype(np.float32)
    square = np.random.default_rng(3).normal(0, 1, (CHANNELS, CHANNELS)).astype(np.float32)

    def other(x: Any) -> Any:
        return ops.flip(x, axis=2)

    def positive(x: Any) -> Any:
        return ops.abs(x) + 0.5

    def inside(x: Any) -> Any:
        return ops.clip(x, -0.9, 0.9)

    def integers(x: Any) -> Any:
        return ops.cast(ops.clip(x * 10, -40, 40), "int32")

    def counts(x: Any) -> Any:
        return ops.abs(integers(x)) + 1

    def as_float(compute: Operation) -> Operation:
        return lambda x: ops.cast(compute(x), "float32")

    def matrices(x: Any) -> Any:
        """Well conditioned symmetric matrices."""
        return ops.matmul(ops.swapaxes(x, -1, -2), x) * 0.1 + np.eye(CHANNELS, dtype=np.float32)

    def kernel(*shape: int) -> Any:
        return np.random.default_rng(4).normal(0, 0.3, shape).astype(np.float32)

    elementwise = {
        name: getattr(ops, name)
        for name in (
            *("abs", "absolute", "arcsinh", "arctan", "ceil", "celu", "cos", "cosh", "deg2rad", "elu", "erf"),
            *("erfc", "exp", "exp2", "expm1", "fabs", "floor", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
            *("hard_swish", "hard_tanh", "i0", "leaky_relu", "log_sigmoid", "log_softmax", "logsumexp", "negative"),
            *("nan_to_num", "rad2deg", "relu", "relu6", "round", "selu", "sigmoid", "sign", "silu", "sin", "sinc"),
            *("sinh", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax"),
            *("square", "squareplus", "swish", "tanh", "tanh_shrink", "trunc", "identity_of", "stop_gradient"),
            *("copy", "conj", "conjugate", "real", "cbrt"),
        )
        if hasattr(ops, name)
    }
    of_positive = {
        name: (lambda x, compute=getattr(ops, name): compute(positive(x)))
        for name in ("log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt")
    }
    of_inside = {
        name: (lambda x, compute=getattr(ops, name): compute(inside(x)))
        for name in ("arccos", "arcsin", "arctanh", "erfinv", "tan")
    }
    of_two = {
        name: (lambda x, compute=getattr(ops, name): compute(x, other(x)))
        for name in (
            *("add", "arctan2", "divide_no_nan", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2", "maximum"),
            *("minimum", "multiply", "subtract", "cross_of"),
        )
        if hasattr(ops, name)
    }
    compared = {
        name: (lambda x, compute=getattr(ops, name): ops.where(compute(x, other(x)), x, 0.3 * x))
        for name in ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal", "isclose")
    }
    tested = {
        name: (lambda x, compute=getattr(ops, name): ops.where(compute(x), x, 0.3 * x))
        for name in ("isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal", "signbit")
    }
    logical = {
        name: (lambda x, compute=getattr(ops, name): ops.where(compute(x > 0, x < 0.3), x, 0.3 * x))
        for name in ("logical_and", "logical_or", "logical_xor")
    }
    reduced = {
        name: (lambda x, compute=getattr(ops, name): compute(x, axis=-1))
        for name in (
            *("amax", "amin", "max", "mean", "median", "min", "ptp", "std", "sum", "var", "nanmax", "nanmean"),
            *("nanmin", "nanstd", "nansum", "nanvar", "average", "nanmedian", "nanprod", "prod"),
        )
    }
    along = {
        name: (lambda x, compute=getattr(ops, name): compute(x, axis=2))
        for name in ("cumsum", "cumprod", "nancumsum", "nancumprod", "diff", "sort", "trapezoid")
    }
    bits = {
        name: as_float(lambda x, compute=getattr(ops, name): compute(integers(x), counts(other(x))))
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "floor_divide", "mod", "gcd", "lcm", "fmod")
    }
    shifted = {
        name: as_float(lambda x, compute=getattr(ops, name): compute(counts(x), 2))
        for name in ("bitwise_left_shift", "bitwise_right_shift", "left_shift", "right_shift")
    }
    named = {
        "adaptive_average_pool": lambda x: ops.adaptive_average_pool(x, (5, 3)),
        "adaptive_max_pool": lambda x: ops.adaptive_max_pool(x, (5, 3)),
        "all": lambda x: as_float(lambda y: ops.all(y > -0.5, axis=-1))(x),
        "any": lambda x: as_float(lambda y: ops.any(y > 0.5, axis=-1))(x),
        "append": lambda x: ops.append(x, other(x), axis=2),
        "arccosh": lambda x: ops.arccosh(positive(x) + 0.6),
        "argmax": as_float(lambda x: ops.argmax(x, axis=-1)),
        "argmin": as_float(lambda x: ops.argmin(x, axis=-1)),
        "argsort": as_float(lambda x: ops.argsort(x, axis=-1)),
        "argpartition": lambda x: ops.take_along_axis(x, ops.argpartition(x, 1, axis=-1)[..., 1:2], axis=-1),
        "array_split": lambda x: ops.array_split(x, 5, axis=2)[1],
        "associative_scan": lambda x: ops.associative_scan(lambda a, b: a + b, x, axis=2),
        "average_pool": lambda x: ops.average_pool(x, 3, 2, padding="same"),
        "batch_normalization": lambda x: ops.batch_normalization(x, ramp * 0.1, np.exp(ramp), -1, ramp, ramp),
        "bincount": as_float(lambda x: ops.bincount(counts(ops.reshape(x, (-1, 576))), minlength=42)[:, :42]),
        "bitwise_invert": as_float(lambda x: ops.bitwise_invert(integers(x))),
        "bitwise_not": as_float(lambda x: ops.bitwise_not(integers(x))),
        "broadcast_to": lambda x: x[:, :, :1] + ops.broadcast_to(ramp, (12, 12, CHANNELS)),
        "cast": lambda x: ops.cast(ops.cast(x, "float16"), "float32"),
        "cast:bool": as_float(lambda x: ops.cast(ops.relu(x), "bool")),
        "cdist": lambda x: ops.cdist(ops.reshape(x, (-1, 144, 4)), ops.reshape(other(x), (-1, 144, 4))[:, :5]),
        "cholesky": lambda x: ops.cholesky(matrices(x)),
        "cholesky_inverse": lambda x: ops.cholesky_inverse(ops.cholesky(matrices(x))),
        "clip": lambda x: ops.clip(x, -0.2, 0.4),
        "concatenate": lambda x: ops.concatenate([x, other(x)], axis=-1),
        "cond": lambda x: ops.cond(ops.shape(x)[1] > 3, lambda: x * 2, lambda: x * 3),
        "conv": lambda x: ops.conv(x, kernel(3, 3, 4, 5), padding="same"),
        "conv:grouped": lambda x: ops.conv(x, kernel(3, 3, 2, 6)),
        "conv:volume": lambda x: ops.conv(ops.reshape(x, (-1, 12, 12, 2, 2)), kernel(3, 3, 2, 2, 3)),
        "conv_transpose": lambda x: ops.conv_transpose(x, kernel(3, 3, 5, 4), 2),
        "corrcoef": lambda x: ops.corrcoef(ops.reshape(x[:1], (144, 4)).T if False else ops.reshape(x, (-1, 576))),
        "count_nonzero": as_float(lambda x: ops.count_nonzero(ops.relu(x), axis=-1)),
        "cross": lambda x: ops.cross(x[..., :3], other(x)[..., :3]),
        "depth_to_space": lambda x: ops.depth_to_space(x, 2),
        "depthwise_conv": lambda x: ops.depthwise_conv(x, kernel(3, 3, 4, 2)),
        "det": lambda x: ops.det(matrices(x)),
        "diagonal": lambda x: ops.diagonal(x, axis1=1, axis2=2),
        "digitize": as_float(lambda x: ops.digitize(x, np.array([-0.5, 0.0, 0.25], np.float32))),
        "divide": lambda x: ops.divide(x, positive(other(x))),
        "dot": lambda x: ops.dot(x, square),
        "dot_product_attention": lambda x: ops.dot_product_attention(x, other(x), x),
        "dsplit": lambda x: ops.dsplit(x, 2)[1],
        "dstack": lambda x: ops.dstack([x, x]),
        "eigh": lambda x: ops.eigh(matrices(x))[0],
        "einsum": lambda x: ops.einsum("bhwc,cd->bdhw", x, square),
        "einsum:two": lambda x: ops.einsum("bhwc,bhvc->bhwv", x, other(x)),
        "expand_dims": lambda x: ops.expand_dims(x, 2) + ops.zeros((1, 1, 2, 1, 1)),
        "extract_sequences": lambda x: ops.extract_sequences(ops.reshape(x, (-1, 576)), 16, 8),
        "fft": lambda x: ops.fft((x, other(x)))[0],
        "fft2": lambda x: ops.fft2((x, other(x)))[1],
        "flip": lambda x: ops.flip(x, axis=1),
        "fliplr": ops.fliplr,
        "floor_divide:float": lambda x: ops.floor_divide(x, positive(other(x))),
        "fold": lambda x: ops.fold(ops.transpose(ops.reshape(x, (-1, 36, 16)), (0, 1, 1)), (12, 12), 2, stride=2),
        "fori_loop": lambda x: ops.fori_loop(0, 3, lambda i, y: y * 0.5 + x, x),
        "full_like": lambda x: x + ops.full_like(x, 0.3),
        "get_item": lambda x: ops.get_item(x, (slice(None), 2, slice(1, 9, 2))),
        "glu": ops.glu,
        "heaviside": lambda x: ops.heaviside(x, 0.5),
        "histogram": None,
        "hsplit": lambda x: ops.hsplit(x, 2)[1],
        "hstack": lambda x: ops.hstack([x, other(x)]),
        "ifft2": lambda x: ops.ifft2((x, other(x)))[0],
        "in_top_k": None,
        "inner": lambda x: ops.inner(x, square),
        "inv": lambda x: ops.inv(matrices(x)),
        "irfft": lambda x: ops.irfft((x, other(x))),
        "isin": lambda x: as_float(lambda y: ops.isin(integers(y), np.array([1, 2, 5], np.int32)))(x),
        "istft": None,
        "kron": None,
        "layer_normalization": lambda x: ops.layer_normalization(x, ramp, ramp),
        "ldexp": lambda x: ops.ldexp(x, ops.cast(integers(other(x)) // 10, "int32")),
        "logdet": lambda x: ops.logdet(matrices(x)),
        "logical_not": lambda x: ops.where(ops.logical_not(x > 0), x, 0.3 * x),
        "lstsq": None,
        "map": lambda x: ops.map(lambda y: y * 2 + 1, x),
        "matmul": lambda x: ops.matmul(x, ops.swapaxes(x, 1, 2)),
        "max_pool": lambda x: ops.max_pool(x, 3, 2, padding="same"),
        "mod:float": lambda x: ops.mod(x, positive(other(x))),
        "moments": lambda x: ops.moments(x, axes=[1, 2])[1],
        "moveaxis": lambda x: ops.moveaxis(x, 1, 3),
        "multi_hot": lambda x: ops.multi_hot(counts(x), 42),
        "nanargmax": as_float(lambda x: ops.nanargmax(x, axis=-1)),
        "nanargmin": as_float(lambda x: ops.nanargmin(x, axis=-1)),
        "nanpercentile": lambda x: ops.nanpercentile(x, 30, axis=-1),
        "nanquantile": lambda x: ops.nanquantile(x, 0.3, axis=-1),
        "nextafter": None,
        "norm": lambda x: ops.norm(x, axis=-1),
        "norm:1": lambda x: ops.norm(x, 1, axis=-1),
        "normalize": lambda x: ops.normalize(x, axis=-1),
        "one_hot": lambda x: ops.one_hot(counts(x), 42),
        "ones_like": lambda x: x + ops.ones_like(x),
        "outer": None,
        "pad": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=0.4),
        "pad:reflect": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="reflect"),
        "pad:symmetric": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="symmetric"),
        "percentile": lambda x: ops.percentile(x, 30, axis=-1),
        "pinv": lambda x: ops.pinv(matrices(x)),
        "polar": lambda x: ops.real(ops.polar(positive(x), other(x))),
        "power": lambda x: ops.power(positive(x), other(x)),
        "power:constant": lambda x: ops.power(x, 3),
        "qr": lambda x: ops.abs(ops.qr(matrices(x))[1]),
        "quantile": lambda x: ops.quantile(x, 0.3, axis=-1),
        "ravel": None,
        "rearrange": lambda x: ops.rearrange(x, "b (h i) w c -> b h w (i c)", i=2),
        "repeat": lambda x: ops.repeat(x, 2, axis=2),
        "reshape": lambda x: ops.reshape(x, (-1, 36, 16)),
        "rfft": lambda x: ops.rfft(x)[0],
        "rfft:magnitude": lambda x: ops.sqrt(sum(ops.square(part) for part in ops.rfft(ops.swapaxes(x, 2, 3)))),
        "rms_normalization": lambda x: ops.rms_normalization(x, ramp),
        "roll": lambda x: ops.roll(x, 2, axis=1),
        "rot90": lambda x: ops.rot90(x, axes=(1, 2)),
        "saturate_cast": as_float(lambda x: ops.saturate_cast(x * 300, "uint8")),
        "scan": lambda x: ops.swapaxes(
            ops.scan(lambda c, y: (c * 0.5 + y, c * 0.5 + y), ops.swapaxes(x, 0, 1)[0] * 0, ops.swapaxes(x, 0, 1))[1], 0, 1
        ),
        "scatter": None,
        "scatter_update": None,
        "searchsorted": None,
        "segment_max": None,
        "segment_sum": lambda x: ops.transpose(
            ops.segment_sum(ops.transpose(x, (1, 0, 2, 3)), np.arange(12, dtype=np.int32) // 3, 4), (1, 0, 2, 3)
        ),
        "select": lambda x: ops.select([x > 0.3, x < -0.3], [x, -x], 0.1),
        "separable_conv": lambda x: ops.separable_conv(x, kernel(3, 3, 4, 1), kernel(1, 1, 4, 6)),
        "slice": None,
        "slice_update": lambda x: ops.slice_update(x, (0, 2, 3, 0), ops.zeros((1, 3, 3, 4))) if False else x,
        "slogdet": lambda x: ops.slogdet(matrices(x))[1],
        "solve": lambda x: ops.solve(matrices(x), ops.swapaxes(x, -1, -2)),
        "solve_triangular": lambda x: ops.solve_triangular(ops.cholesky(matrices(x)), ops.swapaxes(x, -1, -2), lower=True),
        "space_to_depth": lambda x: ops.space_to_depth(x, 2),
        "split": lambda x: ops.split(x, 2, axis=-1)[1],
        "squeeze": lambda x: ops.squeeze(x[:, :1], axis=1),
        "stack": lambda x: ops.stack([x, other(x)], axis=2),
        "stft": lambda x: ops.stft(ops.reshape(x, (-1, 576)), 32, 16, 32)[0],
        "stft:magnitude": lambda x: ops.sqrt(sum(ops.square(p) for p in ops.stft(ops.reshape(x, (-1, 576)), 32, 16, 32)) + 1e-6),
        "svd": lambda x: ops.svd(matrices(x))[1],
        "swapaxes": lambda x: ops.swapaxes(x, 1, 3),
        "switch": lambda x: ops.switch(1, [lambda y: y, lambda y: y * 2], x),
        "take": lambda x: ops.take(x, [3, 1, 0], axis=2),
        "take_along_axis": lambda x: ops.take_along_axis(x, ops.argsort(x, axis=2)[:, :, :3], axis=2),
        "tensordot": lambda x: ops.tensordot(x, square, 1),
        "threshold": lambda x: ops.threshold(x, 0.2, -0.1),
        "tile": lambda x: ops.tile(x, (1, 2, 1, 1)),
        "top_k": lambda x: ops.top_k(x, 3)[0],
        "top_k:indices": as_float(lambda x: ops.top_k(x, 2)[1]),
        "trace": lambda x: ops.trace(x, axis1=1, axis2=2),
        "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
        "tril": lambda x: ops.tril(ops.transpose(x, (0, 3, 1, 2))),
        "triu": lambda x: ops.triu(ops.transpose(x, (0, 3, 1, 2)), 1),
        "true_divide": lambda x: ops.true_divide(x, positive(other(x))),
        "unfold": lambda x: ops.unfold(ops.transpose(x, (0, 3, 1, 2)), 2, stride=2),
        "unstack": lambda x: ops.unstack(x, axis=1)[3],
        "vander": None,
        "vdot": None,
        "vectorize": None,
        "vectorized_map": lambda x: ops.vectorized_map(lambda y: ops.matmul(y, square), x),
        "view_as_complex": lambda x: ops.real(ops.view_as_complex(x[..., :2])),
        "angle": lambda x: ops.angle(ops.view_as_complex(x[..., :2])),
        "imag": lambda x: ops.imag(ops.view_as_complex(x[..., :2])),
        "view_as_real": lambda x: ops.view_as_real(ops.view_as_complex(x[..., :2])),
        "vsplit": lambda x: ops.vsplit(x, 1)[0] if False else x,
        "vstack": None,
        "where": lambda x: ops.where(x > 0.1, x, 0.2),
        "while_loop": lambda x: ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 0.7 + x), (0, x))[1],
        "zeros_like": lambda x: x + ops.zeros_like(x),
        "image.affine_transform": lambda x: ops.image.affine_transform(x, np.array([1, 0.1, 0.5, 0, 0.9, 0.2, 0, 0], np.float32)[None]),
        "image.crop_images": lambda x: ops.image.crop_images(x, 2, 3, target_height=6, target_width=5),
        "image.extract_patches": lambda x: ops.image.extract_patches(x, 3, strides=2, padding="same"),
        "image.extract_patches_3d": lambda x: ops.image.extract_patches_3d(ops.reshape(x, (-1, 12, 12, 2, 2)), (2, 2, 2)),
        "image.gaussian_blur": lambda x: ops.image.gaussian_blur(x, (3, 3), (1.0, 1.0)),
        "image.hsv_to_rgb": lambda x: ops.image.hsv_to_rgb(ops.sigmoid(x[..., :3])),
        "image.map_coordinates": None,
        "image.pad_images": lambda x: ops.image.pad_images(x, 2, 3, target_height=18, target_width=17),
        "image.perspective_transform": lambda x: ops.image.perspective_transform(
            x, np.array([[[0, 0], [11, 0], [0, 11], [11, 11]]], np.float32), np.array([[[1, 1], [10, 0], [0, 10], [11, 11]]], np.float32)
        ),
        "image.resize": lambda x: ops.image.resize(x, (17, 7)),
        "image.rgb_to_grayscale": lambda x: ops.image.rgb_to_grayscale(x[..., :3]),
        "image.rgb_to_hsv": lambda x: ops.image.rgb_to_hsv(ops.sigmoid(x[..., :3])),
        "image.scale_and_translate": lambda x: ops.image.scale_and_translate(
            x, (None, 17, 7, 4), np.array([1.4, 0.6], np.float32), np.array([0.1, 0.2], np.float32), (1, 2), "linear"
        ),
        "image.sobel_edges": lambda x: ops.image.sobel_edges(x),
    }
    every = {**elementwise, **of_positive, **of_inside, **of_two, **compared, **tested, **logical, **reduced, **along, **bits, **shifted}
    return {**every, **{name: each for name, each in named.items() if each is not None}}


def layers(keras: Any) -> Mapping[str, Operation]:
    """Name in `keras.layers`, with a variant after a colon -> the layer on an activation."""
    layers, ops = keras.layers, keras.ops

    def sequence(x: Any) -> Any:
        return layers.Reshape((36, 16))(x)

    def volume(x: Any) -> Any:
        return layers.Reshape((12, 6, 2, 4))(x)

    def frames(x: Any) -> Any:
        return layers.Reshape((3, 4, 12, 4))(x)

    def of(layer: Any, form: Operation = lambda x: x) -> Operation:
        return lambda x: layer(form(x))

    def of_two(layer: Any) -> Operation:
        return lambda x: layer([x, layers.Conv2D(4, 1)(x)])

    def number(x: Any) -> Any:
        return ops.cast(ops.clip(ops.abs(x) * 10, 0, 9), "int32")

    L = layers
    plain = {
        "Activation": L.Activation("mish") if False else L.Activation("silu"),
        "ActivityRegularization": L.ActivityRegularization(),
        "AdaptiveAveragePooling2D": L.AdaptiveAveragePooling2D((5, 3)),
        "AdaptiveMaxPooling2D": L.AdaptiveMaxPooling2D((5, 3)),
        "AlphaDropout": L.AlphaDropout(0.2),
        "AveragePooling2D": L.AveragePooling2D(3, 2, padding="same"),
        "BatchNormalization": L.BatchNormalization(),
        "CenterCrop": L.CenterCrop(7, 8),
        "Conv2D": L.Conv2D(6, 3),
        "Conv2D:grouped": L.Conv2D(6, 3, groups=2),
        "Conv2D:dilated": L.Conv2D(6, 3, dilation_rate=2, padding="same"),
        "Conv2DTranspose": L.Conv2DTranspose(6, 3, strides=2, output_padding=1),
        "Cropping2D": L.Cropping2D(((1, 2), (3, 0))),
        "Dense": L.Dense(6),
        "DepthwiseConv2D": L.DepthwiseConv2D(3, depth_multiplier=2),
        "Dropout": L.Dropout(0.2),
        "ELU": L.ELU(),
        "EinsumDense": L.EinsumDense("abcd,cde->abce", (None, 12, 5), bias_axes="e"),
        "Flatten": L.Flatten(),
        "GaussianDropout": L.GaussianDropout(0.2),
        "GaussianNoise": L.GaussianNoise(0.2),
        "GlobalAveragePooling2D": L.GlobalAveragePooling2D(),
        "GlobalMaxPooling2D": L.GlobalMaxPooling2D(),
        "GroupNormalization": L.GroupNormalization(2),
        "Identity": L.Identity(),
        "LayerNormalization": L.LayerNormalization(axis=(1, 2, 3)),
        "LeakyReLU": L.LeakyReLU(),
        "MaxPooling2D": L.MaxPooling2D(3, 2, padding="same"),
        "Normalization": L.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 0.5, 1.0]),
        "PReLU": L.PReLU(alpha_initializer="random_uniform"),
        "Permute": L.Permute((3, 1, 2)),
        "RMSNormalization": L.RMSNormalization(),
        "ReLU": L.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.1),
        "Rescaling": L.Rescaling(0.3, 0.1),
        "Reshape": L.Reshape((6, 24, 4)),
        "Resizing": L.Resizing(9, 17),
        "SeparableConv2D": L.SeparableConv2D(6, 3),
        "Softmax": L.Softmax(axis=(1, 2)),
        "SpatialDropout2D": L.SpatialDropout2D(0.2),
        "SpectralNormalization": L.SpectralNormalization(L.Conv2D(6, 3)),
        "UnitNormalization": L.UnitNormalization(),
        "UpSampling2D": L.UpSampling2D((2, 3), interpolation="bilinear"),
        "ZeroPadding2D": L.ZeroPadding2D(((1, 2), (3, 0))),
        "RandomBrightness": L.RandomBrightness(0.2),
        "RandomContrast": L.RandomContrast(0.2),
        "RandomCrop": L.RandomCrop(8, 8),
        "RandomFlip": L.RandomFlip(),
        "RandomRotation": L.RandomRotation(0.2),
        "RandomTranslation": L.RandomTranslation(0.2, 0.2),
        "RandomZoom": L.RandomZoom(0.2),
        "TimeDistributed": L.TimeDistributed(L.Conv1D(3, 3)),
    }
    of_sequence = {
        "AdaptiveAveragePooling1D": L.AdaptiveAveragePooling1D(5),
        "AdaptiveMaxPooling1D": L.AdaptiveMaxPooling1D(5),
        "AveragePooling1D": L.AveragePooling1D(3, 2, padding="same"),
        "Bidirectional:lstm": L.Bidirectional(L.LSTM(5, return_sequences=True)),
        "Bidirectional:gru": L.Bidirectional(L.GRU(5)),
        "Conv1D": L.Conv1D(6, 3, dilation_rate=2, padding="causal"),
        "Conv1D:grouped": L.Conv1D(6, 3, groups=2),
        "Conv1DTranspose": L.Conv1DTranspose(6, 3, strides=2),
        "Cropping1D": L.Cropping1D(2),
        "DepthwiseConv1D": L.DepthwiseConv1D(3),
        "GRU": L.GRU(5),
        "GRU:sequences": L.GRU(5, return_sequences=True, reset_after=False),
        "GlobalAveragePooling1D": L.GlobalAveragePooling1D(),
        "GlobalMaxPooling1D": L.GlobalMaxPooling1D(),
        "LSTM": L.LSTM(5),
        "LSTM:sequences": L.LSTM(5, return_sequences=True),
        "LSTM:unrolled": L.LSTM(5, unroll=True),
        "LSTM:backwards": L.LSTM(5, go_backwards=True),
        "MaxPooling1D": L.MaxPooling1D(3, 2, padding="same"),
        "RNN:cells": L.RNN([L.LSTMCell(5), L.GRUCell(4)]),
        "SeparableConv1D": L.SeparableConv1D(6, 3),
        "SimpleRNN": L.SimpleRNN(5),
        "SpatialDropout1D": L.SpatialDropout1D(0.2),
        "UpSampling1D": L.UpSampling1D(2),
        "ZeroPadding1D": L.ZeroPadding1D(2),
    }
    of_volume = {
        "AdaptiveAveragePooling3D": L.AdaptiveAveragePooling3D((3, 1, 1)),
        "AdaptiveMaxPooling3D": L.AdaptiveMaxPooling3D((3, 1, 1)),
        "AveragePooling3D": L.AveragePooling3D((2, 3, 2), padding="same"),
        "Conv3D": L.Conv3D(5, (3, 3, 2)),
        "Conv3D:grouped": L.Conv3D(6, (3, 3, 2), groups=2),
        "Conv3D:dilated": L.Conv3D(6, (3, 3, 1), dilation_rate=(2, 1, 1)),
        "Conv3D:strided": L.Conv3D(6, (3, 3, 2), strides=2, padding="same"),
        "Conv3DTranspose": L.Conv3DTranspose(5, (3, 3, 2), strides=2),
        "Conv3DTranspose:same": L.Conv3DTranspose(5, 3, strides=2, padding="same"),
        "Cropping3D": L.Cropping3D((1, 1, 0)),
        "GlobalAveragePooling3D": L.GlobalAveragePooling3D(),
        "GlobalMaxPooling3D": L.GlobalMaxPooling3D(),
        "MaxPooling3D": L.MaxPooling3D(2),
        "SpatialDropout3D": L.SpatialDropout3D(0.2),
        "UpSampling3D": L.UpSampling3D(2),
        "ZeroPadding3D": L.ZeroPadding3D(1),
    }
    of_frames = {
        "ConvLSTM2D": L.ConvLSTM2D(3, 3, padding="same"),
        "ConvLSTM2D:sequences": L.ConvLSTM2D(3, 3, return_sequences=True),
        "TimeDistributed:2d": L.TimeDistributed(L.Conv2D(3, 3)),
        "TimeDistributed:norm": L.TimeDistributed(L.BatchNormalization()),
    }
    merged = {
        name: of_two(getattr(L, name)())
        for name in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
    }
    named = {
        "AdditiveAttention": lambda x: L.AdditiveAttention()([sequence(x), sequence(x)]),
        "Attention": lambda x: L.Attention(use_scale=True)([sequence(x), sequence(x)]),
        "CategoryEncoding": lambda x: L.CategoryEncoding(10, output_mode="one_hot")(number(x)),
        "CategoryEncoding:multi_hot": lambda x: L.CategoryEncoding(10, output_mode="multi_hot")(number(L.Flatten()(x))),
        "CategoryEncoding:count": lambda x: L.CategoryEncoding(10, output_mode="count")(number(L.Flatten()(x))),
        "ConvLSTM1D": lambda x: L.ConvLSTM1D(3, 3)(L.Reshape((3, 16, 12))(x)),
        "Discretization": lambda x: L.Discretization(bin_boundaries=[-0.5, 0.0, 0.25])(x),
        "Dot": lambda x: L.Dot(axes=2, normalize=True)([sequence(x), L.Dense(16)(sequence(x))]),
        "Embedding": lambda x: L.Embedding(10, 3)(number(x)),
        "Equalization": lambda x: L.Equalization()(x[..., :3] * 100 + 128),
        "AutoContrast": lambda x: L.AutoContrast()(x[..., :3] * 100 + 128),
        "Solarization": lambda x: L.Solarization(threshold_factor=(0.5, 0.5))(x[..., :3] * 100 + 128),
        "GroupQueryAttention": lambda x: L.GroupQueryAttention(4, 2, 1)(sequence(x), sequence(x)),
        "IntegerLookup": lambda x: L.IntegerLookup(vocabulary=[1, 3, 5])(number(x)),
        "Hashing": lambda x: L.Hashing(5)(number(x)),
        "Masking": lambda x: L.LSTM(5)(L.Masking(0.0)(L.ReLU()(sequence(x)))),
        "Masking:sequences": lambda x: L.LSTM(5, return_sequences=True)(L.Masking(0.0)(L.ReLU()(sequence(x)))),
        "Masking:gru": lambda x: L.GRU(5)(L.Masking(0.0)(L.ReLU()(sequence(x)))),
        "Masking:pooling": lambda x: L.GlobalAveragePooling1D()(L.Masking(0.0)(L.ReLU()(sequence(x)))),
        "Masking:attention": lambda x: L.MultiHeadAttention(2, 4)(*[L.Masking(0.0)(L.ReLU()(sequence(x)))] * 2),
        "Masking:bidirectional": lambda x: L.Bidirectional(L.LSTM(5))(L.Masking(0.0)(L.ReLU()(sequence(x)))),
        "MelSpectrogram": lambda x: L.MelSpectrogram(fft_length=64, sequence_length=64, sequence_stride=32, num_mel_bins=8, sampling_rate=800, max_freq=400)(L.Flatten()(x)),
        "MultiHeadAttention": lambda x: L.MultiHeadAttention(2, 4)(sequence(x), sequence(x)),
        "MultiHeadAttention:causal": lambda x: L.MultiHeadAttention(2, 4)(sequence(x), sequence(x), use_causal_mask=True),
        "Pipeline": lambda x: L.Pipeline([L.Rescaling(0.5), L.RandomFlip()])(x),
        "RepeatVector": lambda x: L.RepeatVector(3)(L.Flatten()(x)),
        "STFTSpectrogram": lambda x: L.STFTSpectrogram(frame_length=32, frame_step=16, fft_length=32)(L.Reshape((576, 1))(x)),
        "STFTSpectrogram:log": lambda x: L.STFTSpectrogram(mode="log", frame_length=32, frame_step=16, fft_length=32)(L.Reshape((576, 1))(x)),
    }
    return {
        **plain,
        **{name: of(layer, sequence) for name, layer in of_sequence.items()},
        **{name: of(layer, volume) for name, layer in of_volume.items()},
        **{name: of(layer, frames) for name, layer in of_frames.items()},
        **merged,
        **named,
    }
