"""Windows of text that a model may know by heart: a prefix to ask with, and the suffix that follows it."""
