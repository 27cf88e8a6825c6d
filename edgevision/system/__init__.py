"""The machine and its files: cores, clocks, entry points, progress."""
