"""The contract that every backend and converter must pass, for plugin authors too."""
