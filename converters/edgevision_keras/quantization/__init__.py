"""int8 quantization: ranges and rounding for all formats, and a quantizer per format."""
