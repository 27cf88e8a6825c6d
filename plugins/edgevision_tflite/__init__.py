"""EdgeVision's backend `tflite`."""
