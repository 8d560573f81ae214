"""The tables of every suite, one per file, found by their registered names."""
