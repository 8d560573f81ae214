"""Image data sets as uint8 tensors, one source a file, and the noisy batches made of them."""
