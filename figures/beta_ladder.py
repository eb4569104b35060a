"""Models that differ in beta alone: how evenly it contracts the latent space, and where the code collapses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import number
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import ladder

TITLE = "Stronger KL: contraction, then collapse"
CAPTION = (
    "One model for each weight beta of the KL, all else equal. Contraction: W2 of a pair of users over its W2 at the"
    " smallest beta, median and middle 90 % of the pairs; the narrower the band, the more even the contraction. "
    "Information: KL to the prior and what codes tell of the user. Active units: latent dimensions that tell users "
    "apart. Accuracy: nDCG@100 of test users. Bars: 95 % intervals over users (Monte Carlo for the information); "
    "each model was trained once, so that they do not hold the noise of training."
)
ORDER = 5
SIZE = (5.2, 3.6)
SUPPORTS = ("beta_kl",)
NEEDS = "collabtheory verify"


@dataclass(frozen=True, eq=False)
class Line:
    """One quantity by beta; NaN where it was not measured."""

    label: str
    colour: str
    marker: str
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Rungs:
    """One panel: quantities of one unit by beta. ``band``: their spread is that of pairs, not of an estimate."""

    title: str
    unit: str
    counted: str
    betas: np.ndarray
    lines: tuple[Line, ...]
    band: bool = False


PANELS = (
    ("Contraction", r"$W_2$ over $W_2$ at the smallest $\beta$", "pairs", ("contraction",)),
    ("Information", "nats a user", "users", ("kl", "information")),
    ("Active units", "latent dimensions", "users", ("active_units",)),
    ("Accuracy", "nDCG@100", "test users", ("ndcg",)),
)
LOOKS = {
    "contraction": ("pairs of users", style.BLUE, "o"),
    "kl": ("KL to the prior", style.VERMILLION, "s"),
    "information": ("information on the user", style.GREEN, "^"),
    "active_units": ("active units", style.PURPLE, "D"),
    "ndcg": ("nDCG@100", style.BLACK, "P"),
}


@dataclass(frozen=True)
class BetaLadder:
    """The panels that the run has data for."""

    rungs: tuple[Rungs, ...]


def data(run: RunFolder) -> BetaLadder:
    """Return every quantity of the beta ladder; raises DataError if the run has none."""
    frame = ladder(run, "beta")
    betas = np.sort(frame["value"].unique())
    if len(betas) < 2:
        raise DataError(f"{run.path}: its ladder of beta has fewer than two models")
    made = []
    for title, unit, counted, names in PANELS:
        lines = tuple(
            _line(frame[frame["quantity"] == name].set_index("value").reindex(betas), name)
            for name in names
            if (frame["quantity"] == name).any()
        )
        if lines:
            made.append(Rungs(title, unit, counted, betas, lines, band=names == ("contraction",)))
    if not made:
        raise DataError(f"{run.path}: its ladder of beta holds none of {', '.join(LOOKS)}")
    return BetaLadder(tuple(made))


def panels(data: BetaLadder) -> tuple[Rungs, ...]:
    """Return the panels."""
    return data.rungs


def describe(data: BetaLadder) -> str:
    """Return what the figure shows, in words."""
    betas = data.rungs[0].betas
    parts = []
    for rungs in data.rungs:
        for line in rungs.lines:
            reach = f" (middle 90 % {_interval(line, -1)})" if rungs.band else ""
            parts.append(f"{line.label} from {_number(line.middle[0])} to {_number(line.middle[-1])}{reach}")
    return f"Beta from {betas[0]:g} to {betas[-1]:g} in {len(betas)} models: {'; '.join(parts)}."


def draw(data: Rungs, ax: Axes) -> None:
    """Draw one panel on ``ax``."""
    ax.set_xscale("log")
    for line in data.lines:
        _draw_line(line, data, ax)
    ends = np.array([(line.low, line.high) for line in data.lines])
    top = (float(np.nanmax(ends)) if np.isfinite(ends).any() else 0.0) or 1.0
    if data.band:
        low = float(np.nanmin(ends)) if np.isfinite(ends).any() else 0.0
        ax.axhline(1.0, color=style.MUTED, lw=0.9, ls=":", zorder=1)
        ax.set_ylim(min(0.0, low), max(1.08 * top, 1.1))
    elif data.lines[0].label != "nDCG@100":
        ax.set_ylim(-0.03 * top, 1.1 * top)
    _label_betas(data.betas, ax)
    ax.set_title(f"{data.title}, {_counts(data)}")
    ax.set_xlabel(r"$\beta$, weight of the KL (log scale)")
    ax.set_ylabel(data.unit)
    ax.grid(axis="y")


def _line(rows: pd.DataFrame, name: str) -> Line:
    label, colour, marker = LOOKS[name]
    n = rows["n"].dropna().astype(int)
    middle, low, high = (rows[end].to_numpy(dtype=float) for end in ("middle", "low", "high"))
    return Line(label, colour, marker, middle, low, high, (int(n.min()), int(n.max())))


def _draw_line(line: Line, data: Rungs, ax: Axes) -> None:
    if data.band:
        ax.fill_between(
            data.betas, line.low, line.high, color=line.colour, alpha=0.22, lw=0, label="middle 90 % of pairs"
        )
    else:
        ax.vlines(data.betas, line.low, line.high, color=line.colour, lw=1.8, zorder=3)
    label = "median of pairs" if data.band else line.label
    ax.plot(data.betas, line.middle, color=line.colour, marker=line.marker, ms=6.5, label=label, zorder=4)


def _label_betas(betas: np.ndarray, ax: Axes) -> None:
    room = 1.25 if style.panel_width(ax) >= 4 else 1.6
    shown: list[float] = []
    for beta in betas:
        if beta > 0 and (not shown or beta >= room * shown[-1]):
            shown.append(float(beta))
    ax.set_xticks(shown, [f"{beta:g}" for beta in shown])
    ax.xaxis.set_minor_locator(NullLocator())


def _counts(data: Rungs) -> str:
    found: Sequence[tuple[int, int]] = sorted({line.n for line in data.lines})
    low, high = found[0][0], max(n for _, n in found)
    return (
        f"n\u00a0=\u00a0{high:,} {data.counted}" if low == high else f"n\u00a0=\u00a0{low:,} to {high:,} {data.counted}"
    )


def _interval(line: Line, at: int) -> str:
    return f"{_number(line.low[at])} to {_number(line.high[at])}"


def _number(value: float) -> str:
    return number(float(value)) if np.isfinite(value) else "undefined"


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
