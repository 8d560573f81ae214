"""Image datasets as uint8 tensors, one source per file, and the noisy batches made of them."""
