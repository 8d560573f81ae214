"""Language models and their contract."""
