"""Calibration sets: checks, coverage of their activation ranges, and synthetic sets."""
