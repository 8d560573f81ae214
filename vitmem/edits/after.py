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
    """An edit that is applied after another one: ``after`` is ``{method: ...}`` with the parameters of that edit.

    It edits the same blocks and layers and reads the same statistics.
    """

    role: ClassVar[Role] = "diagnostic"
    example = {"after": {"method": "kfac", "fraction": 0.3}}
    after: dict[str, Any]

    @field_validator("after")
    @classmethod
    def resolve_after(cls, after: dict[str, Any]) -> dict[str, Any]:
        """Fill in the defaults of the inner edit; refuse an unknown method or parameter."""
        if not isinstance(after.get("method"), str):
            raise ValueError(f"expected an edit such as {{method: kfac, fraction: 0.01}}, got {after}")
        own = {key: value for key, value in after.items() if key != "method"}
        try:
            inner = EDITS.get(after["method"]).parse(own, "after")
        except VitmemError as error:
            raise ValueError(str(error)) from None
        if len(list(inner.chain())) > 1:
            raise ValueError(f"expected an edit that comes after no other one, got method '{after['method']}'")
        return {"method": after["method"], **canonical(inner)}

    @property
    def inner(self) -> Edit:
        """The edit that comes first."""
        return edit_of(self.after)

    def chain(self) -> Iterator[Edit]:
        """Yield this edit and the one that comes first."""
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
        """What the method is given; where it says nothing of itself, what the inner edit is given."""
        return self.inner.information if self.uses is None else self.uses

    def edit_before(self, context: EditContext) -> EditResult:
        """Return the result of the inner edit, by the seed that it has when it is alone; raises what that raises."""
        name = self.after["method"]
        seed = seed_from(context.seed, name) if context.seed_of is None else context.seed_of(name)
        layers = context.layers if self.inner.edits_blocks else {}
        result: EditResult = self.inner.edit(replace(context, seed=seed, layers=layers))
        return result
