"""What the engine has to know of a family of models: batches, losses, positions."""
