"""How long a model takes on this machine, stage by stage, against the bare runtime in the same run."""
