"""``python -m edgevision``: the command line."""

from edgevision.cli import main

main()
