"""The built-in kinds of sources of frames, and how one is chosen."""
