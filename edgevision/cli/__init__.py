"""The command line `edgevision`, one file a command."""


def main() -> None:
    """Placeholder until the commands land."""
