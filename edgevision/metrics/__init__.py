"""Metrics, their intervals, and tests of their differences."""
