"""Experiment protocols, one module each: how one kind of data is prepared, trained on, read and measured."""
