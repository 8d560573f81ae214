"""What the edits that train share: forget and retain sets, the training loop, masks, the classifier's features."""

import lazy_loader

# Names are in __init__.pyi; they load torch when they are asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
