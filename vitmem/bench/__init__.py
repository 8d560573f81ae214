"""The matrix: suites become cells, cells become rows."""
