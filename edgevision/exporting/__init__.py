"""Bundles in the forms that other programs expect."""
