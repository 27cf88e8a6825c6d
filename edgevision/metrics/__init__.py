"""Metrics, their confidence intervals, and significance tests of their differences."""
