"""The base of every specification."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value whose fields are all known; fields marked ``exclude=True`` are not part of its identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")
