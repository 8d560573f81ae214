"""Language models outside a suite: statistics on user texts, and edits of model files on disk."""
