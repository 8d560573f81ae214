"""Edits that are applied after another edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import field_validator

from vitmem.edits.base import EditContext, EditResult
from vitmem.entries import Edit, Information, Needs, Role
from vitmem.errors import VitmemError
from vitmem.registry import EDITS, edit_of
from vitmem.specs import Statistics, canonical, seed_from


class AfterEdit(Edit):
    """An edit applied after another one: ``after`` is ``{method: ...}`` with the parameters of the inner edit.

    It edits the same blocks and layers and reads the same statistics.
    """

    role: ClassVar[Role] = "diagnostic"
    example = {"after": {"method": "kfac", "fraction": 0.3}}
    after: dict[str, Any]

    @field_validator("after")
    @classmethod
    def resolve_after(cls, after: dict[str, Any]) -> dict[str, Any]:
        """Fill in the defaults of the inner edit; reject an unknown method or parameter."""
        if not isinstance(after.get("method"), str):
            raise ValueError(f"expected an edit such as {{method: kfac, fraction: 0.01}}, got {after}")
        own = {key: value for key, value in after.items() if key != "method"}
        try:
            inner = EDITS.get(after["method"]).parse(own, "after")
        except VitmemError as error:
            raise ValueError(str(error)) from None
        if len(list(inner.chain())) > 1:
            raise ValueError(f"expected an edit without an inner edit, got method '{after['method']}'")
        return {"method": after["method"], **canonical(inner)}

    @property
    def inner(self) -> Edit:
        """The edit that is applied first."""
        return edit_of(self.after)

    def chain(self) -> Iterator[Edit]:
        """Yield this edit and its inner edits, the first applied last."""
        yield self
        yield from self.inner.chain()

    @property
    def needs(self) -> Needs | None:
        """The statistics that the inner edit reads."""
        return self.inner.needs

    @property
    def second_set(self) -> Statistics | None:
        """The second set of statistics that the inner edit reads."""
        return self.inner.second_set

    @property
    def information(self) -> Information | None:
        """The information the method uses; by default that of the inner edit."""
        return self.inner.information if self.uses is None else self.uses

    def edit_before(self, context: EditContext) -> EditResult:
        """Return the result of the inner edit, with the seed it has when run alone; raises what that edit raises."""
        name = self.after["method"]
        seed = seed_from(context.seed, name) if context.seed_of is None else context.seed_of(name)
        layers = context.layers if self.inner.edits_blocks else {}
        result: EditResult = self.inner.edit(replace(context, seed=seed, layers=layers))
        return result
