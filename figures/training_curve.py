"""Training of the models of a run: loss, KL, its weight and ranking quality by epoch, and the stages checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import number
from collabtheory.report.words import count_words, stage_label
from collabtheory.runs.folder import RunFolder

TITLE = "How the models were trained"
CAPTION = (
    "Reconstruction loss and KL on the training users, the weight beta of the KL, and nDCG@100 on held-out users, "
    "by epoch. Thin lines: one seed each; thick line: their mean. Dotted lines mark the models that were checked."
)
ORDER = 4
SIZE = (5.2, 3.0)
NEEDS = "collabtheory verify"
LETTER = 0.075  # inches of one letter of a stage's name
QUANTITIES = (
    ("train_loss", "training loss", "nats per user", style.BLUE),
    ("kl", "KL to the prior", "nats per user", style.VERMILLION),
    ("beta", "beta, weight of the KL", "", style.PURPLE),
    ("validation_ndcg", "validation nDCG@100", "", style.GREEN),
)


@dataclass(frozen=True)
class Quantity:
    """One quantity by epoch: rows are epochs, columns are seeds; NaN where not measured."""

    label: str
    unit: str
    colour: str
    by_seed: pd.DataFrame
    marks: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class TrainingCurve:
    """The quantities that were measured at all."""

    quantities: tuple[Quantity, ...]


def data(run: RunFolder) -> TrainingCurve:
    """Return the training history of every seed that has one. Raises DataError if none has."""
    seeds = [seed for seed in run.seeds if run.history_path(seed).is_file()]
    histories = {seed: history for seed in seeds if len(history := run.history(seed))}
    if not histories:
        raise DataError(f"{run.path} has no training history")
    marks = _marks(run, histories)
    made = []
    for name, label, unit, colour in QUANTITIES:
        by_seed = pd.DataFrame({seed: table.set_index("epoch")[name] for seed, table in histories.items()}).sort_index()
        if by_seed.notna().to_numpy().any():
            made.append(Quantity(label, unit, colour, by_seed, marks))
    if not made:
        raise DataError(f"{run.path}: its training histories hold no loss, KL, beta or nDCG")
    return TrainingCurve(tuple(made))


def panels(data: TrainingCurve) -> tuple[Quantity, ...]:
    """Return the quantities, one panel each."""
    return data.quantities


def describe(data: TrainingCurve) -> str:
    """Return what the figure shows, in words."""
    parts = []
    for quantity in data.quantities:
        mean = quantity.by_seed.mean(axis=1).dropna()
        parts.append(f"{quantity.label} from {number(float(mean.iloc[0]))} to {number(float(mean.iloc[-1]))}")
    epochs = int(data.quantities[0].by_seed.index.max())
    return f"Training over {count_words(epochs, 'epoch')}: {', '.join(parts)}."


def draw(data: Quantity, ax: Axes) -> None:
    """Draw one quantity on ``ax``."""
    n_seeds = data.by_seed.shape[1]
    for seed in data.by_seed:
        known = data.by_seed[seed].dropna()
        ax.plot(known.index, known, color=data.colour, lw=0.9, alpha=0.6 if n_seeds > 1 else 1.0)
    mean = data.by_seed.mean(axis=1).dropna()
    marker = "o" if len(mean) == 1 else ""
    ax.plot(mean.index, mean, color=data.colour, lw=2.2, marker=marker)
    ax.set_title(f"{data.label}, {count_words(n_seeds, 'seed')}")
    ax.set_xlabel("epoch")
    ax.set_ylabel(data.unit or data.label.split(",")[0].removeprefix("validation "))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _limits(data, ax)
    _draw_marks(data, ax)
    ax.grid(axis="y")


def _limits(data: Quantity, ax: Axes) -> None:
    """Leave room at the top for the names of the stages; start at zero what has a natural zero."""
    low, high = float(np.nanmin(data.by_seed.to_numpy())), float(np.nanmax(data.by_seed.to_numpy()))
    if low >= 0 and data.label != "training loss":
        low = 0.0
    room = (high - low) or abs(high) or 1.0
    longest = max((len(stage_label(stage)) for _, stage in data.marks), default=0)
    taken = min(0.5, (LETTER * longest + 0.15) * ax.figure.dpi / ax.bbox.height)
    ax.set_ylim(low - (0.0 if low == 0.0 else 0.05 * room), high + room * taken / (1 - taken))
    ax.set_xlim(0, float(data.by_seed.index.max()) * 1.06)


def _draw_marks(data: Quantity, ax: Axes) -> None:
    # Names stand upright, so a line's height is what keeps them apart.
    inches = 1.35 * style.NOTE / 72
    spacing = max(0.035, inches * ax.figure.dpi / ax.bbox.width) * ax.get_xlim()[1]
    place, named = -spacing, set()
    for epoch, stage in data.marks:
        ax.axvline(epoch, color=style.MUTED, ls=":", lw=1.1, zorder=1)
        if stage in named:
            continue
        named.add(stage)
        place = max(epoch + 0.55 * spacing, place + spacing)
        where = ax.get_xaxis_transform()
        ax.text(
            place,
            0.985,
            stage_label(stage),
            transform=where,
            rotation=90,
            ha="center",
            va="top",
            size=style.NOTE,
            color=style.MUTED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )


def _marks(run: RunFolder, histories: dict[int, pd.DataFrame]) -> tuple[tuple[int, str], ...]:
    """Return epoch and stage of every model that was checked; seeds may have kept different epochs."""
    marks: set[tuple[int, str]] = set()
    for seed, table in histories.items():
        told = table.loc[table["stage"].notna(), ["epoch", "stage"]].itertuples(index=False)
        marks |= {(int(epoch), str(stage)) for epoch, stage in told}
        marks |= {(epoch, stage) for stage, epoch in run.saved_epochs(seed).items()}
    return tuple(sorted(marks))
