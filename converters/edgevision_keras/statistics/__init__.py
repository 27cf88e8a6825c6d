"""What flows in a Keras model: activations, batch normalizations, and images made from them."""
