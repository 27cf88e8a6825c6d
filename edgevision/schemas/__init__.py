"""JSON Schemas of the files in a bundle, published with the package."""
