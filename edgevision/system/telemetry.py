"""Import a runtime or another library so that it sends nothing, and writes nothing into the home folder.

Every library that EdgeVision imports comes in through `without_telemetry`. What is known of each:

- ONNX Runtime 1.32 writes a device id into the home folder while it is imported, and connects to its maker
  some seconds later, unless ``ORT_DISABLE_TELEMETRY`` is set by then. Its function
  `disable_telemetry_events` comes too late.
- OpenVINO and NNCF import ``openvino_telemetry``, which writes a client id and connects. Without that package
  they use stubs. Its documented opt-out is a file in the home folder, which only the user may write.
- Keras 2 and 3 write ``~/.keras/keras.json`` where there is none.
- Keras imports matplotlib for its galleries, which writes a cache of the fonts.
- TensorFlow and LiteRT send and write nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgevision.system.hidden_module import hidden_module
from edgevision.system.log import warning

_ORT_VARIABLE = "ORT_DISABLE_TELEMETRY"
#: Environment variable -> value with which a library sends nothing. Child processes inherit it.
_VARIABLES = {_ORT_VARIABLE: "1"}
#: Absent while other libraries are imported, which work without them.
_OPENVINO_TELEMETRY = "openvino_telemetry"
_MATPLOTLIB = "matplotlib"
_KERAS_VARIABLE = "KERAS_HOME"
#: A folder that cannot be created: Keras then keeps its defaults and writes nothing.
_NOWHERE = os.path.join(os.devnull, "keras")  # noqa: PTH118

_warned: set[str] = set()


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Import libraries in this block: those that are known to send telemetry then send none, ever.

    Where the caller imported one before, with its telemetry, a warning says what to set.
    """
    _warn_of_earlier_imports()
    os.environ.update(_VARIABLES)
    with ExitStack() as stack:
        stack.enter_context(hidden_module(_OPENVINO_TELEMETRY))
        if _MATPLOTLIB not in sys.modules:
            stack.enter_context(hidden_module(_MATPLOTLIB))
        stack.enter_context(_keras_without_a_file())
        yield


def _warn_of_earlier_imports() -> None:
    """Warn once of each library that is in this process with its telemetry on."""
    # A variable that is set now may have been set by EdgeVision itself, before the import or in time.
    if "onnxruntime" in sys.modules and os.environ.get(_ORT_VARIABLE, "0") in ("", "0"):
        _warn(
            "onnxruntime",
            f"it writes a device id to the home folder and contacts its maker; set {_ORT_VARIABLE}=1 before "
            "importing it, or import edgevision's model first",
        )
    if "openvino" in sys.modules and sys.modules.get(_OPENVINO_TELEMETRY) is not None:
        _warn(
            "openvino",
            "it writes a client id to the home folder and contacts its maker; run: opt_in_out --opt_out, or "
            "pip uninstall openvino-telemetry",
        )


def _warn(library: str, what_to_do: str) -> None:
    if library not in _warned:
        _warned.add(library)
        warning("%s was imported before EdgeVision could switch off its telemetry: %s", library, what_to_do)


@contextmanager
def _keras_without_a_file() -> Iterator[None]:
    """Let Keras write no settings file, where the user has none; its folder is the usual one afterwards."""
    home = Path(os.path.expanduser("~"), ".keras")  # noqa: PTH111 - never raises, unlike Path.home
    if _KERAS_VARIABLE in os.environ or (home / "keras.json").exists():
        yield
        return
    before = {name: sys.modules.get(name) for name in _KERAS_FOLDERS}
    os.environ[_KERAS_VARIABLE] = _NOWHERE
    try:
        yield
    finally:
        del os.environ[_KERAS_VARIABLE]
        for name, folder in _KERAS_FOLDERS.items():
            module = sys.modules.get(name)
            if module is not before[name] and getattr(module, folder, None) == _NOWHERE:
                setattr(module, folder, str(home))  # where `keras.utils.get_file` keeps downloads


#: Module -> its name for the folder of Keras, which it looks up once.
_KERAS_FOLDERS = {"keras.src.backend.config": "_KERAS_DIR", "tf_keras.src.backend": "_keras_dir"}
