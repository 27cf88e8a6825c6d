"""A model that cannot be read is refused in one line with the file and the next step."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, read

from edgevision.errors import SourceError, UntrustedSourceError

pytestmark = MARKS


def text_file(folder: Path, _: Path) -> Path:
    path = folder / "model.keras"
    path.write_text("not a model")
    return path


def truncated_keras(folder: Path, good: Path) -> Path:
    path = folder / "model.keras"
    path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    return path


def damaged_keras(folder: Path, good: Path) -> Path:
    path = folder / "model.keras"
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        weights = archive.getinfo("model.weights.h5")
    content[weights.header_offset + 2000] ^= 0xFF
    path.write_bytes(bytes(content))
    return path


def no_config(folder: Path, _: Path) -> Path:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    return path


def text_h5(folder: Path, _: Path) -> Path:
    path = folder / "model.h5"
    path.write_text("not a model")
    return path


def empty_directory(folder: Path, _: Path) -> Path:
    path = folder / "model"
    path.mkdir()
    return path


def text_saved_model(folder: Path, _: Path) -> Path:
    path = empty_directory(folder, _)
    (path / "saved_model.pb").write_text("not a graph")
    return path


def missing(folder: Path, _: Path) -> Path:
    return folder / "model.keras"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (text_file, "expected a .keras file as written by model.save('NAME.keras')"),
        (truncated_keras, "expected a .keras file"),
        (damaged_keras, "Bad CRC-32"),
        (no_config, "config.json"),
        (text_h5, "expected an HDF5 file"),
        (empty_directory, "expected a SavedModel as written by model.export('DIR')"),
        (text_saved_model, "expected a SavedModel as written by model.export('DIR')"),
        (missing, "no such file or directory"),
    ],
)
def test_a_file_without_a_model_is_refused(
    tmp_path: Path, trained_file: Path, make: Callable[[Path, Path], Path], words: str
) -> None:
    path = make(tmp_path, trained_file)
    with pytest.raises(SourceError) as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_h5_is_refused(tmp_path: Path, trained: Any, part: float) -> None:
    path = tmp_path / "model.h5"
    trained.save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(SourceError, match=r"model\.h5: cannot be read"):
        read(path)


def test_a_file_with_only_weights_is_refused(tmp_path: Path, trained: Any) -> None:
    trained.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(SourceError, match="contains only weights, expected a whole model"):
        read(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("form", ["model.keras", "model.h5", "model"])
def test_weights_with_nan_or_infinity_are_refused_by_name(
    tmp_path: Path, keras: Any, form: str, value: float
) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="broken")])
    kernel, bias = model.get_weights()
    kernel[0, 0, 0, 0] = value
    model.set_weights([kernel, bias])
    if form == "model":
        model.export(tmp_path / form, verbose=False)
    else:
        model.save(tmp_path / form)
    with pytest.raises(SourceError, match=r"weight '(.*/)?broken/kernel' contains NaN or infinity"):
        read(tmp_path / form)


def test_an_input_other_than_an_image_must_have_fixed_sizes(tmp_path: Path, keras: Any) -> None:
    words = keras.Input((None, 4), name="words")
    keras.Model(words, keras.layers.Dense(2)(words)).save(tmp_path / "words.keras")
    with pytest.raises(
        SourceError, match=r"'words' has shape \(any, any, 4\); expected a batch and fixed sizes"
    ):
        read(tmp_path / "words.keras")


def test_a_class_that_keras_does_not_know_is_refused(tmp_path: Path, keras: Any) -> None:
    class Unheard(keras.layers.Layer):
        def call(self, values: Any) -> Any:
            return values

    model = keras.Sequential([keras.Input((8, 8, 3)), Unheard(name="odd")])
    for name in ("custom.keras", "custom.h5"):
        model.save(tmp_path / name)
        with pytest.raises(SourceError, match=r"layer 'odd' is of the custom class 'Unheard'.*model\.export"):
            read(tmp_path / name)


@pytest.mark.parametrize("trust", [False, True])
def test_a_function_that_a_file_only_names_is_refused_with_or_without_trust(
    tmp_path: Path, keras: Any, trust: bool
) -> None:
    layers = keras.layers
    by_name = layers.Lambda(keras.applications.mobilenet_v2.preprocess_input, name="scaled")
    own = layers.Conv2D(2, 3, activation=own_activation, name="odd")
    for layer, function in ((by_name, "preprocess_input"), (own, "own_activation")):
        keras.Sequential([keras.Input((8, 8, 3)), layer]).save(tmp_path / "model.keras")
        step = rf"load the model with .*\{{'{function}': {function}\}}\), run model\.export"
        with pytest.raises(
            SourceError, match=f"layer '{layer.name}' uses the function '{function}'.*{step}"
        ) as raised:
            read(tmp_path / "model.keras", trust_source=trust)
        assert "--trust-source" not in str(raised.value)


def own_activation(values: Any) -> Any:
    """An activation that is not registered with Keras."""
    return values


def test_an_initializer_that_keras_does_not_know_is_refused_with_the_way_out(
    tmp_path: Path, keras: Any
) -> None:
    class Threes(keras.initializers.Initializer):
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return keras.ops.full(shape, 3.0, dtype)

    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, kernel_initializer=Threes())]).save(
        tmp_path / "model.keras"
    )
    with pytest.raises(SourceError, match=r"custom class 'Threes'.*model\.export"):
        read(tmp_path / "model.keras")
    with pytest.raises(SourceError, match=r"cannot load the model: .*'?Threes.*model\.export"):
        read(tmp_path / "model.keras", trust_source=True)


def test_a_module_that_a_file_names_is_not_imported(tmp_path: Path, trained_file: Path) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    path = rewritten(trained_file, tmp_path / "evil.keras", module="evil_module", class_name="Evil")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(SourceError, match="'Evil', which Keras does not know"):
            read(path)


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(("kind", "library"), [("TorchModuleWrapper", "PyTorch"), ("JaxLayer", "JAX")])
def test_a_layer_of_another_library_is_refused_with_or_without_trust(
    tmp_path: Path, trained_file: Path, kind: str, library: str, trust: bool
) -> None:
    path = rewritten(trained_file, tmp_path / "other.keras", module="keras.layers", class_name=kind)
    with pytest.raises(SourceError, match=f"'{kind}' runs in {library} only; ") as raised:
        read(path, trust_source=trust)
    assert "--trust-source" not in str(raised.value)


def rewritten(good: Path, path: Path, **entry: str) -> Path:
    """A copy of a .keras file with other entries in the configuration of its second layer."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1].update(entry)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return path


# ---- code in a model -------------------------------------------------------------------------


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """A file that the code in a model writes, if it runs."""
    return tmp_path / "it_ran"


def lambda_model(keras: Any, flag: Path) -> Any:
    # A lambda that uses only builtins, which Keras stores as bytecode. Keras 3.15 cannot read back one with
    # default arguments.
    touch = eval(f"lambda values: (open({str(flag)!r}, 'w').close(), values)[1]")  # noqa: S307
    layers = keras.layers
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Lambda(touch, name="touch"), layers.Conv2D(2, 3)])


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("generation", [2, 3])
def test_a_lambda_is_refused_before_it_runs_and_runs_when_trusted(
    tmp_path: Path, flag: Path, keras: Any, tf_keras: Any, name: str, generation: int
) -> None:
    library = keras if generation == 3 else tf_keras
    lambda_model(library, flag).save(tmp_path / name)
    flag.unlink()
    with pytest.raises(
        UntrustedSourceError, match=r"layer 'touch' \(Lambda\) contains code.*pass --trust-source"
    ):
        read(tmp_path / name)
    assert not flag.exists()
    assert read(tmp_path / name, trust_source=True).outputs[0].shape == (None, 6, 6, 2)


def test_a_lambda_inside_a_nested_model_is_found(tmp_path: Path, flag: Path, keras: Any) -> None:
    inner = lambda_model(keras, flag)
    keras.Sequential([keras.Input((8, 8, 3)), inner]).save(tmp_path / "nested.keras")
    with pytest.raises(UntrustedSourceError, match="'touch'"):
        read(tmp_path / "nested.keras")


def saved_function(folder: Path, operation: Callable[[Any], Any]) -> Path:
    """A SavedModel that runs another operation before its arithmetic."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 3), tf.float32, name="image")])
        def __call__(self, image: Any) -> Any:
            with tf.control_dependencies([operation(image)]):
                return {"sum": tf.reduce_sum(image, axis=(1, 2))}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)
    return folder


def test_a_saved_model_that_writes_is_refused_before_it_runs(tmp_path: Path, flag: Path) -> None:
    import tensorflow as tf

    path = saved_function(tmp_path / "model", lambda _: tf.io.write_file(str(flag), "x"))
    with pytest.raises(
        UntrustedSourceError, match=r"\(WriteFile\) accesses data outside.*pass --trust-source"
    ):
        read(path)
    assert not flag.exists()


def test_a_saved_model_that_reads_or_calls_python_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    reading = saved_function(tmp_path / "reading", lambda _: tf.io.read_file("/etc/hostname"))
    with pytest.raises(UntrustedSourceError, match=r"\(ReadFile\)"):
        read(reading)
    calling = saved_function(tmp_path / "calling", lambda x: tf.numpy_function(lambda y: y, [x], tf.float32))
    with pytest.raises(UntrustedSourceError, match=r"\(PyFunc"):
        read(calling)


def test_a_saved_model_that_writes_a_checkpoint_when_it_runs_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    prefix = str(tmp_path / "stolen")
    path = saved_function(
        tmp_path / "model",
        lambda x: tf.raw_ops.SaveV2(prefix=prefix, tensor_names=["x"], shape_and_slices=[""], tensors=[x]),
    )
    with pytest.raises(UntrustedSourceError, match=r"\(SaveV2\)"):
        read(path)


def test_a_saved_model_without_its_variables_is_refused(tmp_path: Path, trained: Any) -> None:
    trained.export(tmp_path / "model", verbose=False)
    shutil.rmtree(tmp_path / "model" / "variables")
    with pytest.raises(SourceError, match="TensorFlow cannot load the model"):
        read(tmp_path / "model")
