"""vitmem: measure what a vision transformer has memorized and what is left when it is edited out."""

import lazy_loader

__version__ = "0.2.0"
# Names are in __init__.pyi; they are imported on first access.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
