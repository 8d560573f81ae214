"""Windows of text that a model may have memorized: a prefix as prompt, and the suffix that follows it."""
