"""int8: which ranges, which rounding, and the writers for each format."""
