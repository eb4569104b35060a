"""How accuracy depends on one setting: along a sweep, or along the ladders of a verification."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import ladder

TITLE = "How much accuracy hangs on a setting"
CAPTION = (
    "Models that differ in one setting alone, on the same users and seeds; nothing is tuned. Accuracy: nDCG@100, "
    "mean and 95 % interval over test users; thin lines: single folds, where there are several. Difference: from the"
    " first value over the same users, which is what decides, as the intervals of two accuracies overlap long "
    "before. Hollow: accuracy still rose when training ended."
)
ORDER = 9
SIZE = (4.9, 3.9)
PER_ROW = 3
NARROWEST = 2.6
NEEDS = "collabtheory sweep, or collabtheory verify"
LADDERS = (
    ("beta", "Weight of the KL", r"$\beta$, weight of the KL"),
    ("alignment", "Weight of alignment", r"$\lambda_A$, weight of item alignment"),
    ("keep", "Keep probability", r"keep probability $\rho$ of training"),
)
DECADES = 8.0
"""Ratio of the largest to the smallest positive value from which the axis is logarithmic."""
FOLD = "#b3bcc4"


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity against one setting; ``difference``: it is a paired difference from the first value."""

    title: str
    setting: str
    labels: tuple[str, ...]
    places: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    folds: np.ndarray  # (folds, values), may be empty
    rising: tuple[bool, ...]
    n: int | None
    numeric: bool
    difference: bool = False


@dataclass(frozen=True)
class Sensitivity:
    """The curves of a run."""

    curves: tuple[Curve, ...]


def data(run: RunFolder) -> Sensitivity:
    """Return accuracy along the sweep that the folder holds, else along the run's ladders.

    Raises DataError if it has neither.
    """
    path = run.path / "sweep.json"
    if path.is_file():
        try:
            return Sensitivity(_sweep(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path}: not the result of a sweep ({error}); run `collabtheory sweep` again") from error
    curves, reason = [], ""
    for name, title, setting in LADDERS:
        try:
            frame = ladder(run, name)
        except DataError as error:
            reason = reason or str(error)
            continue
        rows = frame[frame["quantity"] == "ndcg"].sort_values("value")
        if len(rows) > 1:
            values = rows["value"].to_numpy()
            middle, low, high = (rows[end].to_numpy() for end in ("middle", "low", "high"))
            labels = tuple(f"{value:g}" for value in values)
            n = int(rows["n"].max())
            none = np.empty((0, len(values)))
            curves.append(
                Curve(title, setting, labels, values, middle, low, high, none, (False,) * len(values), n, True)
            )
    if not curves:
        raise DataError(reason or f"{run.path} has neither a sweep nor a ladder with accuracies")
    return Sensitivity(tuple(curves))


def panels(data: Sensitivity) -> tuple[Curve, ...]:
    """Return the curves, one panel each."""
    return data.curves


def describe(data: Sensitivity) -> str:
    """Return what the figure shows, in words."""
    said = []
    for curve in data.curves:
        cells = [f"{value:.4f} at {label}" for value, label in zip(curve.middle, curve.labels, strict=True)]
        setting = curve.setting.replace("$", "").replace("\\", "")
        said.append(f"nDCG@100, {curve.title}, by {setting}: {', '.join(cells)}")
    return f"{'; '.join(said)}."


def draw(data: Curve, ax: Axes) -> None:
    """Draw one curve on ``ax``."""
    colour, marker = (style.VERMILLION, "s") if data.difference else (style.BLUE, "o")
    scale = _scale(data, ax)
    for fold in data.folds:
        ax.plot(data.places, fold, color=FOLD, lw=0.9, zorder=1)
    if len(data.folds):
        ax.plot([], [], color=FOLD, lw=0.9, label="single folds")
    if data.difference:
        ax.axhline(0, color=style.INK, lw=1.0, zorder=1)
    ax.plot(data.places, data.middle, color=colour, lw=1.3, zorder=2)
    ax.vlines(data.places, data.low, data.high, color=colour, lw=2.0, zorder=3)
    for x, y, rising in zip(data.places, data.middle, data.rising, strict=True):
        filled = "white" if rising else colour
        ax.plot([x], [y], marker=marker, ms=6.5, mew=1.5, mec=colour, mfc=filled, ls="", zorder=4)
    words = "paired difference" if data.difference else "mean over users"
    ax.plot([], [], color=colour, marker=marker, ms=6.5, lw=2.0, label=f"{words}, 95 % interval")
    if any(data.rising):
        hollow: dict[str, Any] = {"marker": "o", "ms": 6.5, "mew": 1.5, "mec": style.MUTED, "mfc": "white", "ls": ""}
        ax.plot([], [], label="hollow: still rising", **hollow)
    users = f", n\u00a0=\u00a0{data.n:,} users" if data.n else ""
    ax.set_title(f"{data.title}{users}")
    ax.set_xlabel(f"{data.setting}{scale}")
    ax.set_ylabel("difference in nDCG@100" if data.difference else "nDCG@100")
    ax.grid(axis="y")


def _sweep(content: dict[str, Any]) -> tuple[Curve, ...]:
    points = content["points"]
    values = [point["value"] for point in points]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    places = np.array(values if numeric else range(len(values)), dtype=float)
    labels = tuple(f"{value:g}" if numeric else _label(value) for value in values)
    setting = content["setting"].replace("_", " ")
    rising = tuple(bool(point["still_rising"]) for point in points)
    metric = content["protocol"]["metric"]
    middle, low, high = _ends([point[metric] for point in points])
    folds = np.array([point["per_fold"] for point in points], dtype=float).T
    where = f"{content['data']['name']}, {content['title']}"
    first = Curve(where, setting, labels, places, middle, low, high, folds, rising, points[0][metric]["n"], numeric)
    moved = [point["difference_from_first"] or {"value": 0.0, "low": 0.0, "high": 0.0} for point in points]
    middle, low, high = _ends(moved)
    title = f"Minus {setting} = {labels[0]}"
    none = np.empty((0, len(points)))
    return first, Curve(
        title, setting, labels, places, middle, low, high, none, rising, moved[-1].get("n"), numeric, True
    )


def _ends(entries: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    middle, low, high = (np.array([one[end] for one in entries], dtype=float) for end in ("value", "low", "high"))
    return middle, low, high


def _label(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _scale(data: Curve, ax: Axes) -> str:
    """Set the axis of the setting; return what its label says of it."""
    positive = data.places[data.places > 0]
    words = ""
    if not data.numeric or not len(positive) or data.places.min() < 0 or positive.max() < DECADES * positive.min():
        margin = 0.08 * (np.ptp(data.places) or 1.0)
        ax.set_xlim(data.places.min() - margin, data.places.max() + margin)
    elif len(positive) == len(data.places):
        ax.set_xscale("log")
        words = " (log scale)"
    else:
        ax.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.4)
        ax.set_xlim(-0.35 * positive.min(), positive.max() * 1.6)
        words = " (log scale, and 0)"
    ax.set_xticks(data.places, list(data.labels))
    ax.xaxis.set_minor_locator(NullLocator())
    return words


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
