"""Data sets of text, one a file: what a suite may say of each; what reads them lies in ``vitmem.language.data``."""
