"""Statistics inside a Keras model: activations, batch normalizations, and images distilled from them."""
