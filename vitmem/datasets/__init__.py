"""Data sets, one a file: what a suite may say of each; what reads them lies in ``vitmem.data``."""
