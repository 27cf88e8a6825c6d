"""Records of what was measured, what is required of it, and the document that keeps both."""
