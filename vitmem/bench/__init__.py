"""The experiment matrix: suites, their cells, and the rows of cells."""
