"""One standalone HTML page per suite, made of rows and stored artefacts. Does not import torch."""
