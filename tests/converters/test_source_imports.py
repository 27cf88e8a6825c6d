"""Layers of an installed package are read after `--import`, and nothing else is imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS

from edgevision.converter import SourceOptions
from edgevision.errors import OptionError, SourceError, UntrustedSourceError
from edgevision_keras.reading.packages import import_packages
from edgevision_keras.reading.reader import KerasReader

pytestmark = MARKS
REGISTERED = """
import keras

@keras.saving.register_keras_serializable(package={package!r})
class Twice(keras.layers.Layer):
    def call(self, values):
        return values * 2
"""
UNREGISTERED = """
import keras

class Twice(keras.layers.Layer):
    def call(self, values):
        return values * 2
"""


def installed(folder: Path, package: str, code: str, version: str = "1.2") -> Path:
    """A folder like site-packages, with one installed distribution."""
    site = folder / "site"
    (site / package).mkdir(parents=True, exist_ok=True)
    (site / package / "__init__.py").write_text(code.format(package=package))
    metadata = site / f"{package}-{version}.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (metadata / "RECORD").write_text(f"{package}/__init__.py,,\n{package}-{version}.dist-info/METADATA,,\n")
    return site


def saved_with(keras: Any, package: str, path: Path) -> Path:
    """A model with a layer of a package, saved and forgotten by this process."""
    module = __import__(package)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), module.Twice(name="twice"), keras.layers.Flatten(name="flat")]
    )
    model.save(path)
    forget(keras, package)
    return path


def forget(keras: Any, package: str) -> None:
    sys.modules.pop(package, None)
    for name in [name for name in keras.saving.get_custom_objects() if name.endswith(">Twice")]:
        del keras.saving.get_custom_objects()[name]


def read_with(path: Path, *imports: str) -> Any:
    options = SourceOptions(imports=imports)
    return KerasReader().read_with_options(path, options, trust_source=False, input_size_wh=None)


@pytest.mark.parametrize("form", ["model.keras", "model.h5"])
@pytest.mark.parametrize(("package", "code"), [("parts_a", REGISTERED), ("parts_b", UNREGISTERED)])
def test_a_layer_of_an_installed_package_is_read_when_the_caller_names_it(
    tmp_path: Path, keras: Any, monkeypatch: pytest.MonkeyPatch, package: str, code: str, form: str
) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path, package, code)))
    path = saved_with(keras, package, tmp_path / form)
    named = "PACKAGE" if form == "model.h5" and code == UNREGISTERED else package
    with pytest.raises(SourceError, match=f"'twice' is of the custom class 'Twice'.*--import {named}"):
        read_with(path)
    assert package not in sys.modules
    source = read_with(path, package)
    images = np.ones((2, 8, 8, 3), np.float32)
    np.testing.assert_array_equal(source.run({source.inputs[0].name: images})["flat"], 2)
    assert source.versions[package] == "1.2"
    forget(keras, package)


def test_a_lambda_is_refused_in_spite_of_an_import(
    tmp_path: Path, keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path, "parts_c", REGISTERED)))
    touch = eval("lambda values: values")  # noqa: S307
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(touch)]).save(tmp_path / "model.keras")
    with pytest.raises(UntrustedSourceError, match="contains code"):
        read_with(tmp_path / "model.keras", "parts_c")


def test_an_operation_that_reads_files_is_refused_in_spite_of_an_import(
    tmp_path: Path, keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = REGISTERED.replace(
        "return values * 2",
        "import tensorflow as tf; "
        "return values + tf.strings.to_number(tf.io.read_file('/proc/sys/kernel/pid_max'))",
    )
    monkeypatch.syspath_prepend(str(installed(tmp_path, "parts_d", code)))
    path = saved_with(keras, "parts_d", tmp_path / "model.keras")
    with pytest.raises(UntrustedSourceError, match=r"\(ReadFile\)"):
        read_with(path, "parts_d")
    forget(keras, "parts_d")


@pytest.mark.parametrize("name", ["./parts", "parts/x", "", "parts; print()", "-c"])
def test_what_is_not_the_name_of_a_package_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="expected the name of an installed package"):
        import_packages([name])


@pytest.mark.parametrize("name", ["json", "nowhere_at_all"])
def test_a_module_of_no_distribution_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"no installed package has the module '{name}'.*pip install"):
        import_packages([name])


@pytest.mark.parametrize("with_metadata", [False, True])
def test_a_module_of_the_working_directory_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_metadata: bool
) -> None:
    """Neither one that hides an installed package, nor one that pretends to be installed there."""
    here = installed(tmp_path / "here", "parts_e", "raise SystemExit('imported')", "9.9")
    if not with_metadata:
        for file in (here / "parts_e-9.9.dist-info").iterdir():
            file.unlink()
    monkeypatch.syspath_prepend(str(installed(tmp_path, "parts_e", "")))
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend("")
    with pytest.raises(OptionError, match=r"here/site/parts_e/__init__\.py hides the installed package"):
        import_packages(["parts_e"])
    assert "parts_e" not in sys.modules


def test_a_package_that_cannot_be_imported_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path, "parts_f", "raise RuntimeError('no licence')")))
    with pytest.raises(
        OptionError, match="parts_f: the package cannot be imported: RuntimeError: no licence"
    ):
        import_packages(["parts_f"])


def test_a_package_that_is_not_installed_is_named_with_the_option(
    tmp_path: Path, keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(installed(tmp_path, "parts_g", REGISTERED)))
        path = saved_with(keras, "parts_g", tmp_path / "model.keras")
    with pytest.raises(SourceError, match=r"parts_g defines it.*install it and pass --import parts_g"):
        read_with(path)


def test_a_saved_model_needs_no_import(tmp_path: Path, trained: Any) -> None:
    trained.export(tmp_path / "model", verbose=False)
    with pytest.raises(OptionError, match="--import numpy: a SavedModel contains its layers"):
        read_with(tmp_path / "model", "numpy")
