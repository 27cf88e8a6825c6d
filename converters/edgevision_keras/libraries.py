"""What converts, imported on first use: quietly, and with the command to type where it is missing."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from edgevision.errors import MissingRuntimeError, SourceError, first_line


def require(module: str, extra: str = "convert") -> Any:
    """Import `module`.

    Raises:
        MissingRuntimeError: it is not installed, or fails to import; names `extra`.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        reason = (
            f"{module.partition('.')[0]} is needed to convert and cannot be imported: {first_line(error)}"
        )
        raise MissingRuntimeError(extra, reason) from error


def require_tensorflow() -> Any:
    """TensorFlow, told to keep quiet and to leave the GPU's memory to the runtimes.

    Raises:
        MissingRuntimeError: it is not installed.
    """
    if "tensorflow" in sys.modules:
        return require("tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tf = require("tensorflow")
    tf.get_logger().setLevel(logging.ERROR)
    # TensorFlow takes all the memory of a GPU that it sees, and reads and converts on the CPU.
    tf.config.set_visible_devices([], "GPU")
    return tf


def require_keras() -> Any:
    """Keras 3 on TensorFlow.

    Raises:
        MissingRuntimeError: it is not installed.
        SourceError: it runs on another backend in this process.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    require_tensorflow()
    keras = require("keras")
    if keras.config.backend() != "tensorflow":
        raise SourceError(
            f"Keras runs on '{keras.config.backend()}' in this process; models are converted on TensorFlow; "
            "set KERAS_BACKEND=tensorflow before keras is imported"
        )
    return keras


def require_tf_keras() -> Any:
    """Keras 2, under its name of today.

    Raises:
        MissingRuntimeError: it is not installed.
    """
    require_tensorflow()
    return require("tf_keras")


def on_one_thread() -> AbstractContextManager[object]:
    """While the block runs, numpy multiplies matrices on the calling thread alone.

    Raises:
        MissingRuntimeError: threadpoolctl is not installed.
    """
    limit: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return limit


@cache
def _thread_pools() -> Any:
    """The pools of the libraries that are loaded: looking for them takes milliseconds."""
    return require("threadpoolctl").ThreadpoolController()
