"""Classifiers outside a suite: edits of their files on disk, and the records of these."""
