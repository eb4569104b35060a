"""Are codes of unfamiliar users sparser? Hoyer sparsity against the history's length and its items' popularity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from collabtheory.report import style
from collabtheory.report.trend import Trend, correlation_words, draw_trend, log_axis, make_trend
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import ALIGNED, CLEAN, GIVEN, MASKED, SETTINGS, setting_title, settings, users
from collabtheory.stats.correlation import Estimate, grouped_jackknife, partial_spearman

TITLE = "Are codes of unfamiliar users sparser?"
CAPTION = (
    "Hoyer sparsity of each user's mean code: 0 where all units are alike, 1 where one alone is not zero. Upper row: "
    "against the number of interactions; lower row: against how popular the user's items are (mean number of users "
    "who have them). Line: median of users with about the same x, with the middle half shaded. ρ is Spearman's rank "
    "correlation; since users with long histories also like less popular items, the second ρ holds the other measure "
    "fixed (partial rank correlation). Brackets are 95 % intervals over users. Correlations over users do not tell "
    "what a longer history would do to the same user. PIA: personalised item alignment."
)
ORDER = 10
SIZE = (4.4, 3.9)
PER_ROW = 3
NARROWEST = 2.3
SHORTEST = 2.6
SUPPORTS = ("E11",)
NEEDS = "collabtheory verify"
MEASURES = (
    ("n_items", "popularity", "interactions of the user (log scale)"),
    ("popularity", "n_items", "popularity of the items (mean users, log scale)"),
)
COLOURS = {CLEAN: style.GREEN, MASKED: style.BLUE, ALIGNED: style.VERMILLION, GIVEN: style.BLUE}
MARKERS = {CLEAN: "o", MASKED: "s", ALIGNED: "^", GIVEN: "o"}
NARROW = 3.6


@dataclass(frozen=True)
class Panel:
    """One measure of familiarity under one setting."""

    setting: str
    measure: str
    label: str
    trend: Trend
    given_other: Estimate
    limits: tuple[float, float, float, float]  # of x and of y, common to a row


@dataclass(frozen=True)
class SparsityAgainstFamiliarity:
    """Panels row by row: measures, in each the settings."""

    panels: tuple[Panel, ...]


def data(run: RunFolder) -> SparsityAgainstFamiliarity:
    """Return sparsity and familiarity of every portrayed user. Raises DataError if the run portrays none."""
    tables = {name: users(run, name) for name in settings(run)}
    values = np.concatenate([table["hoyer"].to_numpy() for table in tables.values()])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = 0.06 * (high - low or 1.0)
    made = []
    for measure, other, label in MEASURES:
        for name, table in tables.items():
            known = table[np.isfinite(table["hoyer"])]
            x, y, z = (known[column].to_numpy(dtype=np.float64) for column in (measure, "hoyer", other))
            rows = np.arange(len(x))
            given = grouped_jackknife(_partial(x, y, z), rows, rows)
            limits = (table[measure].min(), table[measure].max(), low - room, high + room)
            made.append(Panel(name, measure, label, make_trend(x, y), given, tuple(map(float, limits))))  # type: ignore[arg-type]
    return SparsityAgainstFamiliarity(tuple(made))


def panels(data: SparsityAgainstFamiliarity) -> tuple[Panel, ...]:
    """Return the panels, row by row."""
    return data.panels


def describe(data: SparsityAgainstFamiliarity) -> str:
    """Return what the figure shows, in words."""
    names = {"n_items": "interactions", "popularity": "popularity of items"}
    parts = [
        f"{SETTINGS[panel.setting]}, {names[panel.measure]}: {correlation_words(panel.trend.correlation)}, "
        f"with the other measure fixed {correlation_words(panel.given_other)}"
        for panel in data.panels
    ]
    n = len(data.panels[0].trend.x)
    return f"Rank correlation of the sparsity of codes with familiarity over {n:,} users. {'; '.join(parts)}."


def draw(data: Panel, ax: Axes) -> None:
    """Draw one measure under one setting on ``ax``."""
    draw_trend(ax, data.trend, COLOURS[data.setting], MARKERS[data.setting])
    left, right, low, high = data.limits
    log_axis(ax, left, right)
    ax.set_ylim(low, high)
    ax.set_title("\n".join(_title_lines(data, narrow=style.panel_width(ax) < NARROW)), size=10.0)
    ax.set_xlabel(data.label)
    ax.set_ylabel("Hoyer sparsity of the mean (0 to 1)")
    ax.grid(axis="y")


def _title_lines(panel: Panel, *, narrow: bool) -> tuple[str, str, str]:
    name = f"{setting_title(panel.setting, short=narrow)}, n = {len(panel.trend.x):,}"
    plain, given = correlation_words(panel.trend.correlation), correlation_words(panel.given_other)
    if narrow:
        # The intervals stand in the description; here there is no room.
        return name, plain.partition(" [")[0], f"{given.partition(' [')[0]}, other fixed"
    other = "popularity fixed" if panel.measure == "n_items" else "history fixed"
    return name, plain, f"{given} {other}"


def _partial(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda chosen: partial_spearman(x[chosen], y[chosen], z[chosen])
