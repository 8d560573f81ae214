"""Text metrics: pure functions of stored predictions."""
