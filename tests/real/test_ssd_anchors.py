"""Anchors as they are laid out here, held against those inside a real detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.tasks.decoders.anchors import AnchorGrid


def test_the_anchors_of_a_real_ssd_are_laid_out_alike(shared: Path) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra `tflite`")
    path = shared / "models" / "coco_ssd_mobilenet_v1_quant_metadata.tflite"
    interpreter = litert.Interpreter(model_content=path.read_bytes())
    interpreter.allocate_tensors()
    details = next(one for one in interpreter.get_tensor_details() if one["name"] == "anchors")
    scale, zero_point = details["quantization"]
    inside = (interpreter.get_tensor(details["index"]).astype(np.float32) - zero_point) * scale
    # Centre y, centre x, height, width there; and known there to half a step of 8 bits.
    ours = AnchorGrid().boxes_cxcywh((300, 300))[:, [1, 0, 3, 2]]
    np.testing.assert_allclose(ours, inside, atol=scale / 2 + 1e-6)
