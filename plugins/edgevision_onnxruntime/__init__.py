"""ONNX artifacts on ONNX Runtime: the plugins `cuda`, for NVIDIA GPUs, and `onnx`, for the CPU."""
