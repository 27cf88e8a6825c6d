"""Conversion of a trained model to a bundle with evidence."""
