"""The conversion report of a bundle: one HTML page with all measurements, for review and filing."""
