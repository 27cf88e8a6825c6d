"""The calibration set: where it comes from, and whether it suits the model."""
