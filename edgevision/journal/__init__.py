"""A record of every answer of a model, in one SQLite file whose rows are chained by hash."""
