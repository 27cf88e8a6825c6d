"""Tasks: from images to typed results, one module or package per task."""
