"""Write sources that kill, hang or fill the process that reads them, or would run code there.

    python hostile_sources.py FOLDER

Run as a process of its own: it needs TensorFlow. Code in these models would write ``FOLDER/marker``.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers


def main(folder: Path) -> None:
    marker = folder / "marker"
    plain = keras.Sequential([keras.Input((8, 8, 3)), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    plain.save(folder / "plain.keras")
    plain.save(folder / "plain.h5")
    write_hdf5_files(folder)
    write_archives(folder, marker)
    write_saved_models(folder, marker)
    write_lambdas(folder, marker)
    huge = keras.Input((10**6, 10**6, 3))
    keras.Model(huge, layers.GlobalAveragePooling2D()(huge)).save(folder / "huge.keras")
    os.mkfifo(folder / "pipe.keras")


def write_hdf5_files(folder: Path) -> None:
    content = bytearray((folder / "plain.h5").read_bytes())
    # HDF5 goes from object to object of the heap that holds texts; the last one, the free space, is number 0.
    place = content.index(b"GCOL") + 16
    while content[place : place + 2] != b"\0\0":
        (size,) = struct.unpack_from("<Q", content, place + 8)
        place += 16 + (size + 7) // 8 * 8
    struct.pack_into("<Q", content, place + 8, 0)
    (folder / "looping.h5").write_bytes(content)
    (folder / "external.h5").write_bytes((folder / "plain.h5").read_bytes())
    with h5py.File(folder / "external.h5", "a") as file:
        kernel = next(name for name in _datasets(file) if name.endswith("kernel"))
        del file[kernel]
        file.create_dataset(kernel, (3, 3), "f4", external=[("/etc/passwd", 0, 36)])


def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, entry: names.append(name) if isinstance(entry, h5py.Dataset) else None)
    return names


def write_archives(folder: Path, marker: Path) -> None:
    _change(folder, "bomb.keras", lambda config: b'{"a":' + b" " * (70 << 20) + b"1}")

    def of_a_module_beside_it(config: bytes) -> bytes:
        document = json.loads(config)
        document["config"]["layers"][-1].update(module="beside", class_name="Custom", registered_name=None)
        return json.dumps(document).encode()

    _change(folder, "custom.keras", of_a_module_beside_it)
    (folder / "beside.py").write_text(f"open({str(marker)!r}, 'w')")


def _change(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """A copy of the plain model with another configuration."""
    with (
        zipfile.ZipFile(folder / "plain.keras") as plain,
        zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for member in plain.namelist():
            content = plain.read(member)
            changed.writestr(member, change(content) if member == "config.json" else content)


def write_saved_models(folder: Path, marker: Path) -> None:
    def writes(x: Any) -> Any:
        tf.io.write_file(str(marker), "x")
        return x

    def calls_python(x: Any) -> Any:
        return tf.ensure_shape(
            tf.py_function(lambda v: (marker.write_text("x"), v)[1], [x], x.dtype), (None, 3)
        )

    functions = {
        "writes": writes,
        "reads": lambda x: x + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), x.dtype),
        "calls_python": calls_python,
        "loops": lambda x: tf.while_loop(lambda v: True, lambda v: [v + 1.0], [x])[0],
        "fills": lambda x: x + tf.reduce_sum(tf.fill((40_000, 40_000), x[0, 0])),
        "with_pipe": lambda x: x,
    }
    for name, function in functions.items():
        model = _module(function)
        tf.saved_model.save(model, str(folder / name), signatures=model.serve)
    index = folder / "with_pipe" / "variables" / "variables.index"
    index.unlink()
    os.mkfifo(index)


def _module(function: Callable[[Any], Any]) -> Any:
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
        def serve(self, x: Any) -> Any:
            return {"scores": function(tf.reduce_mean(x, (1, 2)))}

    return Model()


def write_lambdas(folder: Path, marker: Path) -> None:
    codes = {
        "marks": f"open({str(marker)!r}, 'w')",
        "sleeps": "__import__('time').sleep(600)",
        "aborts": "__import__('os').abort()",
        "opens": "[open('/dev/null') for _ in range(10**6)]",
        "leaves_processes": "__import__('subprocess').Popen(['sleep', '600'], start_new_session=True)"
        " and __import__('time').sleep(600)",
    }
    os.environ["EDGEVISION_TEST_BUILDS"] = "1"  # here, the code does nothing
    for name, code in codes.items():
        called = eval(f"lambda x: (__import__('os').environ.get('EDGEVISION_TEST_BUILDS') or {code}, x)[1]")  # noqa: S307
        inputs = keras.Input((8, 8, 3))
        pooled = layers.GlobalAveragePooling2D()(inputs)
        keras.Model(inputs, layers.Lambda(called)(pooled)).save(folder / f"{name}.keras")


if __name__ == "__main__":
    np.random.seed(0)
    main(Path(sys.argv[1]))
