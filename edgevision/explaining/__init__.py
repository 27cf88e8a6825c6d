"""Explanations of one answer: which parts of the image it rests on, found from the outside of any runtime."""
