"""Accuracy by the length of a user's history, and what item alignment gains in each cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import signed
from collabtheory.report.run_study import Mean, mean_of, run_study, telling_methods
from collabtheory.report.study_schema import Comparison, Study
from collabtheory.report.study_words import MAIN, cohort_key, metric_label
from collabtheory.runs.folder import RunFolder

TITLE = "Who gains: cohorts of history length"
CAPTION = (
    "Users by the number of their interactions. First: nDCG@100 of the study's telling models (the simplest, the "
    "strongest linear one, the paper's settings, and the best), mean and 95 % interval over the users of a cohort. "
    "Second: paired differences of the same two models in each cohort, with intervals over users and folds; hollow: "
    "inconclusive. Levels differ between cohorts for reasons that have nothing to do with a model: a longer history "
    "has more held-out items."
)
ORDER = 9
SIZE = (6.4, 4.4)
NARROWEST = 3.4
SUPPORTS = ("E5",)
NEEDS = "collabtheory compare"
LOOKS = (
    (style.MUTED, "v", ":"), (style.ORANGE, "D", "--"), (style.SKY, "^", "-."), (style.BLUE, "o", "-"),
    (style.VERMILLION, "s", "-"), (style.GREEN, "P", "--"), (style.PURPLE, "X", "-."),
)  # fmt: skip


@dataclass(frozen=True)
class Levels:
    """Accuracy of some models by cohort: a row for each model, None where it was not measured."""

    data: str
    cohorts: tuple[str, ...]
    counts: tuple[int | None, ...]
    titles: tuple[str, ...]
    values: tuple[tuple[Mean | None, ...], ...]


@dataclass(frozen=True)
class Gains:
    """Paired differences of two models by cohort."""

    title: str
    cohorts: tuple[str, ...]
    differences: tuple[Mean, ...]
    decided: tuple[bool, ...]


@dataclass(frozen=True)
class Cohorts:
    """The panels that the study has data for."""

    parts: tuple[Levels | Gains, ...]


def data(run: RunFolder) -> Cohorts:
    """Return accuracy and paired differences by cohort; raises DataError if the run's study has neither."""
    study = run_study(run)
    parts: list[Levels | Gains] = []
    levels = _levels(study)
    if levels is not None:
        parts.append(levels)
    parts += _gains(study)
    if not parts:
        raise DataError(f"{run.path}: its study has no cohort of users with {MAIN}")
    return Cohorts(tuple(parts))


def panels(data: Cohorts) -> tuple[Levels | Gains, ...]:
    """Return the panels."""
    return data.parts


def describe(data: Cohorts) -> str:
    """Return what the figure shows, in words."""
    said = []
    for part in data.parts:
        if isinstance(part, Levels):
            for title, row in zip(part.titles, part.values, strict=True):
                cells = [
                    f"{one.value:.3f} at {name}" for name, one in zip(part.cohorts, row, strict=True) if one is not None
                ]
                said.append(f"{title}: {', '.join(cells)}")
        else:
            cells = [
                f"{signed(one.value)} at {name}{'' if decided else ' (inconclusive)'}"
                for name, one, decided in zip(part.cohorts, part.differences, part.decided, strict=True)
            ]
            said.append(f"{part.title}: {', '.join(cells)}")
    return f"By number of interactions. {'; '.join(said)}."


def draw(data: Levels | Gains, ax: Axes) -> None:
    """Draw one panel on ``ax``."""
    if isinstance(data, Levels):
        _draw_levels(data, ax)
    else:
        _draw_gains(data, ax)


def _levels(study: Study) -> Levels | None:
    methods = [one for one in telling_methods(study) if any(MAIN in found for found in one.cohorts.values())]
    names = sorted({name for one in methods for name, found in one.cohorts.items() if MAIN in found}, key=cohort_key)
    if not names:
        return None
    values = tuple(tuple(mean_of(one.cohorts.get(name, {}).get(MAIN)) for name in names) for one in methods)
    counts = tuple(next((row[k].n for row in values if row[k] is not None), None) for k in range(len(names)))  # type: ignore[union-attr]
    return Levels(study.data.name, tuple(names), counts, tuple(one.title for one in methods), values)


def _gains(study: Study) -> list[Gains]:
    """Return a panel for each pair of models that is compared in cohorts."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for one in study.comparisons:
        if one.cohort is not None and one.metric == MAIN:
            found.setdefault((one.first, one.second), []).append(one)
    made = []
    for (first, second), listed in found.items():
        rows = sorted(listed, key=lambda one: cohort_key(one.cohort or ""))
        title = f"{study.titles.get(first, first)} − {study.titles.get(second, second)}"
        made.append(
            Gains(
                title,
                tuple(one.cohort or "" for one in rows),
                tuple(mean for one in rows if (mean := mean_of(one.difference)) is not None),
                tuple(one.verdict != "inconclusive" for one in rows),
            )
        )
    return made


def _draw_levels(data: Levels, ax: Axes) -> None:
    x = np.arange(len(data.cohorts), dtype=float)
    shifts = (np.arange(len(data.titles)) - (len(data.titles) - 1) / 2) * 0.09
    for k, (title, row) in enumerate(zip(data.titles, data.values, strict=True)):
        colour, marker, line = LOOKS[k % len(LOOKS)]
        known = [(x[j] + shifts[k], one) for j, one in enumerate(row) if one is not None]
        ax.plot(
            [place for place, _ in known], [one.value for _, one in known], color=colour, marker=marker, ls=line, ms=6,
            lw=1.3, label=title, zorder=3,
        )  # fmt: skip
        for place, one in known:
            if one.low is not None and one.high is not None:
                ax.vlines(place, one.low, one.high, color=colour, lw=1.5, zorder=2)
    ends = [one.low if one.low is not None else one.value for row in data.values for one in row if one is not None]
    if min(ends) >= 0:
        ax.set_ylim(0)
    _name_cohorts(data.cohorts, data.counts, ax)
    ax.set_title(f"Accuracy, {data.data}")
    ax.set_ylabel(f"{metric_label(MAIN)}, 95 % interval")


def _draw_gains(data: Gains, ax: Axes) -> None:
    ax.axhline(0, color=style.INK, lw=1.0, zorder=1)
    for k, (one, decided) in enumerate(zip(data.differences, data.decided, strict=True)):
        if one.low is not None and one.high is not None:
            ax.vlines(k, one.low, one.high, color=style.VERMILLION, lw=2.0, zorder=2)
        ax.plot(
            [k], [one.value], marker="s", ms=8, mew=1.6, mec=style.VERMILLION, ls="", zorder=3,
            mfc=style.VERMILLION if decided else "white",
        )  # fmt: skip
    looks: dict[str, Any] = {"marker": "s", "ms": 8, "mew": 1.6, "mec": style.VERMILLION, "ls": ""}
    ax.plot([], [], mfc=style.VERMILLION, label="paired difference, decided", **looks)
    ax.plot([], [], mfc="white", label="paired difference, inconclusive", **looks)
    _name_cohorts(data.cohorts, tuple(one.n for one in data.differences), ax)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
    ax.set_title(data.title)
    ax.set_ylabel(f"difference in {metric_label(MAIN)}")


def _name_cohorts(names: tuple[str, ...], counts: tuple[int | None, ...], ax: Axes) -> None:
    labels = [name if n is None else f"{name}\nn = {n:,}" for name, n in zip(names, counts, strict=True)]
    ax.set_xticks(range(len(names)), labels)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_xlabel("interactions of a user")
    ax.grid(axis="y")


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
