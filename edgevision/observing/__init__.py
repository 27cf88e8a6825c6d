"""Observers of models: adding the caller's own, and those that ship."""
