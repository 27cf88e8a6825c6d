"""Evaluation of converted models: against their source, and against ground truth."""
