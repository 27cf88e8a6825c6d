"""Measurements of artifacts, the requirements that they must meet, and the JSON that keeps both."""
