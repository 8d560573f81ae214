"""Experiment protocols of text, a module each; see ``vitmem.protocols``."""
