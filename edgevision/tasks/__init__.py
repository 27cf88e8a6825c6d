"""Results: what a network's outputs mean, one module a task."""
