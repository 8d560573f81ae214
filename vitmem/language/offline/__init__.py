"""Language models outside a suite: their statistics on texts of one's own, and edits of their files on disk."""
