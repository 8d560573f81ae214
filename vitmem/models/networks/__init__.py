"""Modules of the networks defined here; the others come from timm, torchvision and transformers."""
