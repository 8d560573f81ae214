"""Training in Lightning, and prediction."""
