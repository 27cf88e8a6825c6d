"""The graph of a model: traced and frozen once, and read by everything that follows."""
