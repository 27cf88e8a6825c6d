"""Many images over the cores of this machine, and what one run costs."""
