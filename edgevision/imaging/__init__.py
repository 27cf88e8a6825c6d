"""Images: read, checked, preprocessed into a network's input tensor, and written."""
