"""Experiment protocols of text, one module each; see ``vitmem.protocols``."""
