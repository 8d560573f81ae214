"""One HTML page a suite that opens from disk: made of rows, and of what is stored of them. No torch."""
