"""Query NVIDIA's driver and libraries without loading ONNX Runtime's provider."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
from pathlib import Path
from typing import Any

from edgevision.errors import DeviceError
from edgevision.system.reading import read_system_file

#: Major version of CUDA -> libraries that ONNX Runtime's CUDA provider links to.
_LIBRARIES = {
    12: ("libcudart.so.12", "libcublasLt.so.12", "libcublas.so.12", "libcufft.so.11", "libcurand.so.10"),
    13: ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcufft.so.12", "libcurand.so.10"),
}
_CUDNN = "libcudnn.so.9"
_TENSORRT = "libnvinfer.so.10"


def gpus() -> list[str]:
    """The names of the GPUs, in the driver's order.

    Raises:
        DeviceError: there is no driver, or it finds no GPU; says which.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise DeviceError(
            "no NVIDIA driver on this machine (libcuda.so.1 cannot be loaded); install it; "
            "start a container with --gpus all; nvidia-smi must list the GPU"
        ) from error
    code = driver.cuInit(0)
    if code:
        raise DeviceError(f"the NVIDIA driver finds no working GPU (cuInit returned {code}); see nvidia-smi")
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    return [_name(driver, index) for index in range(count.value)]


def preload(runtime: Any) -> None:
    """Load the libraries of CUDA and cuDNN from their wheels, if these are installed.

    ONNX Runtime's own search misses wheels outside a normal site-packages folder.
    """
    if not hasattr(runtime, "preload_dlls"):  # came with 1.21
        return
    # It prints what is missing to stdout, where a program may write JSON; `missing_libraries` finds it out.
    with contextlib.redirect_stdout(io.StringIO()):
        _preload(runtime, cuda_major(runtime))


def cuda_major(runtime: Any) -> int:
    """Major version of the CUDA that ONNX Runtime was built with."""
    return int((getattr(runtime, "cuda_version", "") or "13").split(".")[0])


def missing_libraries(runtime: Any) -> list[str]:
    """The libraries of CUDA and cuDNN that cannot be loaded, after `preload`."""
    return [name for name in (*_LIBRARIES.get(cuda_major(runtime), ()), _CUDNN) if not _loads(name)]


def has_tensorrt() -> bool:
    """Return whether TensorRT's library can be loaded."""
    return _loads(_TENSORRT)


def fingerprint(gpu: str) -> str:
    """A digest of what a TensorRT engine depends on besides the model and ONNX Runtime."""
    version = read_system_file("/proc/driver/nvidia/version")
    tensorrt = ctypes.CDLL(_TENSORRT).getInferLibVersion() if has_tensorrt() else 0
    import hashlib  # not at the top: it loads OpenSSL

    return hashlib.sha256(f"{gpu}\n{version}\n{tensorrt}".encode()).hexdigest()[:16]


def _preload(runtime: Any, major: int) -> None:
    for root in _wheel_folders():
        cuda, cudnn = root / f"cu{major}" / "lib", root / "cudnn" / "lib"
        if cuda.is_dir():
            runtime.preload_dlls(cuda=True, cudnn=False, directory=str(cuda))
            if cudnn.is_dir():
                runtime.preload_dlls(cuda=False, cudnn=True, directory=str(cudnn))
            return
    runtime.preload_dlls()


def _name(driver: Any, index: int) -> str:
    device, text = ctypes.c_int(), ctypes.create_string_buffer(128)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(text, len(text), device)
    return text.value.decode(errors="replace")


def _wheel_folders() -> list[Path]:
    try:
        return [Path(folder) for folder in importlib.import_module("nvidia").__path__]
    except ImportError:
        return []


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
