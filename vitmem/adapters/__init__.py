"""What a family of models needs to be seen by the engine: batches, losses, positions."""
