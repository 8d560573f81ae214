"""Interfaces between model families and the engine: batches, losses, positions."""
