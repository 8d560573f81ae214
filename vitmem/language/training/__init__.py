"""Training on rows of tokens, and what a language model says of them."""
