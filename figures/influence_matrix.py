"""Who helps whom: measured influence of every user on every other, users ordered by community, in every setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, LinearSegmentedColormap
from matplotlib.image import AxesImage

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.binning import signed_root, signed_square
from collabtheory.report.interval_words import rounded_share, share_with_interval
from collabtheory.report.user_order import Blocks, community_blocks, like_beside_like
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import (
    GIVEN,
    MASKED,
    SETTINGS,
    contents,
    setting_pairs,
    setting_title,
    settings,
    users,
)
from collabtheory.stats.correlation import Estimate, grouped_jackknife

TITLE = "Who helps whom, and across which borders?"
CAPTION = (
    "Each cell is one ordered pair of users drawn at random, after training: what one step on user v (column) does to "
    "the loss of user u (row), divided by the learning rate and by both gradient norms, so that -1 is the most that a "
    "small step could help. Blue, dark in print without colour: v helps u. Yellow, bright in print: v hurts u. The "
    "scale is a square root, so that small effects show. All settings have the same users in the same order: by the "
    "communities planted in the data where there are any (lines between them); else so that users whose gradients are "
    "alike under masked inputs stand together, which makes a band along the diagonal even out of chance. Above each "
    "matrix: the share of pairs that help, and how much of all help comes from far pairs, those in which v is outside "
    "the half of the users that is nearest to u by items they do not share; brackets are 95 % intervals over users. "
    "The picture tells who would help at the end of training, not who did on the way. PIA: personalised item alignment."
)
ORDER = 2
SIZE = (4.2, 4.9)
PER_ROW = 3
NARROWEST = 2.3
SUPPORTS = ("E1", "E2", "E4")
NEEDS = "collabtheory verify"
COLUMNS = (
    "u",
    "v",
    "sampling",
    "input_distance",
    "loss_change",
    "learning_rate",
    "gradient_norm_u",
    "gradient_norm_v",
    "cosine",
)
TICKS = (-1.0, -0.25, 0.0, 0.25, 1.0)
NARROW = 3.6  # inches of a panel below which its words are cut short

# Lightness falls from hurting to helping, so that the sign survives without colour.
INFLUENCE = LinearSegmentedColormap.from_list(
    "influence",
    [(0.0, "#00172b"), (0.2, "#00457a"), (0.38, "#4b95c9"), (0.5, "#b4bcc3"), (0.6, "#efe06e"), (1.0, "#fff21a")],
).with_extremes(bad="white")


@dataclass(frozen=True)
class Panel:
    """The matrix of one setting, users in the order of all settings; NaN on the diagonal and where undefined."""

    setting: str
    influence: np.ndarray  # (users, users): row u, column v
    blocks: Blocks
    helping: Estimate
    far_help: Estimate


@dataclass(frozen=True)
class InfluenceMatrix:
    """One panel per setting."""

    panels: tuple[Panel, ...]


def data(run: RunFolder) -> InfluenceMatrix:
    """Return the influence of users drawn at random on each other, in every setting that the run portrays.

    Raises DataError if it portrays none, or has no such pair.
    """
    names = settings(run)
    tables = {name: _drawn_pairs(setting_pairs(run, name, COLUMNS)) for name in names}
    reference = next((name for name in (MASKED, GIVEN) if name in tables), names[0])
    order = np.unique(tables[reference][["u", "v"]].to_numpy())
    if len(order) < 3:
        raise DataError(f"{run.path} has no pairs of portrayed users drawn at random; run `collabtheory verify` again")
    truth = _truth(run, reference, order)
    if truth is None:
        order, blocks = order[like_beside_like(tables[reference], order)], Blocks((), (), ())
    else:
        truth = truth.sort_values(list(truth.columns), kind="stable")
        order, blocks = truth.index.to_numpy(), community_blocks(truth)
    return InfluenceMatrix(tuple(_panel(name, tables[name], order, blocks) for name in names))


def panels(data: InfluenceMatrix) -> tuple[Panel, ...]:
    """Return the panels, one per setting."""
    return data.panels


def describe(data: InfluenceMatrix) -> str:
    """Return what the figure shows, in words."""
    parts = [
        f"{SETTINGS[panel.setting]}: v helps u in {share_with_interval(panel.helping)} of {panel.helping.n:,} pairs, "
        f"and {share_with_interval(panel.far_help)} of all help comes from users far in input"
        for panel in data.panels
    ]
    return f"Influence of {len(data.panels[0].influence):,} users on each other. {'; '.join(parts)}."


def draw(data: Panel, ax: Axes) -> None:
    """Draw one setting on ``ax``."""
    n = len(data.influence)
    narrow = style.panel_width(ax) < NARROW
    norm = FuncNorm((signed_root, signed_square), vmin=-1.0, vmax=1.0)
    image = ax.imshow(data.influence, cmap=INFLUENCE, norm=norm, interpolation="nearest", rasterized=True)
    _draw_borders(data, ax, narrow=narrow)
    ax.set_title("\n".join(_title_lines(data, narrow=narrow)), size=10.0)
    ax.set_xlabel("v, who steps" if narrow else f"user v, who takes the step ({n:,} users)", labelpad=2)
    ax.set_ylabel(f"loss of u ({n:,} users)" if narrow else f"user u, whose loss changes ({n:,} users)")
    ax.set_xticks([])
    names = [label.split()[-1] if narrow else label for _, label in data.blocks.themes]
    ax.set_yticks([place for place, _ in data.blocks.themes], names, rotation=0 if narrow else 90, va="center")
    ax.tick_params(length=0)
    ax.spines[["top", "right"]].set_visible(True)
    _draw_bar(image, ax, narrow=narrow)


def _title_lines(data: Panel, *, narrow: bool) -> tuple[str, str, str]:
    help_, far = rounded_share(data.helping), rounded_share(data.far_help)
    if np.isnan(data.far_help.value):
        far = "nobody helps"
    else:
        far += " of it far" if narrow else " of the help is far"
    helps = f"{help_} help" if narrow else f"v helps u in {help_} of pairs"
    return setting_title(data.setting, short=narrow), helps, far


def _draw_borders(data: Panel, ax: Axes, *, narrow: bool) -> None:
    for border in data.blocks.borders:
        strong = border in data.blocks.theme_borders
        if strong or not narrow:
            look: dict[str, Any] = {"color": "white", "lw": 1.6 if strong else 0.6}
            ax.axhline(border - 0.5, **look)
            ax.axvline(border - 0.5, **look)


def _draw_bar(image: AxesImage, ax: Axes, *, narrow: bool) -> None:
    # Below the axis label, which takes the same inches at every size.
    side = max(style.panel_width(ax) - 0.7, 1.0)
    place = ax.inset_axes((0.0, -0.4 / side, 1.0, 0.13 / side))
    figure = ax.get_figure(root=True)
    bar = figure.colorbar(image, cax=place, orientation="horizontal", ticks=TICKS)  # type: ignore[union-attr]
    place.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS] if not narrow else ["-1", "", "0", "", "1"])
    place.minorticks_off()
    bar.outline.set_visible(False)
    words = "relative loss change" if narrow else "relative loss change of u"
    place.set_xlabel(f"helps ◂ {words} ▸ hurts" if not narrow else f"{words}\nhelps ◂ ▸ hurts", size=style.NOTE)


def _drawn_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return all pairs among the users that were drawn at random: neighbours added to the table would bias shares."""
    drawn = np.unique(pairs.loc[pairs["sampling"] == "sampled", "u"])
    return pairs[pairs["u"].isin(drawn) & pairs["v"].isin(drawn) & (pairs["u"] != pairs["v"])]


def _panel(setting: str, pairs: pd.DataFrame, order: np.ndarray, blocks: Blocks) -> Panel:
    scale = (pairs["learning_rate"] * pairs["gradient_norm_u"] * pairs["gradient_norm_v"]).to_numpy()
    change = pairs["loss_change"].to_numpy()
    relative = np.divide(change, scale, out=np.full(len(pairs), np.nan), where=scale > 0)
    influence = np.full((len(order), len(order)), np.nan)
    place = pd.Series(np.arange(len(order)), index=order)
    influence[place[pairs["u"]].to_numpy(), place[pairs["v"]].to_numpy()] = relative
    u, v = pairs["u"].to_numpy(), pairs["v"].to_numpy()
    help_, far = np.maximum(-relative, 0.0), _far(pairs)
    defined = np.isfinite(relative)
    helping = grouped_jackknife(lambda chosen: _ratio(change[chosen] < 0, np.ones(chosen.sum())), u, v)
    far_help = grouped_jackknife(
        lambda chosen: _ratio(help_[chosen & defined & far], help_[chosen & defined]),
        u,
        v,
    )
    return Panel(setting, influence, blocks, helping, far_help)


def _far(pairs: pd.DataFrame) -> np.ndarray:
    """Return whether v is outside the half of u's others that is nearest in input; ties go to the smaller number."""
    ordered = pairs.sort_values(["u", "input_distance", "v"], kind="stable")
    rank = ordered.groupby("u").cumcount().reindex(pairs.index) + 1
    others = pairs.groupby("u")["v"].transform("size")
    return np.asarray(rank > others // 2)


def _ratio(part: np.ndarray, whole: np.ndarray) -> float:
    total = float(np.sum(whole))
    return float(np.sum(part)) / total if total > 0 else float("nan")


def _truth(run: RunFolder, setting: str, order: np.ndarray) -> pd.DataFrame | None:
    """Return theme, shelf and community of each user (index: row in the data), or None for real data."""
    truth = contents(run, setting).truth
    if truth is None or "community" not in truth:
        return None
    columns = [name for name in ("theme", "shelf", "community") if name in truth]
    return truth[columns].set_index(users(run, setting)["u"].to_numpy()).loc[order]
