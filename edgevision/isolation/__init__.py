"""A runtime in a process of its own: what it does there cannot take the calling process down."""
