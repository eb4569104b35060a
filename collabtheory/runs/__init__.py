"""Runs: specifications, seeds, tasks, the result store, provenance. Nothing here knows what is being computed."""

from collabtheory.runs.seeds import derive, derive_integer

__all__ = ["derive", "derive_integer"]
