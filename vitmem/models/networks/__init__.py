"""Modules of the networks that are defined here; the others are timm's, torchvision's and transformers'."""
