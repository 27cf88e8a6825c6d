"""Files whose values are elsewhere, or that readers understand in two ways, are refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, read

from edgevision.errors import SourceError

pytestmark = MARKS


def external(file: Any, name: str, shape: tuple[int, ...], folder: Path) -> None:
    (folder / "secret.bin").write_bytes(bytes(4 * int(np.prod(shape))))
    file.create_dataset(
        name, shape, "float32", external=[(str(folder / "secret.bin"), 0, 4 * int(np.prod(shape)))]
    )


def virtual(file: Any, name: str, shape: tuple[int, ...], folder: Path) -> None:
    import h5py

    with h5py.File(folder / "other.h5", "w") as other:
        other["values"] = np.zeros(shape, "float32")
    layout = h5py.VirtualLayout(shape, "float32")
    layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "values", shape=shape)
    file.create_virtual_dataset(name, layout)


def linked(file: Any, name: str, shape: tuple[int, ...], folder: Path) -> None:
    import h5py

    with h5py.File(folder / "other.h5", "w") as other:
        other["values"] = np.zeros(shape, "float32")
    file[name] = h5py.ExternalLink(str(folder / "other.h5"), "values")


def hollow(file: Any, name: str, shape: tuple[int, ...], _: Path) -> None:
    file.create_dataset(name, (1 << 40,), "float32", chunks=(1 << 16,))


KINDS = pytest.mark.parametrize(
    ("replace", "words"),
    [
        (external, "is stored in another file"),
        (virtual, "is assembled from other files"),
        (linked, "is a link to another file"),
        (hollow, "declares 4,398,046,511,104 bytes and stores 0"),
    ],
)


def first_dataset(file: Any) -> str:
    names: list[str] = []
    file.visititems(
        lambda name, entry: names.append(name) if hasattr(entry, "shape") and entry.shape else None
    )
    return names[0]


def with_replaced(content: Any, replace: Callable[..., None], folder: Path) -> None:
    import h5py

    with h5py.File(content, "r+") as file:
        name = first_dataset(file)
        shape = file[name].shape
        del file[name]
        replace(file, name, shape, folder)


@KINDS
@pytest.mark.parametrize("generation", [2, 3])
def test_an_h5_file_with_values_in_other_files_is_refused(
    tmp_path: Path, trained: Any, tf_keras: Any, generation: int, replace: Callable[..., None], words: str
) -> None:
    old = tf_keras.Sequential([tf_keras.layers.InputLayer((8, 8, 3)), tf_keras.layers.Conv2D(2, 3)])
    (trained if generation == 3 else old).save(tmp_path / "model.h5")
    with_replaced(tmp_path / "model.h5", replace, tmp_path)
    with pytest.raises(SourceError) as raised:
        read(tmp_path / "model.h5")
    assert words in str(raised.value)


@KINDS
def test_a_keras_file_with_weights_in_other_files_is_refused(
    tmp_path: Path, trained_file: Path, replace: Callable[..., None], words: str
) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(trained_file) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = io.BytesIO(old.read(name))
            if name.endswith(".h5"):
                with_replaced(content, replace, tmp_path)
            new.writestr(name, content.getvalue())
    with pytest.raises(SourceError, match=r"model\.keras: model\.weights\.h5: ") as raised:
        read(path)
    assert words in str(raised.value)


def test_links_within_a_file_are_followed(tmp_path: Path, tf_keras: Any) -> None:
    import h5py

    layers = tf_keras.layers
    old = tf_keras.Sequential([layers.InputLayer((8, 8, 3)), layers.Conv2D(2, 3), layers.Flatten()])
    old.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        name = first_dataset(file)
        file["elsewhere"] = file[name]  # a hard link
        del file[name]
        file[name] = h5py.SoftLink("/elsewhere")
        file["circle"] = file["/"]
    image = np.full((1, 8, 8, 3), 0.5, np.float32)
    source = read(tmp_path / "model.h5")
    (answer,) = source.run({source.inputs[0].name: image}).values()
    np.testing.assert_allclose(answer, np.asarray(old(image)), atol=1e-6)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_a_keras_file_with_a_member_twice_is_refused(tmp_path: Path, trained_file: Path, member: str) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(trained_file.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, archive.read(member))
    with pytest.raises(SourceError, match=f"contains '{member}' twice"):
        read(path)


@pytest.mark.parametrize("member", ["config.json", "metadata.json"])
def test_a_description_that_would_fill_the_memory_is_refused_before_it_is_unpacked(
    tmp_path: Path, member: str
) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        other = {"config.json": "metadata.json", "metadata.json": "config.json"}[member]
        archive.writestr(other, "{}")
        archive.writestr(member, b" " * (65 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(SourceError, match=f"'{member}' has 68,157,440 bytes, expected 67,108,864 at most"):
        read(path)
