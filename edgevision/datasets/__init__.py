"""Image sets, seeds and their ground truth."""
