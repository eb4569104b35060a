"""The figure of a sweep: accuracy, paired difference and measures, each against the setting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from collabtheory.report import style
from collabtheory.report.study_words import MAIN, metric_label
from collabtheory.report.words import count_words
from collabtheory.stats import Estimate
from collabtheory.studies.sweep import Curve, Point

UNITS = {
    "batch_size": "users a step",
    "epochs": "epochs",
    "hidden": "units a layer",
    "k": "neighbours",
    "keep_probability": "probability of keeping an input item",
    "latent": "dimensions",
    "negatives": "items",
    "patience": "epochs",
}
FOLD = "#b3bcc4"
DECADES = 30.0
"""Ratio of the largest to the smallest positive value from which the axis is logarithmic."""
CLOSEST_LABELS = 0.075
"""Share of the axis that two labels of values need between them."""


@dataclass(frozen=True)
class Panel:
    """What one panel shows: title, label of the quantity, its estimate at a point, and how it is drawn.

    ``most``: the quantity lies between 0 and this, so an interval of few folds that reaches beyond is cut off there.
    """

    title: str
    label: str
    of: Callable[[Point], Estimate | None]
    colour: str
    per_fold: bool = False
    zero: bool = False
    most: float = math.inf


def write_figure(curve: Curve, png: Path, svg: Path) -> None:
    """Draw a sweep into both files, atomically; equal curves give equal bytes."""
    shown = panels(curve)
    with style.house_style():
        figure, axes = style.new_figure(len(shown), (6.0, 4.0))
        for panel, ax in zip(shown, axes, strict=True):
            draw(curve, panel, ax)
        style.add_shared_legend(figure, axes)
        heading = f"{curve.data.name}: {curve.method.title}, {curve.setting.replace('_', ' ')} varied"
        figure.suptitle(heading, x=0.01, ha="left", fontsize=12.5)
        style.save_figure(figure, png, svg)


def panels(curve: Curve) -> tuple[Panel, ...]:
    """Return the panels of a sweep: accuracy, difference from the first value, and each measure defined anywhere."""
    first, metric = curve.points[0], metric_label(MAIN)
    users, folds = f"n = {first.ndcg.n:,} users", count_words(curve.profile.folds, "fold")
    found = [
        Panel("Accuracy", f"mean {metric} ({users})", lambda point: point.ndcg, style.BLUE, per_fold=True),
        Panel(
            f"Paired difference from {first.label}",
            f"difference in {metric} ({users})",
            lambda point: Estimate(0, 0, 0, 0) if point.difference is None else point.difference.difference,
            style.VERMILLION,
            zero=True,
        ),
    ]
    titles = {
        "active_units": ("Active units", "latent dimensions", style.GREEN, math.inf),
        "neighbours_kept": ("Neighbours kept between masks", "Jaccard overlap, 1 = no drift", style.PURPLE, 1.0),
        "global_mass": ("Global collaboration", "share of positive help", style.ORANGE, 1.0),
    }
    for name in first.measures:
        if any(point.measures[name] is not None for point in curve.points):
            title, label, colour, most = titles[name]
            found.append(Panel(title, f"{label} (n = {folds})", _measure(name), colour, most=most))
    return tuple(found)


def _measure(name: str) -> Callable[[Point], Estimate | None]:
    return lambda point: point.measures[name]


def draw(curve: Curve, panel: Panel, ax: Axes) -> None:
    """Draw one panel: a mark with its interval at each value, hollow where training had not converged."""
    places = _scale(curve, ax)
    kept = [(x, point, found) for x, point in zip(places, curve.points, strict=True) if (found := panel.of(point))]
    if panel.zero:
        ax.axhline(0, color=style.INK, lw=1.0, zorder=1)
    if panel.per_fold:
        for fold in range(len(curve.points[0].per_fold)):
            label = "single folds" if fold == 0 else None
            ax.plot(places, [point.per_fold[fold] for point in curve.points], color=FOLD, lw=1.0, label=label)
    ax.plot([x for x, _, _ in kept], [found.value for _, _, found in kept], color=panel.colour, lw=1.2, zorder=2)
    for x, point, found in kept:
        ax.vlines(x, found.low, found.high, color=panel.colour, lw=2.0, zorder=3)
        hollow = point.still_rising
        ax.plot(
            [x], [found.value], marker="o", ms=6.5, mew=1.5, mec=panel.colour, mfc="white" if hollow else panel.colour,
            ls="", zorder=4,
        )  # fmt: skip
    if panel.per_fold:
        _legend(curve, ax)
    if not panel.zero:
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -0.02 * high), min(high, 1.02 * panel.most))
    ax.set_title(panel.title)
    ax.set_ylabel(panel.label)
    ax.grid(axis="y")


def _legend(curve: Curve, ax: Axes) -> None:
    ax.plot([], [], color=style.MUTED, marker="o", ms=6.5, lw=2.0, label="mean with 95 % interval")
    if any(point.still_rising for point in curve.points):
        hollow = {"marker": "o", "ms": 6.5, "mew": 1.5, "mec": style.MUTED, "mfc": "white", "ls": ""}
        ax.plot([], [], label="hollow: still rising when training ended", **hollow)  # type: ignore[arg-type]


def _scale(curve: Curve, ax: Axes) -> list[float]:
    """Set the axis of the setting and return where its values are; words and widths are spaced evenly."""
    values = [point.value for point in curve.points]
    numbers = [float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    unit = UNITS.get(curve.setting)
    label = curve.setting.replace("_", " ") + (f" ({unit})" if unit else "")
    if len(numbers) < len(values):
        numbers = [float(place) for place in range(len(values))]
        ax.set_xlim(-0.5, len(values) - 0.5)
    else:
        label += _set_scale(numbers, ax)
    ax.set_xlabel(label)
    _label_values(numbers, [point.label for point in curve.points], ax)
    return numbers


def _set_scale(numbers: list[float], ax: Axes) -> str:
    """Choose a linear or logarithmic axis, leave a margin, and return what the label says of it."""
    positive = [one for one in numbers if one > 0]
    if not positive or min(numbers) < 0 or max(positive) < DECADES * min(positive):
        margin = 0.06 * (max(numbers) - min(numbers))
        ax.set_xlim(min(numbers) - margin, max(numbers) + margin)
        return ""
    reach = (max(positive) / min(positive)) ** 0.06
    if min(numbers) > 0:
        ax.set_xscale("log")
        ax.set_xlim(min(positive) / reach, max(positive) * reach)
        return "; log scale"
    ax.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
    ax.set_xlim(-0.3 * min(positive), max(positive) * reach)
    return f"; log scale, linear below {min(positive):g}"


def _label_values(numbers: list[float], labels: list[str], ax: Axes) -> None:
    """Write the values at the axis themselves, leaving out labels that would run into the one before."""
    low, high = ax.transScale.transform(np.array([[end, 1.0] for end in ax.get_xlim()]))[:, 0]
    at = (ax.transScale.transform(np.array([[number, 1.0] for number in numbers]))[:, 0] - low) / (high - low)
    shown, last = [], -np.inf
    for j in np.argsort(at):
        # Half of a label's width lies on either side of its tick.
        room = CLOSEST_LABELS * max(1.0, len(labels[j]) / 5)
        shown.append(labels[j] if at[j] - last >= room else "")
        last = at[j] if shown[-1] else last
    order = np.argsort(at)
    ax.set_xticks([numbers[j] for j in order], shown)
    ax.xaxis.set_minor_locator(NullLocator())
