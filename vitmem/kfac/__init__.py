"""The K-FAC engine: statistics of linear layers and convolutions, spectra, selection and undoable edits.

It knows no image, token, data set or model family: it sees a model, layers by path, and a Task.
"""

import lazy_loader

# Names are in __init__.pyi. They are imported at first use, so that an edit can be listed without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
