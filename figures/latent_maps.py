"""Where users lie in latent space with clean inputs, masked inputs and item alignment, and how far radii reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from collabtheory.report import style
from collabtheory.report.formats import number, share
from collabtheory.report.map_marks import COHORT_LOOKS, draw_users
from collabtheory.report.size_cohorts import SizeCohort, size_cohorts
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import (
    GIVEN,
    MASKED,
    SETTINGS,
    posteriors,
    setting_pairs,
    setting_title,
    settings,
    users,
)

TITLE = "Where users lie, and how far the radii reach"
CAPTION = (
    "Posterior means of the same users under each setting after training, on the two axes along which they vary most "
    "(the axes of each setting are its own, the scale is common). Marks in colour: users of short, middle and long "
    "histories, near 5, 50 and 350 interactions where the data has such users; the legend gives the true sizes. "
    "Ellipses: one standard deviation of their posteriors. The ringed user of each cohort is the one with the largest "
    "sharing radius under masked inputs, so the picture is generous. Blue circles: the largest sharing radius that "
    "this user has towards anybody of other contents; solid where it is certified, dashed where it is heuristic, that "
    "is, computed with the largest slope seen in place of a bound. The note gives the largest of these radii, also "
    "where it is zero. Everybody inside a radius lies in its circle, but not the other way round: the map shows two "
    "axes of many, and distances of means are no more than distances of posteriors. PIA: personalised item alignment."
)
ORDER = 3
SIZE = (4.6, 5.0)
PER_ROW = 3
NARROWEST = 2.3
SUPPORTS = ("theorem_2_3", "E1", "E2", "E4")
NEEDS = "collabtheory verify"
RADII = ("sharing_radius", "sharing_radius_heuristic")
NARROW = 3.6
ONE_PLACE = 1e-4
"""Of the largest standard deviation: means nearer than this are one place, and ellipses as wide as the panel shown."""


@dataclass(frozen=True)
class Disc:
    """One circled user: its place, and its largest sharing radii (zero: it has none)."""

    x: float
    y: float
    certified: float
    heuristic: float


@dataclass(frozen=True)
class Panel:
    """The map of one setting."""

    setting: str
    points: np.ndarray  # (users, 2), latent units
    covariances: np.ndarray  # (users, 3): var_x, var_y, cov_xy
    cohorts: tuple[SizeCohort, ...]
    discs: tuple[Disc, ...]
    explained: tuple[float, float]
    reach: float  # half the width that all panels show, latent units


@dataclass(frozen=True)
class LatentMaps:
    """One panel per setting, at one scale."""

    panels: tuple[Panel, ...]


def data(run: RunFolder) -> LatentMaps:
    """Return the map of every setting that the run portrays. Raises DataError if it portrays none."""
    names = settings(run)
    tables = {name: users(run, name) for name in names}
    radii = {name: _largest_radii(setting_pairs(run, name, ("u", "input_distance", *RADII))) for name in names}
    reference = next((name for name in (MASKED, GIVEN) if name in tables), names[0])
    frame = tables[reference]
    cohorts = size_cohorts(frame["n_items"].to_numpy())
    chosen = [_circled(frame, radii[reference], cohort) for cohort in cohorts]
    reach = 1.06 * max(float(np.abs(table[["pca_x", "pca_y"]].to_numpy()).max()) for table in tables.values())
    widest = max(float(table[["var_x", "var_y"]].to_numpy().max()) for table in tables.values()) ** 0.5
    reach = reach if reach > ONE_PLACE * widest else 1.2 * widest
    return LatentMaps(
        tuple(
            _panel(name, tables[name], radii[name], cohorts, chosen, posteriors(run, name).explained, reach or 1.0)
            for name in names
        )
    )


def panels(data: LatentMaps) -> tuple[Panel, ...]:
    """Return the panels, one per setting."""
    return data.panels


def describe(data: LatentMaps) -> str:
    """Return what the figure shows, in words."""
    parts = []
    for panel in data.panels:
        spread = np.sqrt((panel.points**2).sum(1).mean())
        parts.append(
            f"{SETTINGS[panel.setting]}: root mean square distance from the middle {number(float(spread))} latent "
            f"units on axes with {share(sum(panel.explained))} of the variance, sharing radii of the circled users "
            f"{' and '.join(_radius_words(panel))}"
        )
    cohorts = ", ".join(cohort.label for cohort in data.panels[0].cohorts)
    return f"Maps of {len(data.panels[0].points):,} users, cohorts of {cohorts}. {'. '.join(parts)}."


def draw(data: Panel, ax: Axes) -> None:
    """Draw one setting on ``ax``."""
    narrow = style.panel_width(ax) < NARROW
    for cohort, (colour, _) in zip(data.cohorts, COHORT_LOOKS, strict=False):
        _draw_ellipses(data, cohort.rows, colour, ax)
    draw_users(ax, data.points, data.cohorts)
    for disc in data.discs:
        _draw_disc(disc, ax, 60 if narrow else 120)
    _label_discs(ax)
    ax.set_xlim(-data.reach, data.reach)
    # Room at the foot for the words on radii.
    ax.set_ylim(-data.reach * (1.5 if narrow else 1.3), data.reach)
    ax.set_aspect("equal", adjustable="box")
    words = "\n".join(_radius_words(data))
    look: dict[str, Any] = {"size": style.NOTE, "color": "#00527f", "va": "bottom", "zorder": 8}
    ax.text(0.02, 0.012, words, transform=ax.transAxes, **look)
    ax.set_title(setting_title(data.setting, short=narrow))
    first, second = (f"{100 * part:.0f} %" for part in data.explained)
    ax.set_xlabel(f"axis 1 (latent units), {first} of variance")
    ax.set_ylabel(f"axis 2 (latent units), {second} of variance")


def _largest_radii(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the largest radii of each user towards anybody with other contents."""
    return pairs[pairs["input_distance"] > 0].groupby("u")[list(RADII)].max()


def _circled(frame: pd.DataFrame, radii: pd.DataFrame, cohort: SizeCohort) -> int:
    """Return the position of the cohort's user with the largest sharing radius, certified before heuristic."""
    own = radii.reindex(frame["u"].to_numpy()[cohort.rows]).fillna(0.0)
    keys = (-cohort.rows, own["sharing_radius_heuristic"].to_numpy(), own["sharing_radius"].to_numpy())
    return int(cohort.rows[np.lexsort(keys)[-1]])


def _panel(
    setting: str,
    frame: pd.DataFrame,
    radii: pd.DataFrame,
    cohorts: tuple[SizeCohort, ...],
    chosen: list[int],
    explained: np.ndarray,
    reach: float,
) -> Panel:
    points = frame[["pca_x", "pca_y"]].to_numpy(dtype=np.float64)
    known = radii.reindex(frame["u"].to_numpy()).fillna(0.0).to_numpy()
    discs = tuple(Disc(*map(float, (*points[row], *known[row]))) for row in chosen)
    covariances = frame[["var_x", "var_y", "cov_xy"]].to_numpy(dtype=np.float64)
    return Panel(setting, points, covariances, cohorts, discs, (float(explained[0]), float(explained[1])), reach)


def _draw_ellipses(panel: Panel, rows: np.ndarray, colour: str, ax: Axes) -> None:
    matrices = panel.covariances[rows][:, [0, 2, 2, 1]].reshape(-1, 2, 2)
    lengths, axes = np.linalg.eigh(matrices)
    across, up = (2 * np.sqrt(np.maximum(lengths[:, k], 0.0)) for k in (1, 0))
    angles = np.degrees(np.arctan2(axes[:, 1, 1], axes[:, 0, 1]))
    look: dict[str, Any] = {"facecolor": f"{colour}22", "edgecolor": f"{colour}88", "linewidth": 0.7}
    places = {"offsets": panel.points[rows], "offset_transform": ax.transData}
    ax.add_collection(EllipseCollection(across, up, angles, units="xy", zorder=1, **places, **look))


def _draw_disc(disc: Disc, ax: Axes, ring: float) -> None:
    for radius, line in ((disc.certified, "-"), (disc.heuristic, "--")):
        if 0 < radius < np.inf:
            look: dict[str, Any] = {"fill": False, "edgecolor": style.SHARING, "ls": line, "lw": 1.6, "zorder": 6}
            ax.add_patch(Circle((disc.x, disc.y), radius, **look))
    # A ring of its own size on the page marks the user, whatever its radii.
    ax.scatter([disc.x], [disc.y], s=ring, facecolor="none", edgecolor=style.BLACK, linewidth=1.3, zorder=7)


def _label_discs(ax: Axes) -> None:
    """Put the circles into the legend also where they are too small to be seen, or zero."""
    for label, line in (("sharing radius, certified", "-"), ("sharing radius, heuristic", "--")):
        ax.add_line(Line2D([], [], color=style.SHARING, ls=line, lw=1.6, label=label))


def _radius_words(panel: Panel) -> tuple[str, str]:
    """Return the largest radii of the circled users, certified and heuristic."""
    certified = max((disc.certified for disc in panel.discs), default=0.0)
    heuristic = max((disc.heuristic for disc in panel.discs), default=0.0)
    return f"certified: {_at_most(certified)}", f"heuristic: {_at_most(heuristic)}"


def _at_most(radius: float) -> str:
    if np.isinf(radius):
        return "infinite"
    return f"≤ {radius:.2g}" if radius > 0 else "all 0"
