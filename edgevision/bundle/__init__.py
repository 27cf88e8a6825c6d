"""Bundles: manifest, artifacts, known answers and pictures, in a folder or a zip."""
