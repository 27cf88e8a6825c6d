"""Converters from trained Keras models."""
