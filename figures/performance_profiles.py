"""Performance profiles: for what share of users a model comes within a factor of the best of all models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import share
from collabtheory.report.run_study import run_study, telling_methods, user_accuracy
from collabtheory.runs.folder import RunFolder

TITLE = "For how many users each model is nearly the best"
CAPTION = (
    "For each user the best nDCG@100 of all models of the study is divided by that of one model; the curve is the "
    "share of users for whom this ratio is at most tau. At tau = 1: users for whom the model is the best, or one of "
    "the best. Bands: 95 % pointwise, normal approximation over users. A user whom no model serves (nDCG 0 for all) "
    "is left out. The best of many models profits from chance, so that no model comes near to 100 % at 1; the shares"
    " do not say by which model to replace another."
)
ORDER = 9
SIZE = (6.0, 5.0)
NEEDS = "collabtheory compare"
LARGEST = 4.0
N_FACTORS = 121
LOOKS = (
    (style.MUTED, "v", ":"), (style.ORANGE, "D", "--"), (style.SKY, "^", "-."), (style.BLUE, "o", "-"),
    (style.VERMILLION, "s", "-"), (style.GREEN, "P", "--"), (style.PURPLE, "X", "-."),
)  # fmt: skip
TICKS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True, eq=False)
class Profiles:
    """Shares of users by factor: a row for each title."""

    data: str
    titles: tuple[str, ...]
    factors: np.ndarray
    shares: np.ndarray
    n_users: int
    n_unserved: int
    n_methods: int


def data(run: RunFolder) -> Profiles:
    """Return the profiles of the study's telling models against the best of all its models.

    Raises DataError if the run has no study, or did not keep the accuracy of single users.
    """
    study = run_study(run)
    frame = user_accuracy(run)
    names = [one.name for one in study.methods if one.name in frame]
    chosen = [one for one in telling_methods(study) if one.name in frame]
    if len(names) < 2 or not chosen:
        raise DataError(f"{run.path}: its accuracy of single users has fewer than two of the study's models")
    return profiles(frame[names], [one.name for one in chosen], [one.title for one in chosen], study.data.name)


def profiles(accuracy: pd.DataFrame, chosen: list[str], titles: list[str], name: str) -> Profiles:
    """Return the profiles of some models against the best of all columns."""
    best = accuracy.max(axis=1).to_numpy()
    served = best > 0
    if not served.any():
        raise DataError(f"{name}: no model ranks a single held-out item of anyone")
    factors = np.geomspace(1.0, LARGEST, N_FACTORS)
    rows = []
    for column in chosen:
        own = accuracy[column].to_numpy()[served]
        # best / own <= tau, written so that a user whom this model fails has no ratio to be computed; rounding apart.
        rows.append([float(np.mean(own * factor >= best[served] * (1 - 1e-12))) for factor in factors])
    return Profiles(
        name, tuple(titles), factors, np.array(rows), int(served.sum()), int((~served).sum()), accuracy.shape[1]
    )


def describe(data: Profiles) -> str:
    """Return what the figure shows, in words."""
    near = int(np.argmin(np.abs(data.factors - 1.25)))
    said = [
        f"{title} {share(float(row[0]))} (best), {share(float(row[near]))} (within a factor of 1.25)"
        for title, row in zip(data.titles, data.shares, strict=True)
    ]
    return (
        f"Share of {data.n_users:,} users of {data.data} for whom a model is the best of {data.n_methods}, or nearly: "
        f"{'; '.join(said)}."
    )


def draw(data: Profiles, ax: Axes) -> None:
    """Draw the profiles on ``ax``."""
    ax.set_xscale("log")
    reach = 1.96 * np.sqrt(data.shares * (1 - data.shares) / data.n_users)
    for k, (title, row) in enumerate(zip(data.titles, data.shares, strict=True)):
        colour, marker, line = LOOKS[k % len(LOOKS)]
        low, high = np.clip(row - reach[k], 0, 1), np.clip(row + reach[k], 0, 1)
        ax.fill_between(data.factors, low, high, color=colour, alpha=0.14, lw=0, zorder=1)
        ax.plot(
            data.factors, row, color=colour, ls=line, marker=marker, ms=6, markevery=(k * 3, 24), label=title, zorder=3,
        )  # fmt: skip
    ticks = TICKS if style.panel_width(ax) >= 4.5 else (1.0, 1.25, 1.5, 2.0, 3.0, 4.0)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(1.0, LARGEST)
    ax.set_ylim(0, 1.0)
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    ax.set_title(f"{data.data}, n\u00a0=\u00a0{data.n_users:,} users, best of {data.n_methods} models")
    ax.set_xlabel(r"$\tau$, best nDCG@100 of a user over the model's own (log scale)")
    ax.set_ylabel(r"share of users within $\tau$")
    ax.grid()


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw"]
