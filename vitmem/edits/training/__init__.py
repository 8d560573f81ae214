"""Shared parts of the edits that train: forget and retain sets, the training loop, masks, classifier features."""

import lazy_loader

# Names are in __init__.pyi; they load torch on first access.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
