"""The K-FAC engine: statistics of linear layers and convolutions, spectra, selection and undoable edits.

It has no knowledge of images, tokens, datasets or model families: its inputs are a model, layers by path, and a Task.
"""

import lazy_loader

# Names are in __init__.pyi. They are imported on first use, so that edits can be listed without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
