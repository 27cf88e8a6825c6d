"""From an image file to the tensor that a network takes, and back."""
