"""Every operation of `keras.ops` and every layer of `keras.layers` that an image network can have.

Each entry is a function of a (batch, 12, 12, 4) tensor of values around zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Operation = Callable[[Any], Any]
HEIGHT, WIDTH, CHANNELS = 12, 12, 4
ALL = ("tflite", "openvino", "onnx")
#: Operation or layer -> the formats that refuse it, by its name.
REFUSED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("cholesky", "cholesky_inverse", "eigh", "inv", "logdet", "pinv", "qr", "slogdet"), ALL),
    **dict.fromkeys(("solve", "solve_triangular", "svd"), ALL),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "erfinv", "i0", "signbit"), ALL),
    **dict.fromkeys(("image.affine_transform", "image.perspective_transform", "Hashing"), ALL),
    "bincount": ("tflite",),  # without an upper limit, the number of bins depends on the values
    "bitwise_xor": ("openvino", "onnx"),
    "det": ("tflite", "openvino"),
}


def operations(keras: Any) -> Mapping[str, Operation]:
    """Name in `keras.ops`, with a variant after a colon -> the operation on an activation."""
    ops = keras.ops
    ramp = np.linspace(-1, 1, CHANNELS).astype(np.float32)
    square = np.random.default_rng(3).normal(0, 1, (CHANNELS, CHANNELS)).astype(np.float32)
    affine = np.array([[1, 0.1, 0.5, 0, 0.9, 0.2, 0, 0]], np.float32)
    corners = np.array([[[0, 0], [11, 0], [0, 11], [11, 11]]], np.float32)
    moved = np.array([[[1, 1], [10, 0], [0, 10], [11, 11]]], np.float32)

    def same(x: Any) -> Any:
        return x

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

    def line(x: Any) -> Any:
        return ops.reshape(x, (-1, 576))

    def planes(x: Any) -> Any:
        return ops.transpose(x, (0, 3, 1, 2))

    def matrices(x: Any) -> Any:
        """Symmetric matrices, well conditioned."""
        return ops.matmul(ops.swapaxes(x, -1, -2), x) * 0.1 + np.eye(CHANNELS, dtype=np.float32)

    def kernel(*shape: int) -> Any:
        return np.random.default_rng(4).normal(0, 0.3, shape).astype(np.float32)

    def magnitude(parts: Any) -> Any:
        return ops.sqrt(ops.square(parts[0]) + ops.square(parts[1]) + 1e-6)

    def of(
        names: str, *forms: Operation, chosen: bool = False, as_float: bool = False, **options: Any
    ) -> Any:
        """Operations by their names, on the activation in these forms.

        Args:
            chosen: the result is a condition, which chooses between values.
            as_float: the result is not float.
        """

        def applied(name: str) -> Operation:
            compute = getattr(ops, name)

            def apply(x: Any) -> Any:
                result = compute(*(form(x) for form in forms or (same,)), **options)
                if chosen:
                    return ops.where(result, x, 0.3 * x)
                return ops.cast(result, "float32") if as_float else result

            return apply

        return {name: applied(name) for name in names.split()}

    return {
        **of(
            "abs absolute arcsinh arctan cbrt ceil celu conj conjugate copy cos cosh deg2rad elu erf erfc exp"
        ),
        **of(
            "exp2 expm1 fabs fliplr floor gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh i0"
        ),
        **of(
            "leaky_relu log_sigmoid log_softmax nan_to_num negative ones_like rad2deg real relu relu6 round"
        ),
        **of("selu sigmoid sign silu sin sinc sinh soft_shrink softmax softplus softsign sparse_plus"),
        **of(
            "sparse_sigmoid sparsemax square squareplus stop_gradient swish tanh tanh_shrink trunc zeros_like"
        ),
        **of("log log10 log1p log2 reciprocal rsqrt sqrt", positive),
        **of("arccosh", lambda x: positive(x) + 0.6),
        **of("arccos arcsin arctanh erfinv tan", inside),
        **of("add arctan2 divide_no_nan fmax fmin hypot logaddexp logaddexp2 maximum minimum", same, other),
        **of("multiply subtract", same, other),
        **of("divide floor_divide mod true_divide fmod", same, lambda x: positive(other(x))),
        **of("power", positive, other),
        **of("equal greater greater_equal less less_equal not_equal isclose", same, other, chosen=True),
        **of("isfinite isinf isnan isneginf isposinf isreal signbit", chosen=True),
        **of("logical_and logical_or logical_xor", lambda x: x > 0, lambda x: x < 0.3, chosen=True),
        **of("logical_not", lambda x: x > 0, chosen=True),
        **of("all any", lambda x: x > -0.5, axis=-1, as_float=True),
        **of("amax amin average logsumexp max mean median min ptp std sum var prod norm normalize", axis=-1),
        **of("nanmax nanmean nanmin nanprod nanstd nansum nanvar", axis=-1),
        **of("argmax argmin argsort count_nonzero nanargmax nanargmin", axis=-1, as_float=True),
        **of("cumprod cumsum diff nancumprod nancumsum sort trapezoid", axis=2),
        **of("bitwise_and bitwise_or bitwise_xor", integers, lambda x: counts(other(x)), as_float=True),
        **of("bitwise_invert bitwise_not", integers, as_float=True),
        **of(
            "bitwise_left_shift bitwise_right_shift left_shift right_shift",
            counts,
            lambda x: 2,
            as_float=True,
        ),
        **of("cholesky cholesky_inverse det inv logdet pinv", matrices),
        **of("solve", matrices, lambda x: ops.swapaxes(x, -1, -2)),
        **of("tril triu", planes),
        "append": lambda x: ops.append(x, other(x), axis=2),
        "array_split": lambda x: ops.array_split(x, 5, axis=2)[1],
        "average_pool": lambda x: ops.average_pool(x, 3, 2, padding="same"),
        "batch_normalization": lambda x: ops.batch_normalization(x, ramp * 0.1, np.exp(ramp), -1, ramp, ramp),
        "bincount": lambda x: ops.cast(ops.bincount(counts(line(x)), minlength=42)[:, :42], "float32"),
        "broadcast_to": lambda x: x[:, :, :1] + ops.broadcast_to(ramp, (12, 12, CHANNELS)),
        "cast": lambda x: ops.cast(ops.cast(x, "float16"), "float32"),
        "cast:bool": lambda x: ops.cast(ops.cast(ops.relu(x), "bool"), "float32"),
        "cdist": lambda x: ops.cdist(
            ops.reshape(x, (-1, 144, 4)), ops.reshape(other(x), (-1, 144, 4))[:, :5]
        ),
        "clip": lambda x: ops.clip(x, -0.2, 0.4),
        "concatenate": lambda x: ops.concatenate([x, other(x)], axis=-1),
        "cond": lambda x: ops.cond(ops.shape(x)[1] > 3, lambda: x * 2, lambda: x * 3),
        "conv": lambda x: ops.conv(x, kernel(3, 3, 4, 5), padding="same"),
        "conv:volume": lambda x: ops.conv(ops.reshape(x, (-1, 12, 12, 2, 2)), kernel(3, 3, 2, 2, 3)),
        "conv_transpose": lambda x: ops.conv_transpose(x, kernel(3, 3, 5, 4), 2, padding="same"),
        "cross": lambda x: ops.cross(x[..., :3], other(x)[..., :3]),
        "depth_to_space": lambda x: ops.depth_to_space(x, 2),
        "depthwise_conv": lambda x: ops.depthwise_conv(x, kernel(3, 3, 4, 2)),
        "diagonal": lambda x: ops.diagonal(x, axis1=1, axis2=2),
        "digitize": lambda x: ops.cast(ops.digitize(x, np.array([-0.5, 0.0, 0.25], np.float32)), "float32"),
        "dot": lambda x: ops.dot(x, square),
        "dot_product_attention": lambda x: ops.dot_product_attention(x, other(x), x),
        "dsplit": lambda x: ops.dsplit(x, 2)[1],
        "dstack": lambda x: ops.dstack([x, x]),
        "eigh": lambda x: ops.eigh(matrices(x))[0],
        "einsum": lambda x: ops.einsum("bhwc,cd->bdhw", x, square),
        "einsum:two": lambda x: ops.einsum("bhwc,bhvc->bhwv", x, other(x)),
        "expand_dims": lambda x: ops.expand_dims(x, 2) + ops.zeros((1, 1, 2, 1, 1)),
        "extract_sequences": lambda x: ops.extract_sequences(line(x), 16, 8),
        "fft": lambda x: ops.fft((x, other(x)))[0],
        "fft2": lambda x: ops.fft2((x, other(x)))[1],
        "flip": lambda x: ops.flip(x, axis=1),
        "fold": lambda x: ops.fold(
            ops.transpose(ops.reshape(x, (-1, 36, 16)), (0, 2, 1)), (12, 12), 2, stride=2
        ),
        "full_like": lambda x: x + ops.full_like(x, 0.3),
        "get_item": lambda x: ops.get_item(x, (slice(None), 2, slice(1, 9, 2))),
        "heaviside": lambda x: ops.heaviside(x, ops.convert_to_tensor(0.5)),
        "hsplit": lambda x: ops.hsplit(x, 2)[1],
        "hstack": lambda x: ops.hstack([x, other(x)]),
        "ifft2": lambda x: ops.ifft2((x, other(x)))[0],
        "irfft": lambda x: ops.irfft((x, other(x))),
        "layer_normalization": lambda x: ops.layer_normalization(x, ramp, ramp),
        "ldexp": lambda x: ops.ldexp(x, integers(other(x)) // 10),
        "left_shift:places": lambda x: ops.cast(
            ops.left_shift(counts(x), np.arange(4, dtype=np.int32)), "float32"
        ),
        "matmul": lambda x: ops.matmul(x, ops.swapaxes(x, 2, 3)),
        "max_pool": lambda x: ops.max_pool(x, 3, 2, padding="same"),
        "moments": lambda x: ops.moments(x, axes=[1, 2])[1],
        "moveaxis": lambda x: ops.moveaxis(x, 1, 3),
        "multi_hot": lambda x: ops.multi_hot(counts(x), 42),
        "norm:1": lambda x: ops.norm(x, 1, axis=-1),
        "one_hot": lambda x: ops.one_hot(counts(x), 42),
        "pad": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=0.4),
        "pad:reflect": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="reflect"),
        "pad:symmetric": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="symmetric"),
        "percentile": lambda x: ops.percentile(x, 30, axis=-1),
        "polar": lambda x: ops.real(ops.polar(positive(x), other(x))),
        "power:constant": lambda x: ops.power(x, 3),
        "qr": lambda x: ops.abs(ops.qr(matrices(x))[1]),
        "quantile": lambda x: ops.quantile(x, 0.3, axis=-1),
        "repeat": lambda x: ops.repeat(x, 2, axis=2),
        "reshape": lambda x: ops.reshape(x, (-1, 36, 16)),
        "rfft": lambda x: ops.rfft(x)[0],
        "rfft:odd": lambda x: magnitude(ops.rfft(ops.swapaxes(x, 2, 3)[..., :9])),
        "rfft:cut": lambda x: ops.rfft(planes(x), 7)[1],
        "rfft:longer": lambda x: ops.rfft(planes(x), 20)[1],
        "rms_normalization": lambda x: ops.rms_normalization(x, ramp),
        "roll": lambda x: ops.roll(x, 2, axis=1),
        "rot90": lambda x: ops.rot90(x, axes=(1, 2)),
        "saturate_cast": lambda x: ops.cast(ops.saturate_cast(x * 300, "uint8"), "float32"),
        "select": lambda x: ops.select([x > 0.3, x < -0.3], [x, -x], 0.1),
        "separable_conv": lambda x: ops.separable_conv(x, kernel(3, 3, 4, 1), kernel(1, 1, 4, 6)),
        "slogdet": lambda x: ops.slogdet(matrices(x))[1],
        "solve_triangular": lambda x: ops.solve_triangular(
            ops.cholesky(matrices(x)), ops.swapaxes(x, -1, -2), lower=True
        ),
        "space_to_depth": lambda x: ops.space_to_depth(x, 2),
        "split": lambda x: ops.split(x, 2, axis=-1)[1],
        "squeeze": lambda x: ops.squeeze(x[:, :1], axis=1),
        "stack": lambda x: ops.stack([x, other(x)], axis=2),
        "stft": lambda x: ops.stft(line(x), 32, 16, 32)[0],
        "stft:magnitude": lambda x: magnitude(ops.stft(line(x), 48, 16, 64)),
        "svd": lambda x: ops.svd(matrices(x))[1],
        "swapaxes": lambda x: ops.swapaxes(x, 1, 3),
        "take": lambda x: ops.take(x, [3, 1, 0], axis=2),
        "take_along_axis": lambda x: ops.take_along_axis(x, ops.argsort(x, axis=2)[:, :, :3], axis=2),
        "tensordot": lambda x: ops.tensordot(x, square, 1),
        "threshold": lambda x: ops.threshold(x, 0.2, -0.1),
        "tile": lambda x: ops.tile(x, (1, 2, 1, 1)),
        "top_k": lambda x: ops.top_k(x, 3)[0],
        "top_k:indices": lambda x: ops.cast(ops.top_k(x, 2)[1], "float32"),
        "trace": lambda x: ops.trace(x, axis1=1, axis2=2),
        "transpose": planes,
        "unstack": lambda x: ops.unstack(x, axis=1)[3],
        "where": lambda x: ops.where(x > 0.1, x, 0.2),
        "image.affine_transform": lambda x: ops.image.affine_transform(x, affine),
        "image.crop_images": lambda x: ops.image.crop_images(x, 2, 3, target_height=6, target_width=5),
        "image.extract_patches": lambda x: ops.image.extract_patches(x, 3, strides=2, padding="same"),
        "image.extract_patches_3d": lambda x: ops.image.extract_patches_3d(
            ops.reshape(x, (-1, 12, 12, 2, 2)), (2, 2, 2)
        ),
        "image.gaussian_blur": lambda x: ops.image.gaussian_blur(x, (3, 3), (1.0, 1.0)),
        "image.hsv_to_rgb": lambda x: ops.image.hsv_to_rgb(ops.sigmoid(x[..., :3])),
        "image.pad_images": lambda x: ops.image.pad_images(x, 2, 3, target_height=18, target_width=17),
        "image.perspective_transform": lambda x: ops.image.perspective_transform(x, corners, moved),
        "image.resize": lambda x: ops.image.resize(x, (17, 7)),
        "image.rgb_to_grayscale": lambda x: ops.image.rgb_to_grayscale(x[..., :3]),
        "image.rgb_to_hsv": lambda x: ops.image.rgb_to_hsv(ops.sigmoid(x[..., :3])),
        "image.sobel_edges": lambda x: ops.image.sobel_edges(x),
    }


def layers(keras: Any) -> Mapping[str, Operation]:
    """Name in `keras.layers`, with a variant after a colon -> the layer on an activation."""
    layers, ops = keras.layers, keras.ops

    def sequence(x: Any) -> Any:
        return layers.Reshape((36, 16))(x)

    def line(x: Any) -> Any:
        return layers.Reshape((576, 1))(x)

    def masked(x: Any) -> Any:
        """A sequence of which some steps are masked."""
        rows = layers.Reshape((144, 4))(x)[:, :8]
        return layers.Masking(0.0)(layers.ReLU()(rows - 0.3))

    def number(x: Any) -> Any:
        return ops.cast(ops.clip(ops.abs(x) * 10, 0, 9), "int32")

    def numbers(x: Any) -> Any:
        return number(layers.Flatten()(x))

    def pixels(x: Any) -> Any:
        return layers.Rescaling(100.0, 128.0)(x[..., :3])

    def on(form: Operation, made: Mapping[str, Any]) -> dict[str, Operation]:
        return {name: lambda x, layer=layer: layer(form(x)) for name, layer in made.items()}

    def merged(name: str) -> Operation:
        return lambda x: getattr(layers, name)()([x, layers.Conv2D(4, 1)(x)])

    images = {
        "Activation": layers.Activation("silu"),
        "ActivityRegularization": layers.ActivityRegularization(),
        "AdaptiveAveragePooling2D": layers.AdaptiveAveragePooling2D((5, 3)),
        "AdaptiveMaxPooling2D": layers.AdaptiveMaxPooling2D((5, 3)),
        "AlphaDropout": layers.AlphaDropout(0.2),
        "AveragePooling2D": layers.AveragePooling2D(3, 2, padding="same"),
        "BatchNormalization": layers.BatchNormalization(),
        "CenterCrop": layers.CenterCrop(7, 8),
        "Conv2D": layers.Conv2D(6, 3),
        "Conv2D:dilated": layers.Conv2D(6, 3, dilation_rate=2, padding="same"),
        "Conv2D:grouped": layers.Conv2D(6, 3, groups=2),
        "Conv2DTranspose": layers.Conv2DTranspose(6, 3, strides=2, output_padding=1),
        "Cropping2D": layers.Cropping2D(((1, 2), (3, 0))),
        "Dense": layers.Dense(6),
        "DepthwiseConv2D": layers.DepthwiseConv2D(3, depth_multiplier=2),
        "Discretization": layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.25]),
        "Dropout": layers.Dropout(0.2),
        "ELU": layers.ELU(),
        "EinsumDense": layers.EinsumDense("abcd,cde->abce", (None, 12, 5), bias_axes="e"),
        "Flatten": layers.Flatten(),
        "GaussianDropout": layers.GaussianDropout(0.2),
        "GaussianNoise": layers.GaussianNoise(0.2),
        "GlobalAveragePooling2D": layers.GlobalAveragePooling2D(),
        "GlobalMaxPooling2D": layers.GlobalMaxPooling2D(),
        "GroupNormalization": layers.GroupNormalization(2),
        "Identity": layers.Identity(),
        "LayerNormalization": layers.LayerNormalization(axis=(1, 2, 3)),
        "LeakyReLU": layers.LeakyReLU(),
        "MaxPooling2D": layers.MaxPooling2D(3, 2, padding="same"),
        "Normalization": layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 0.5, 1.0]),
        "PReLU": layers.PReLU(alpha_initializer="random_uniform"),
        "Permute": layers.Permute((3, 1, 2)),
        "Pipeline": layers.Pipeline([layers.Rescaling(0.5), layers.RandomFlip()]),
        "RMSNormalization": layers.RMSNormalization(),
        "RandomBrightness": layers.RandomBrightness(0.2),
        "RandomContrast": layers.RandomContrast(0.2),
        "RandomCrop": layers.RandomCrop(8, 8),
        "RandomFlip": layers.RandomFlip(),
        "RandomRotation": layers.RandomRotation(0.2),
        "RandomTranslation": layers.RandomTranslation(0.2, 0.2),
        "RandomZoom": layers.RandomZoom(0.2),
        "ReLU": layers.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.1),
        "Rescaling": layers.Rescaling(0.3, 0.1),
        "Reshape": layers.Reshape((6, 24, 4)),
        "Resizing": layers.Resizing(9, 17),
        "SeparableConv2D": layers.SeparableConv2D(6, 3),
        "Softmax": layers.Softmax(axis=(1, 2)),
        "SpatialDropout2D": layers.SpatialDropout2D(0.2),
        "SpectralNormalization": layers.SpectralNormalization(layers.Conv2D(6, 3)),
        "TimeDistributed": layers.TimeDistributed(layers.Conv1D(3, 3)),
        "UnitNormalization": layers.UnitNormalization(),
        "UpSampling2D": layers.UpSampling2D((2, 3), interpolation="bilinear"),
        "ZeroPadding2D": layers.ZeroPadding2D(((1, 2), (3, 0))),
    }
    sequences = {
        "AdaptiveAveragePooling1D": layers.AdaptiveAveragePooling1D(5),
        "AdaptiveMaxPooling1D": layers.AdaptiveMaxPooling1D(5),
        "AveragePooling1D": layers.AveragePooling1D(3, 2, padding="same"),
        "Bidirectional:gru": layers.Bidirectional(layers.GRU(5)),
        "Bidirectional:lstm": layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        "Conv1D": layers.Conv1D(6, 3, dilation_rate=2, padding="causal"),
        "Conv1D:grouped": layers.Conv1D(6, 3, groups=2),
        "Conv1DTranspose": layers.Conv1DTranspose(6, 3, strides=2),
        "Cropping1D": layers.Cropping1D(2),
        "DepthwiseConv1D": layers.DepthwiseConv1D(3),
        "GRU": layers.GRU(5),
        "GRU:sequences": layers.GRU(5, return_sequences=True, reset_after=False),
        "GlobalAveragePooling1D": layers.GlobalAveragePooling1D(),
        "GlobalMaxPooling1D": layers.GlobalMaxPooling1D(),
        "LSTM": layers.LSTM(5),
        "LSTM:backwards": layers.LSTM(5, go_backwards=True),
        "LSTM:sequences": layers.LSTM(5, return_sequences=True),
        "MaxPooling1D": layers.MaxPooling1D(3, 2, padding="same"),
        "RNN": layers.RNN([layers.LSTMCell(5), layers.GRUCell(4)]),
        "SeparableConv1D": layers.SeparableConv1D(6, 3),
        "SimpleRNN": layers.SimpleRNN(5),
        "SpatialDropout1D": layers.SpatialDropout1D(0.2),
        "UpSampling1D": layers.UpSampling1D(2),
        "ZeroPadding1D": layers.ZeroPadding1D(2),
    }
    masked_sequences = {
        "Masking": layers.LSTM(5),
        "Masking:bidirectional": layers.Bidirectional(layers.LSTM(5)),
        "Masking:gru": layers.GRU(5),
        "Masking:pooling": layers.GlobalAveragePooling1D(),
        "Masking:sequences": layers.LSTM(5, return_sequences=True),
    }
    volumes = {
        "AdaptiveAveragePooling3D": layers.AdaptiveAveragePooling3D(1),
        "AdaptiveMaxPooling3D": layers.AdaptiveMaxPooling3D(1),
        "AveragePooling3D": layers.AveragePooling3D((2, 3, 2), padding="same"),
        "Conv3D": layers.Conv3D(5, (3, 3, 2)),
        "Conv3D:dilated": layers.Conv3D(6, (3, 3, 1), dilation_rate=(2, 2, 1)),
        "Conv3D:dilated_same": layers.Conv3D(6, 3, dilation_rate=(3, 2, 2), padding="same"),
        "Conv3D:grouped": layers.Conv3D(6, (3, 3, 2), groups=2),
        "Conv3D:strided": layers.Conv3D(6, (3, 3, 2), strides=2, padding="same"),
        "Conv3DTranspose": layers.Conv3DTranspose(5, (3, 3, 2), strides=2),
        "Conv3DTranspose:same": layers.Conv3DTranspose(5, 3, strides=2, padding="same"),
        "Cropping3D": layers.Cropping3D((1, 1, 0)),
        "GlobalAveragePooling3D": layers.GlobalAveragePooling3D(),
        "GlobalMaxPooling3D": layers.GlobalMaxPooling3D(),
        "MaxPooling3D": layers.MaxPooling3D(2),
        "SpatialDropout3D": layers.SpatialDropout3D(0.2),
        "UpSampling3D": layers.UpSampling3D(2),
        "ZeroPadding3D": layers.ZeroPadding3D(1),
    }
    frames = {
        "ConvLSTM2D": layers.ConvLSTM2D(3, 3, padding="same"),
        "ConvLSTM2D:sequences": layers.ConvLSTM2D(3, 3, return_sequences=True),
        "TimeDistributed:image": layers.TimeDistributed(layers.Conv2D(3, 3)),
        "TimeDistributed:normalized": layers.TimeDistributed(layers.BatchNormalization()),
    }
    rows = {
        "STFTSpectrogram": layers.STFTSpectrogram(frame_length=32, frame_step=16, fft_length=32),
        "STFTSpectrogram:log": layers.STFTSpectrogram(
            mode="log", frame_length=32, frame_step=16, fft_length=32
        ),
    }
    mel = layers.MelSpectrogram(64, 32, 64, sampling_rate=800, max_freq=400, num_mel_bins=8)
    integers = {
        "CategoryEncoding:count": layers.CategoryEncoding(10, output_mode="count"),
        "CategoryEncoding:multi_hot": layers.CategoryEncoding(10, output_mode="multi_hot"),
    }
    colours = {
        "AutoContrast": layers.AutoContrast(),
        "Solarization": layers.Solarization(threshold_factor=(0.5, 0.5)),
    }
    attention = layers.MultiHeadAttention(2, 4)
    return {
        **on(lambda x: x, images),
        **on(sequence, sequences),
        **on(masked, masked_sequences),
        **on(lambda x: layers.Reshape((12, 6, 2, 4))(x), volumes),
        **on(lambda x: layers.Reshape((3, 4, 12, 4))(x), frames),
        **on(line, rows),
        **on(numbers, integers),
        "MelSpectrogram": lambda x: mel(layers.Flatten()(x)),
        **on(pixels, colours),
        **on(number, {"Embedding": layers.Embedding(10, 3), "Hashing": layers.Hashing(5)}),
        **on(number, {"CategoryEncoding": layers.CategoryEncoding(10, output_mode="one_hot")}),
        **{
            name: merged(name)
            for name in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
        },
        "AdditiveAttention": lambda x: layers.AdditiveAttention()([sequence(x), sequence(x)]),
        "Attention": lambda x: layers.Attention(use_scale=True)([sequence(x), sequence(x)]),
        "ConvLSTM1D": lambda x: layers.ConvLSTM1D(3, 3)(layers.Reshape((3, 16, 12))(x)),
        "Dot": lambda x: layers.Dot(2, normalize=True)([sequence(x), layers.Dense(16)(sequence(x))]),
        "GroupQueryAttention": lambda x: layers.GroupQueryAttention(4, 2, 1)(sequence(x), sequence(x)),
        "Masking:attention": lambda x: layers.MultiHeadAttention(2, 4)(masked(x), masked(x)),
        "MultiHeadAttention": lambda x: attention(sequence(x), sequence(x)),
        "MultiHeadAttention:causal": lambda x: layers.MultiHeadAttention(2, 4)(
            sequence(x), sequence(x), use_causal_mask=True
        ),
        "RepeatVector": lambda x: layers.RepeatVector(3)(layers.Flatten()(x)),
    }
