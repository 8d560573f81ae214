"""Experiment protocols, a module each: how data of one kind are prepared, trained on, read, predicted and measured."""
