"""Datasets, one per file: the entries of suites; ``vitmem.data`` reads them."""
