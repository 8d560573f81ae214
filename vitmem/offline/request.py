"""The request for an edit of an image classifier: sufficient, with checkpoint and images, to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from vitmem.blocks import Blocks
from vitmem.entries import AFTER, Edit
from vitmem.errors import InputError
from vitmem.offline.classifier import model_params, preprocessing
from vitmem.registry import EDITS
from vitmem.specs import Spec

# Information available to a method besides the weights: nothing, or images without labels.
ALLOWED = ("data-free", "unlabelled", None)  # optional for a plug-in


class Request(Spec):
    """The edit of a classifier on images without labels.

    ``model`` is a registered one, ``timm/<name>`` or ``torchvision/<name>``, built with ``params``; ``size``, ``mean``
    and ``std`` are its image preprocessing (``None``: that of its library), one number each for grey images. ``count``
    images are drawn by ``seed``, which also seeds the labels and the method; ``positions`` (``None``: the model's)
    selects the counted positions.
    """

    model: str
    params: dict[str, Any] = Field(default_factory=dict)
    size: int | None = Field(default=None, gt=0)
    mean: tuple[float, float, float] | tuple[float] | None = None
    std: tuple[float, float, float] | tuple[float] | None = None
    method: str = "kfac"
    settings: dict[str, Any] = Field(default_factory=dict)
    blocks: Blocks = "last_half"
    layers: tuple[str, ...] | None = None
    positions: Literal["cls", "all", "patches"] | None = None
    count: int | None = None
    seed: int = 0
    skip_broken: bool = False

    def resolved(self) -> Request:
        """Return the request with names checked and defaults filled in; raises InputError for unknown names."""
        params = model_params(self.model, self.params)
        images = preprocessing(self.model, self.size, self.mean, self.std)
        settings = edit_named(self.method, self.settings).model_dump(exclude_none=True)
        changes = {"params": params, "size": images.size, "mean": images.mean, "std": images.std, "settings": settings}
        return self.model_copy(update=changes)


def edit_named(name: str, settings: Mapping[str, Any]) -> Edit:
    """Return the edit ``name`` with ``settings``.

    Raises InputError for an edit of no layer, or one that needs more than unlabelled images.
    """
    entry = EDITS.get(name)
    if not entry.edits_blocks:
        raise InputError(f"method '{name}': it edits no layer; use another, such as kfac or svd")
    if AFTER in entry.model_fields or entry.uses not in ALLOWED:
        raise InputError(
            f"method '{name}': it needs more than a folder of images gives ({entry.uses}); use a data-free or "
            "unlabelled one, such as kfac or svd"
        )
    return entry.parse(settings, "--set")
