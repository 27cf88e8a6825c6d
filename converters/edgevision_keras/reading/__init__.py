"""Keras models read safely, and what they say of themselves."""
