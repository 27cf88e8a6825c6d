"""The report of a bundle: one page that tells what was measured, for a reviewer to read and to file."""
