"""Text datasets, one per file: the entries of suites; ``vitmem.language.data`` reads them."""
