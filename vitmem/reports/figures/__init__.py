"""The figures of every suite: a file a figure, found by its registered name. They import matplotlib."""
