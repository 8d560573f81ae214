"""Language models: synthetic strings, and pretrained models with passages and windows; no other module imports it."""
