"""What the published result of a study holds: the schema of its JSON file, version 1."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from collabtheory.runs.frozen import Frozen

Verdict = Literal["supported", "contradicted", "inconclusive"]


class _Part(Frozen):
    # No silent conversion: "0.4" is not a number, and a number that is not finite is no result.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Interval(_Part):
    """A mean over users (or another named quantity) with its interval, and over how many users it was taken."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = Field(None, ge=0)
    standard_error: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval needs both of its ends")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval is upside down: low {self.low} is above high {self.high}")
        return self


Metrics = dict[str, Interval]


class ClaimNumber(Interval):
    """One number of a claim, with what it is and its unit (empty or ``1``: none)."""

    label: str = Field(min_length=1)
    unit: str = ""


class DataDescription(_Part):
    """What a study was made on: sizes after the filters, and a fingerprint of the interactions."""

    name: str = Field(min_length=1)
    n_users: int = Field(ge=1)
    n_items: int = Field(ge=1)
    n_interactions: int = Field(ge=1)
    fingerprint: str
    filters: tuple[str, ...] = ()


class Protocol(_Part):
    """How the methods were compared; entries beyond the named ones are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    folds: int = Field(ge=1)
    metrics: dict[str, str]
    """Each metric with its definition in words: libraries differ."""
    tuning_trials: int = Field(ge=0)
    unit: str = "user"


class Trial(_Part):
    """One set of settings tried in tuning, and what it gave on validation users."""

    settings: dict[str, Any]
    validation_ndcg: float


class Method(_Part):
    """One recommender of a study."""

    name: str = Field(min_length=1)
    title: str = Field(min_length=1)
    metrics: Metrics
    cohorts: dict[str, Metrics] = Field(default_factory=dict)
    coverage: float | None = Field(None, alias="coverage@100")
    """Share of the items among anybody's first 100 recommendations."""
    popularity_percentile: float | None = Field(None, alias="popularity_percentile@100")
    """Mean popularity rank of the first 100 recommendations, 0 (least popular item) to 1."""
    settings: dict[str, Any] = Field(default_factory=dict)
    tuning: tuple[Trial, ...] = ()
    best_epochs: tuple[int, ...] = ()
    converged: bool = True
    note: str = ""
    seconds: float | None = Field(None, ge=0)


class Comparison(_Part):
    """``first`` minus ``second`` over the same users, with the verdict on the claim that it is above (below) zero.

    ``second`` may be a number, against which a measure of ``first`` is held.
    """

    claim: str
    first: str
    second: str
    metric: str
    cohort: str | None = None
    difference: Interval
    effect_size: float | None = None
    p: float | None = Field(None, ge=0, le=1)
    p_adjusted: float | None = Field(None, ge=0, le=1)
    smallest_detectable: float | None = Field(None, ge=0)
    expected: Literal["greater", "less"] = "greater"
    verdict: Verdict


class Claim(_Part):
    """The verdict on one claim on this data set, with the numbers that it rests on."""

    id: str = Field(pattern=r"^E([1-9]|1[0-2])$")
    title: str
    verdict: Verdict | Literal["vacuous", "assumption_fails", "error"]
    numbers: tuple[ClaimNumber, ...] = ()
    notes: tuple[str, ...] = ()


class SettingRow(_Part):
    """One row of the settings study: clean, masked, or masked + PIA."""

    setting: str = Field(min_length=1)
    ndcg: Interval = Field(alias="ndcg@100")
    cohorts: dict[str, Metrics] = Field(default_factory=dict)
    neighbour_overlap: Interval | None = None
    global_mass: Interval | None = None
    local_mass: Interval | None = None


class SettingsStudy(_Part):
    """Clean, masked, masked + PIA, in the form of the paper's tables."""

    rows: tuple[SettingRow, ...]


class Study(_Part):
    """One published result: recommenders compared on one data set by user K-fold."""

    schema_version: Literal[1] = Field(alias="schema")
    command: str
    seed: int
    seconds: float = Field(ge=0)
    machine: dict[str, Any]
    date: str
    data: DataDescription
    protocol: Protocol
    methods: tuple[Method, ...]
    comparisons: tuple[Comparison, ...] = ()
    claims: tuple[Claim, ...] = ()
    settings_study: SettingsStudy | None = None

    @property
    def titles(self) -> dict[str, str]:
        """The title of each method by its name."""
        return {method.name: method.title for method in self.methods}

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        try:
            datetime.date.fromisoformat(self.date)
        except ValueError:
            raise ValueError(f"date must be written YYYY-MM-DD; it is {self.date!r}") from None
        _once("methods", [method.name for method in self.methods])
        _once("claims", [claim.id for claim in self.claims])
        settings = [row.setting for row in self.settings_study.rows] if self.settings_study else []
        _once("settings_study.rows", settings)
        for i, one in enumerate(self.comparisons):
            for side in (one.first, one.second):
                if side not in (*self.titles, *settings) and not _is_number(side):
                    raise ValueError(f"comparisons[{i}] names {side!r}, which is neither a method nor a setting")
        return self


def _once(field: str, names: list[str]) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ValueError(f"{field} has {twice!r} twice")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
