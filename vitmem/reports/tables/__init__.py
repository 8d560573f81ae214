"""The tables of every suite: a file a table, found by its registered name."""
