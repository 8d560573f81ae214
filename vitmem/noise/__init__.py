"""Label-noise models, one per file: pure numpy, each with an explicit random generator."""
