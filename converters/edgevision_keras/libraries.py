"""The libraries that convert, imported on first use, without their telemetry and most of their output."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import Any

from edgevision.errors import MissingRuntimeError, SourceError, first_line
from edgevision.system.hidden_module import hidden_module
from edgevision.system.process_family import is_member
from edgevision.system.telemetry import without_telemetry

#: Keras imports them where they are installed, to train on their tables: a third of the time of its import.
_ONLY_FOR_TRAINING = ("pandas", "sklearn")


def require(module: str, extra: str = "convert") -> Any:
    """Import `module`.

    Raises:
        MissingRuntimeError: it is not installed, or its import fails; names `extra`.
    """
    try:
        with without_telemetry():  # of whatever the module imports in its turn, too
            return importlib.import_module(module)
    except (ImportError, OSError) as error:
        library = module.partition(".")[0]
        reason = f"conversion needs {library}, which cannot be imported: {first_line(error)}"
        raise MissingRuntimeError(extra, reason) from error


def require_tensorflow() -> Any:
    """TensorFlow, with its log limited to errors and no GPU memory reserved.

    Raises:
        MissingRuntimeError: it is not installed.
    """
    if "tensorflow" in sys.modules:
        return require("tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with ExitStack() as stack:
        # Where the caller's own code runs, Keras must be whole: it may train there.
        for module in _ONLY_FOR_TRAINING if is_member() else ():
            stack.enter_context(hidden_module(module))
        tf = require("tensorflow")
    tf.get_logger().setLevel(logging.ERROR)
    # TensorFlow reserves all the memory of every GPU it sees; models are read and converted on the CPU.
    tf.config.set_visible_devices([], "GPU")
    return tf


def require_keras() -> Any:
    """Keras 3 with the TensorFlow backend.

    Raises:
        MissingRuntimeError: it is not installed.
        SourceError: another backend is active in this process.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    require_tensorflow()
    keras = require("keras")
    if keras.config.backend() != "tensorflow":
        raise SourceError(
            f"Keras uses the backend '{keras.config.backend()}' in this process, but conversion needs "
            "'tensorflow'; set KERAS_BACKEND=tensorflow before importing keras"
        )
    return keras


def require_tf_keras() -> Any:
    """Keras 2, which is distributed as ``tf_keras``.

    Raises:
        MissingRuntimeError: it is not installed.
    """
    require_tensorflow()
    return require("tf_keras")


def require_openvino() -> Any:
    """OpenVINO, without its telemetry.

    Raises:
        MissingRuntimeError: it is not installed.
    """
    return require("openvino")


def require_nncf() -> Any:
    """NNCF, without its telemetry and its progress bars, and with its log limited to errors.

    Raises:
        MissingRuntimeError: it is not installed.
    """
    nncf = require("nncf")
    progress = require("nncf.common.logging.track_progress")
    nncf.set_log_level(logging.ERROR)
    _hide_progress(progress.track)
    return nncf


def _hide_progress(track: Any) -> None:
    """Let NNCF's progress bars be disabled unless a caller says otherwise; it has no setting for them."""
    names = list(inspect.signature(track.__init__).parameters)
    if "disable" in names:
        defaults = list(track.__init__.__defaults__)
        defaults[names.index("disable") - len(names)] = True
        track.__init__.__defaults__ = tuple(defaults)


@cache
def openvino_core() -> Any:
    """The `openvino.Core` that all conversions in this process share.

    Raises:
        MissingRuntimeError: OpenVINO is not installed.
    """
    return require_openvino().Core()


def require_onnxruntime() -> Any:
    """ONNX Runtime, without its telemetry.

    Raises:
        MissingRuntimeError: it is not installed.
    """
    runtime = require("onnxruntime", "onnx")
    runtime.disable_telemetry_events()
    return runtime


def on_one_thread() -> AbstractContextManager[object]:
    """A context in which numpy multiplies matrices on the calling thread alone.

    Raises:
        MissingRuntimeError: threadpoolctl is not installed.
    """
    limit: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limit


@cache
def _thread_pools() -> Any:
    """The thread pools of the loaded libraries: finding them takes milliseconds."""
    return require("threadpoolctl").ThreadpoolController()
