"""Accuracy of every recommender of a study, with intervals over users, beside what others report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.run_study import Mean, mean_of, run_study
from collabtheory.report.study_schema import Study
from collabtheory.report.study_words import MAIN, by_accuracy, metric_label
from collabtheory.runs.folder import RunFolder

TITLE = "Accuracy of every model"
CAPTION = (
    "Mean over users of the test folds, best first, with 95 % bootstrap intervals over users (the trained models "
    "count as fixed). Hollow: accuracy still rose when training ended. The shaded band is the interval of the best "
    "model. Overlapping intervals do not mean equal models: all met the same users, so that differences are judged "
    "in pairs."
)
ORDER = 9
SIZE = (5.2, 6.6)
NARROWEST = 3.4
NEEDS = "collabtheory compare"
METRICS = (
    ((MAIN, style.BLUE, "o"),),
    (("recall@20", style.VERMILLION, "s"), ("recall@50", style.GREEN, "D")),
)
MOST_LETTERS = 24
"""Letters of a model's name that a narrow panel has room for; longer titles give way to the short name."""


@dataclass(frozen=True)
class Model:
    """One model: title, short name, and whether its training had come to an end."""

    title: str
    name: str
    converged: bool


@dataclass(frozen=True)
class Accuracy:
    """Some metrics of all models, best model first; None where a model lacks one."""

    data: str
    models: tuple[Model, ...]
    metrics: tuple[tuple[str, str, str], ...]
    values: tuple[tuple[Mean | None, ...], ...]  # a row for each metric


@dataclass(frozen=True)
class Panels:
    """One panel for ranking quality, one for recall."""

    parts: tuple[Accuracy, ...]


def data(run: RunFolder) -> Panels:
    """Return the accuracy of every model of the run's study; raises DataError if it has no study."""
    study = run_study(run)
    parts = [_part(study, metrics) for metrics in METRICS]
    found = tuple(part for part in parts if any(one is not None for row in part.values for one in row))
    if not found:
        raise DataError(f"{run.path}: its study holds neither {MAIN} nor recall")
    return Panels(found)


def panels(data: Panels) -> tuple[Accuracy, ...]:
    """Return the panels."""
    return data.parts


def describe(data: Panels) -> str:
    """Return what the figure shows, in words."""
    part = data.parts[0]
    label = metric_label(part.metrics[0][0])
    said = [
        f"{model.title} {one.value:.4f}{'' if one.low is None else f' [{one.low:.4f}, {one.high:.4f}]'}"
        for model, one in zip(part.models, part.values[0], strict=True)
        if one is not None
    ]
    return f"{label} on {part.data}, best first: {'; '.join(said)}."


def draw(data: Accuracy, ax: Axes) -> None:
    """Draw one panel on ``ax``."""
    n = set()
    shifts = (np.arange(len(data.metrics)) - (len(data.metrics) - 1) / 2) * 0.3
    best = data.values[0][0]
    if len(data.metrics) == 1 and best is not None and best.low is not None and best.high is not None:
        ax.axvspan(best.low, best.high, color=style.HELPS_TINT, lw=0, zorder=0)
    for (metric, colour, marker), row, shift in zip(data.metrics, data.values, shifts, strict=True):
        for k, (model, one) in enumerate(zip(data.models, row, strict=True)):
            if one is None:
                continue
            if one.low is not None and one.high is not None:
                ax.hlines(k + shift, one.low, one.high, color=colour, lw=1.8, zorder=2)
            filled = colour if model.converged else "white"
            ax.plot([one.value], [k + shift], marker=marker, ms=5.5, mec=colour, mfc=filled, mew=1.4, ls="", zorder=3)
            n.add(one.n)
        ax.plot([], [], marker=marker, color=colour, ms=5.5, lw=1.8, label=metric_label(metric))
    if not all(model.converged for model in data.models):
        hollow: dict[str, Any] = {"marker": "o", "ms": 5.5, "mec": style.MUTED, "mfc": "white", "ls": ""}
        ax.plot([], [], label="hollow: still rising", **hollow)
    _name_models(data, ax)
    known = {one for one in n if one is not None}
    users = f", {known.pop():,} users" if len(known) == 1 else ""
    ax.set_title(f"{data.data}{users}")
    ax.set_xlabel(f"{' and '.join(metric_label(metric) for metric, *_ in data.metrics)}, 95 % interval")
    ax.grid(axis="x")


def _part(study: Study, metrics: tuple[tuple[str, str, str], ...]) -> Accuracy:
    methods = by_accuracy(study)
    models = tuple(Model(one.title, one.name, one.converged) for one in methods)
    rows = tuple(tuple(mean_of(one.metrics.get(metric)) for one in methods) for metric, *_ in metrics)
    return Accuracy(study.data.name, models, metrics, rows)


def _name_models(data: Accuracy, ax: Axes) -> None:
    narrow = style.panel_width(ax) < 5
    names = [
        model.name.replace("_", " ") if narrow and len(model.title) > MOST_LETTERS else model.title
        for model in data.models
    ]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.spines["left"].set_visible(False)


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
