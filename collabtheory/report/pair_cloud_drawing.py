"""Drawing a cloud of pairs: effect against distance, who is inside a radius, and what the radii retrieve."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patheffects import withStroke

from collabtheory.report import style
from collabtheory.report.binning import signed_root, signed_square
from collabtheory.report.formats import share
from collabtheory.report.pair_cloud import Panel, Radius, Retrieval
from collabtheory.report.words import stage_phrase

TICKS = (-1.0, -0.5, -0.2, -0.05, 0.0, 0.05, 0.2, 0.5, 1.0)
FEW_TICKS = (-1.0, -0.2, 0.0, 0.2, 1.0)
NARROW = 5.0  # inches of a panel below which its words are cut short
ABOVE: dict[str, Any] = {"zorder": 8, "path_effects": [withStroke(linewidth=2, foreground="white")]}
FOOT = 0.25  # share of the panel's height that shows the reach of the radii
MARKS = (("●", style.SHARING), ("◇", style.ALIGNED))
"""The marks of the pairs inside each radius, as letters."""


@dataclass(frozen=True)
class Effect:
    """An effect of v on u as a figure names it.

    Parameters
    ----------
    label
        Name of the axis.
    above, below
        What an effect above and below zero means.
    helps_below
        Whether an effect below zero helps u.
    verdict
        What the title says of the share of helping pairs.
    """

    label: str
    above: str
    below: str
    helps_below: bool
    verdict: str


def draw_cloud(panel: Panel, ax: Axes, effect: Effect, *, table: bool) -> None:
    """Draw one stage on ``ax``, with a table of what the radii retrieve where there is room for it."""
    narrow = style.panel_width(ax) < NARROW
    _set_axes(panel, ax, effect, narrow=narrow)
    _draw_pairs(panel, ax)
    ax.axhline(0, color=style.INK, lw=1.0, zorder=3)
    _draw_median(panel, ax)
    # Rings around dots, so that a pair inside both shows both.
    dot: dict[str, Any] = {"marker": "o", "color": style.SHARING, "edgecolor": "white", "linewidth": 0.3}
    ring: dict[str, Any] = {"marker": "D", "facecolor": "none", "edgecolor": style.ALIGNED, "linewidth": 0.9}
    _draw_inside(panel.aligned, ax, ring, "inside the aligned radius (new)", 14)
    _draw_inside(panel.sharing, ax, dot, "inside the sharing radius (paper)", 9)
    _draw_relations(panel, ax)
    ax.axhline(float(panel.y_edges[0]), color=style.MUTED, lw=0.8, zorder=3)
    _draw_foot(panel, ax, narrow=narrow, table=table)
    hurts, helps = "#8a3c00", "#00527f"
    for y, words, place, good in (
        (0.985, f"▲ {effect.above}", "top", not effect.helps_below),
        (FOOT + 0.015, f"▼ {effect.below}", "bottom", effect.helps_below),
    ):
        look = {"va": place, "color": helps if good else hurts, "size": style.NOTE, **ABOVE}
        ax.text(0.015, y, words, transform=ax.transAxes, **look)
    if table and not narrow:
        _draw_table(panel, ax)
    phrase = stage_phrase(panel.stage)
    said = f"{effect.verdict} in {share(panel.share_helping)} of {panel.n_drawn:,} pairs"
    ax.set_title(f"{phrase[0].upper()}{phrase[1:]}: {said}", size=10.5)


def _set_axes(panel: Panel, ax: Axes, effect: Effect, *, narrow: bool) -> None:
    low, high = float(panel.y_edges[0]), float(panel.y_edges[-1])
    ax.set_xscale("log")
    ax.set_xlim(panel.x_edges[0], panel.x_edges[-1])
    ax.set_yscale("function", functions=(signed_root, signed_square))
    bottom, top = signed_root(np.array([low, high]))
    ax.set_ylim(float(signed_square(bottom - (top - bottom) * FOOT / (1 - FOOT))), high)
    tints = (style.HELPS_TINT, style.HURTS_TINT)[:: 1 if effect.helps_below else -1]
    ax.axhspan(low, 0, color=tints[0], lw=0, zorder=0)
    ax.axhspan(0, high, color=tints[1], lw=0, zorder=0)
    ax.set_yticks([tick for tick in (FEW_TICKS if narrow else TICKS) if low <= tick <= high], minor=False)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylabel(f"{effect.label}\n(square-root scale)")
    ax.yaxis.set_label_coords(-0.66 / style.panel_width(ax), FOOT + (1 - FOOT) / 2)
    ax.set_xlabel("Wasserstein distance $W_1$ between u and v (latent units, log scale)")


def _draw_pairs(panel: Panel, ax: Axes) -> None:
    greys = LinearSegmentedColormap.from_list("pairs", ["#c3cbd1", "#2f3b44"])
    counts = np.ma.masked_equal(panel.density.T, 0)
    look: dict[str, Any] = {"cmap": greys, "norm": LogNorm(1, max(float(panel.density.max()), 2.0)), "alpha": 0.75}
    ax.pcolormesh(panel.x_edges, panel.y_edges, counts, zorder=1, rasterized=True, **look)


def _draw_median(panel: Panel, ax: Axes) -> None:
    low, middle, high = panel.quartiles
    ax.fill_between(panel.centres, low, high, color=style.INK, alpha=0.18, lw=0, zorder=4, label="middle half of pairs")
    outline = [withStroke(linewidth=4, foreground="white")]
    ax.plot(panel.centres, middle, color=style.BLACK, lw=2.2, zorder=5, label="median", path_effects=outline)


def _draw_inside(radius: Radius, ax: Axes, look: dict[str, Any], label: str, size: float) -> None:
    many = len(radius.inside_x) > 200
    grow = 1.0 if many else 2.5
    ax.scatter(radius.inside_x, radius.inside_y, s=size * grow, zorder=6, rasterized=many, **look)
    # In the legend even when nobody is inside, so that the reader knows what is missing.
    ax.scatter([], [], s=36, label=label, **look)


def _draw_relations(panel: Panel, ax: Axes) -> None:
    look: dict[str, Any] = {"s": 64, "color": style.YELLOW, "edgecolor": style.BLACK, "linewidth": 1.1}
    # By name, so that a relation keeps its mark from stage to stage. Names beside the marks would hide each other.
    for (name, x, y, _), marker in zip(sorted(panel.relations), cycle("^sPX*v"), strict=False):
        ax.scatter([x], [y], marker=marker, zorder=7, label=f"median of {name.replace('_', ' ')} pairs", **look)


def _draw_foot(panel: Panel, ax: Axes, *, narrow: bool, table: bool) -> None:
    """Draw how far each radius reaches, on the same distance axis as the pairs."""
    named = (("sharing radius:", panel.sharing), ("aligned radius:", panel.aligned))
    for height, (mark, colour), (name, radius) in zip((0.2, 0.085), MARKS, named, strict=True):
        if not narrow:
            words = f"{name} {share(radius.share_positive)} have one, {_inside_words(radius, panel.n_drawn)}"
        elif table and radius.certified.precision is None:
            words = f"{mark} none inside"
        elif table:
            words = f"{mark} precision {_cell(radius.certified.precision)}, recall {_cell(radius.certified.recall)}"
        else:
            words = (
                f"{mark} {share(radius.share_positive)} have one, {_inside_words(radius, panel.n_drawn, brief=True)}"
            )
        look: dict[str, Any] = {"ha": "right", "va": "center", "size": style.NOTE, "color": colour}
        ax.text(0.985, height, words, transform=ax.transAxes, **look)
        if radius.reach is not None:
            low, middle, high = np.clip(radius.reach, panel.x_edges[0], panel.x_edges[-1])
            where, foot = ax.get_xaxis_transform(), height - (0.058 if narrow else 0.045)
            ax.plot([low, high], [foot] * 2, color=colour, lw=4, solid_capstyle="butt", transform=where, zorder=4)
            ms = 6 if narrow else 10
            ax.plot([middle], [foot], marker="|", ms=ms, mew=2, color=colour, transform=where, zorder=5)


def _draw_table(panel: Panel, ax: Axes) -> None:
    """Write what each radius retrieves into the room at the left, above the word on the helping side."""
    rows: list[tuple[str, str, str, str]] = [("radius", "precision", "recall", style.MUTED)]
    for (mark, colour), radius in zip(MARKS, (panel.sharing, panel.aligned), strict=True):
        for name, found in (("certified", radius.certified), ("heuristic", radius.heuristic)):
            rows.append((f"{mark} {name}", _cell(found.precision), _cell(found.recall), colour))
    for k, (*cells, colour) in enumerate(rows):
        for cell, (across, side) in zip(cells, ((7, "left"), (110, "right"), (163, "right")), strict=True):
            look: dict[str, Any] = {"textcoords": "offset points", "ha": side, "color": colour, "zorder": 8}
            up = 22 + 13.5 * (len(rows) - 1 - k)
            ax.annotate(cell, (0, FOOT), xycoords="axes fraction", xytext=(across, up), size=style.NOTE, **look)


def _cell(value: float | None) -> str:
    return "empty" if value is None else share(value)


def _inside_words(radius: Radius, n_drawn: int, *, brief: bool = False) -> str:
    """Return the share of drawn pairs inside and, unless brief, their number and how many near pairs are besides."""
    if not radius.n_inside:
        return "none inside"
    n_inside = radius.n_inside - radius.n_inside_near
    if brief:
        return f"{share(n_inside / n_drawn)} inside"
    near = f" + {radius.n_inside_near:,} near" if radius.n_inside_near else ""
    return f"{share(n_inside / n_drawn)} inside ({n_inside:,}{near})"


def retrieval_words(found: Retrieval) -> str:
    """Return precision and recall of a radius in words.

    Examples
    --------
    >>> retrieval_words(Retrieval(7, 1.0, 0.0021)), retrieval_words(Retrieval(0, None, 0.0))
    ('precision 100 %, recall 0.21 % (7 pairs inside)', 'empty')
    """
    if found.precision is None:
        return "empty"
    recall = "undefined" if found.recall is None else share(found.recall)
    return f"precision {share(found.precision)}, recall {recall} ({found.n_inside:,} pairs inside)"
