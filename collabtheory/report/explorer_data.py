"""What the explorer shows: the same users under each setting, and what every one's step does to every other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from collabtheory.errors import DataError
from collabtheory.ranking.cohorts import COHORTS, cohort_of
from collabtheory.runs import portrait_files
from collabtheory.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

MOST_USERS = 200
RADII = ("sharing_radius", "sharing_radius_heuristic", "aligned_radius", "aligned_radius_heuristic")
"""Columns of the pair table, in the order of the bits of :attr:`SettingMap.inside`."""
_PAIRS = ("u", "v", "transport_cost", "cosine", "loss_change", "learning_rate", *RADII)
_SMALLEST_COHORT = 0.05


@dataclass(frozen=True, eq=False)
class SettingMap:
    """One trained model: where its users lie, and what they do to each other.

    Parameters
    ----------
    key, label
        Name of the setting in the run, and as people read it.
    principal, covariance, neighbourly
        ``(n, 2)`` posterior means on the two principal axes (latent units), ``(n, 3)`` the posterior's variances and
        covariance there, ``(n, 2)`` t-SNE (no unit). Turned and mirrored so that they match the first setting as well
        as they can: distances stay what they are.
    explained
        Share of the means' variance that the two axes hold together.
    distance
        ``(n, n)``, an upper bound of ``W_1(q_u, q_v)``, latent units; NaN on the diagonal, as in the next two.
    cosine
        ``(n, n)`` cosine of the two users' decoder gradients.
    change
        ``(n, n)`` change of u's loss by one SGD step on v, nats; negative where v helps u.
    radii
        ``(4, n, n)`` the radius of each pair, see :data:`RADII`, latent units.
    inside
        ``(n, n)`` bits: 1, 2, 4, 8 where the distance is below the radius of that place in :data:`RADII`.
    """

    key: str
    label: str
    principal: np.ndarray
    covariance: np.ndarray
    neighbourly: np.ndarray
    explained: float
    distance: np.ndarray
    cosine: np.ndarray
    change: np.ndarray
    radii: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True, eq=False)
class ExplorerData:
    """The users, their histories, and a map for each setting.

    Parameters
    ----------
    names, sizes
        Name and number of interactions of each user.
    classes
        Ways to sort the users into classes: what it is called, names of the classes, ``(n,)`` the class of each.
    titles, histories
        Titles of the items that any of them has, and each user's items as positions among them.
    settings
        A map for each setting.
    n_measured
        How many users the run measured; more than ``len(names)`` where some were left out.
    learning_rate
        Size of the step by which help was measured.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    classes: tuple[tuple[str, tuple[str, ...], np.ndarray], ...]
    titles: tuple[str, ...]
    histories: tuple[np.ndarray, ...]
    settings: tuple[SettingMap, ...]
    n_measured: int
    learning_rate: float


def explorer_data(run: RunFolder, most: int = MOST_USERS) -> ExplorerData | None:
    """Return what the explorer shows, of at most so many users; None where the run has no portraits.

    Where there are more, they are taken evenly along the length of history.

    Raises
    ------
    DataError
        If portraits are there and damaged.
    """
    found = [name for name in portrait_files.SETTINGS if (run.path / "portraits" / name).is_dir()]
    if not found:
        return None
    # What was trained with masks is the usual model: it comes first.
    order = sorted(found, key=lambda name: name != portrait_files.MASKED)
    first = portrait_files.users(run, order[0])
    rows = spread_rows(first["n_items"].to_numpy(), most)
    users = first.iloc[rows]
    contents = portrait_files.contents(run, order[0])
    matrix = contents.matrix[rows]
    items = np.unique(matrix.indices)
    titles = contents.item_ids if contents.item_titles is None else contents.item_titles
    settings = {name: _setting(run, name, rows, users["u"].to_numpy()) for name in order}
    reference = settings[order[0]][0]
    return ExplorerData(
        names=tuple(str(name) for name in users["user"]),
        sizes=users["n_items"].to_numpy(),
        classes=(*_planted(contents.truth, rows), history_classes(users["n_items"].to_numpy())),
        titles=tuple(str(titles[item]) for item in items),
        histories=tuple(np.searchsorted(items, np.sort(own)) for own in np.split(matrix.indices, matrix.indptr[1:-1])),
        settings=tuple(_turned(settings[name][0], reference) for name in found),
        n_measured=len(first),
        learning_rate=settings[order[0]][1],
    )


def spread_rows(sizes: np.ndarray, most: int) -> np.ndarray:
    """Return rows, ascending, evenly spread over the sizes; all where there are no more than ``most``.

    Examples
    --------
    >>> spread_rows(np.array([9, 1, 5, 7, 3]), 3).tolist(), spread_rows(np.array([2, 1]), 3).tolist()
    ([0, 1, 2], [0, 1])
    """
    if len(sizes) <= most:
        return np.arange(len(sizes))
    ranked = np.argsort(sizes, kind="stable")
    return np.sort(ranked[np.linspace(0, len(sizes) - 1, most).round().astype(np.int64)])


def history_classes(sizes: np.ndarray) -> tuple[str, tuple[str, ...], np.ndarray]:
    """Return classes of users by length of history: the paper's cohorts, or thirds where nearly all are in one cohort.

    Examples
    --------
    >>> history_classes(np.array([3, 7, 20, 60, 400]))[1]
    ('<5 items', '5-10 items', '11-50 items', '51-100 items', '100+ items')
    >>> label, names, members = history_classes(np.array([12, 20, 30, 31, 40, 50]))
    >>> names, members.tolist()
    (('12-20 items', '30-31 items', '40-50 items'), [0, 0, 1, 1, 2, 2])
    """
    cohorts = cohort_of(sizes)
    present = [cohort.name for cohort in COHORTS if np.mean(cohorts == cohort.name) >= _SMALLEST_COHORT]
    if len(present) > 1:
        names = tuple(cohort.name for cohort in COHORTS if (cohorts == cohort.name).any())
        members = np.array([names.index(name) for name in cohorts])
        return "length of history", tuple(f"{name} items" for name in names), members
    borders = np.unique(np.quantile(sizes, [1 / 3, 2 / 3], method="higher"))
    thirds = np.unique(np.searchsorted(borders, sizes, side="right"), return_inverse=True)[1]
    spans = [(sizes[thirds == k].min(), sizes[thirds == k].max()) for k in range(int(thirds.max()) + 1)]
    return "length of history", tuple(f"{a}-{b} items" if a < b else f"{a} items" for a, b in spans), thirds


def turn_onto(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation or reflection ``R``, ``(2, 2)``, for which centred ``points @ R`` is nearest to ``target``.

    Schoenemann's orthogonal Procrustes problem (Psychometrika 31, 1966): ``R = U V'`` of the singular value
    decomposition of ``points' target``.

    Examples
    --------
    >>> square = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, -2.0]])
    >>> quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> bool(np.allclose(square @ turn_onto(square, square @ quarter), square @ quarter))
    True
    """
    left, _, right = np.linalg.svd((points - points.mean(0)).T @ (target - target.mean(0)))
    return np.asarray(left @ right)


def _planted(truth: pd.DataFrame | None, rows: np.ndarray) -> tuple[tuple[str, tuple[str, ...], np.ndarray], ...]:
    """Return the planted themes as classes, where the data have planted ones."""
    if truth is None or "theme" not in truth:
        return ()
    themes, members = np.unique(truth["theme"].to_numpy()[rows], return_inverse=True)
    return (("planted theme", tuple(f"theme {theme + 1}" for theme in themes), members),)


def _setting(run: RunFolder, name: str, rows: np.ndarray, users: np.ndarray) -> tuple[SettingMap, float]:
    """Return the map of a setting before it is turned, and the step by which help was measured."""
    frame = portrait_files.users(run, name).iloc[rows]
    if not np.array_equal(frame["u"].to_numpy(), users):
        raise DataError(f"{run.path}: the portraits {name!r} are of other users; run `collabtheory verify` again")
    pairs = portrait_files.setting_pairs(run, name, _PAIRS)
    pairs = pairs[pairs["u"].isin(users) & pairs["v"].isin(users)]
    place = _positions(users, pairs)
    square = {column: _square(pairs[column].to_numpy(), place, len(users)) for column in _PAIRS[2:]}
    radii = np.stack([square[column] for column in RADII])
    inside = sum((1 << bit) * (square["transport_cost"] < radius) for bit, radius in enumerate(radii))
    return SettingMap(
        key=name,
        label=portrait_files.SETTINGS[name],
        principal=frame[["pca_x", "pca_y"]].to_numpy(),
        covariance=frame[["var_x", "var_y", "cov_xy"]].to_numpy(),
        neighbourly=frame[["tsne_x", "tsne_y"]].to_numpy(),
        explained=float(portrait_files.posteriors(run, name).explained.sum()),
        distance=square["transport_cost"],
        cosine=square["cosine"],
        change=square["loss_change"],
        radii=radii,
        inside=np.asarray(inside, dtype=np.uint8),
    ), float(pairs["learning_rate"].iloc[0])


def _positions(users: np.ndarray, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of both users of each pair among ``users``, which ascend."""
    return tuple(np.searchsorted(users, pairs[side].to_numpy()) for side in ("u", "v"))


def _square(values: np.ndarray, place: tuple[np.ndarray, np.ndarray], n: int) -> np.ndarray:
    square = np.full((n, n), np.nan)
    square[place] = values
    return square


def _turned(one: SettingMap, reference: SettingMap) -> SettingMap:
    turn = turn_onto(one.principal, reference.principal)
    x, y, xy = one.covariance.T
    covariance = np.einsum("ai,uab,bj->uij", turn, np.stack([np.stack([x, xy], 1), np.stack([xy, y], 1)], 1), turn)
    flat = np.stack([covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]], axis=1)
    neighbourly = one.neighbourly - one.neighbourly.mean(0)
    neighbourly = neighbourly @ turn_onto(neighbourly, reference.neighbourly)
    return replace(one, principal=one.principal @ turn, covariance=flat, neighbourly=neighbourly)


__all__ = [
    "MOST_USERS",
    "RADII",
    "ExplorerData",
    "SettingMap",
    "explorer_data",
    "history_classes",
    "spread_rows",
    "turn_onto",
]
