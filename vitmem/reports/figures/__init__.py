"""The figures of every suite, one per file, found by their registered names. They import matplotlib."""
