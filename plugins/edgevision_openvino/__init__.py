"""EdgeVision's backend `openvino`."""
