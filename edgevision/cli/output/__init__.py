"""Output of commands: tables, evidence, progress and pictures."""
