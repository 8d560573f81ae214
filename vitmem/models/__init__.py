"""Networks and their plug-in contract."""
