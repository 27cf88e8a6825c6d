"""Networks of Keras 3 that are trained for int8: with the rounding of an int8 artifact in every step.

Importing this package imports Keras, and registers its layers, so that `keras.models.load_model` knows them.
It works with the TensorFlow and JAX backends of Keras, and imports neither.
"""

from edgevision_keras.training.layers import FakeQuantize, QuantizedLayer

__all__ = ["FakeQuantize", "QuantizedLayer"]
