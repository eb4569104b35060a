"""Influence and distance between the users of a whole population, by random groups, in memory that one group needs.

All pairs of 100,000 users are too many to keep and too many to compute. Cut into groups at random, every user meets all
others of its group, each pair of users is as likely as any other, and gradients are only needed group by group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.latent.neighbour_candidates import ROWS
from collabtheory.latent.neighbours import nearest, nearest_bytes
from collabtheory.latent.wasserstein import pairwise_w2
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import Recommender
from collabtheory.runs.memory import budget, resident_bytes, rows_within
from collabtheory.transfer.decoders import freeze
from collabtheory.transfer.kernels import TransferKernels
from collabtheory.transfer.work import gram_flops

GROUP = 256
BINS = 50


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of values in bins of equal width; the last bin holds its upper edge.

    Parameters
    ----------
    edges
        ``(bins + 1,)`` float64.
    counts
        ``(bins,)`` int64, added to by :meth:`add`.
    cosines
        ``(bins,)`` float64: the sum of the cosines of the pairs in each bin.
    """

    edges: np.ndarray
    counts: np.ndarray = field(init=False)
    cosines: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", np.zeros(len(self.edges) - 1, dtype=np.int64))
        object.__setattr__(self, "cosines", np.zeros(len(self.edges) - 1))

    def add(self, values: np.ndarray, cosines: np.ndarray) -> None:
        """Count values, none of them outside of the edges."""
        bins = np.clip(np.searchsorted(self.edges, values, side="right") - 1, 0, len(self.counts) - 1)
        self.counts[:] += np.bincount(bins, minlength=len(self.counts))
        self.cosines[:] += np.bincount(bins, weights=cosines, minlength=len(self.counts))

    @property
    def mean_cosine(self) -> np.ndarray:
        """Mean cosine of the pairs in each bin; NaN where there are none."""
        empty = np.full(len(self.counts), np.nan)
        return np.asarray(np.divide(self.cosines, self.counts, out=empty, where=self.counts > 0))


@dataclass(frozen=True, eq=False)
class PopulationInfluence:
    """Ordered pairs of users of the same random group.

    Parameters
    ----------
    n_users, n_pairs
        Users with items, and ordered pairs that were measured.
    share_positive
        Share of pairs whose gradients agree in direction: a small enough step of one lowers the other's loss.
    mean_cosine
        Mean cosine of the gradients.
    cosine, w2, jaccard
        Histograms of the cosine, of the latent distance and of the overlap of contents; those of distance and overlap
        know the mean cosine in every bin.
    """

    n_users: int
    n_pairs: int
    share_positive: float
    mean_cosine: float
    cosine: Histogram
    w2: Histogram
    jaccard: Histogram


def population_influence(
    recommender: Recommender,
    data: Interactions,
    *,
    rng: np.random.Generator,
    n_samples: int = 1,
    group: int = GROUP,
    progress: Callable[[float], None] = lambda share: None,
) -> PopulationInfluence:
    """Measure the cosine of gradients, W_2 and overlap of contents of all pairs within random groups of users.

    Parameters
    ----------
    recommender
        The model.
    data
        Interactions with the model's items as columns; users without items have no gradient and are left out.
    rng
        Of the groups and of the codes.
    n_samples
        Codes per user, with noise common to a group.
    group
        Users of a group, at least 2. What is drawn depends on it, not on the memory bound.
    progress
        Called with the share done.

    Returns
    -------
    PopulationInfluence
        float32 gradients: cosines to about 1e-6. The mean over pairs estimates the mean over all pairs without bias.

    Raises
    ------
    InvalidInput
        If fewer than two users have items, ``group`` is out of range, or a group does not fit the memory bound.
    """
    users = rng.permutation(np.flatnonzero(data.sizes > 0))
    if len(users) < 2 or group < 2:
        raise InvalidInput(
            f"influence needs groups of at least 2 users with items; {len(users)} users, {group} a group"
        )
    group_bytes(recommender, data.n_items, n_samples, min(group, len(users)))
    points = _posteriors(recommender, data, users, group)
    reach = 2 * max(float(np.linalg.norm(part, axis=1).max()) for part in _centred(points, group))
    result = {
        "cosine": Histogram(np.linspace(-1, 1, BINS + 1)),
        "w2": Histogram(np.linspace(0, reach or 1.0, BINS + 1)),
        "jaccard": Histogram(np.linspace(0, 1, BINS + 1)),
    }
    total = positive = 0
    cosine_sum = 0.0
    for members in _groups(len(users), group):
        x = data.matrix[users[members]]
        posterior = DiagonalGaussian(*np.split(points[members].astype(np.float64), 2, axis=1))
        cosines = _cosines(recommender, x, posterior.sample(n_samples, rng))
        apart = ~np.eye(len(cosines), dtype=bool)
        seen = cosines[apart]
        for name, values in (
            ("cosine", cosines),
            ("w2", np.minimum(np.asarray(pairwise_w2(posterior)), reach)),
            ("jaccard", _jaccard(x)),
        ):
            result[name].add(values[apart], seen)
        total, positive, cosine_sum = (
            total + len(seen),
            positive + int((seen > 0).sum()),
            cosine_sum + float(seen.sum()),
        )
        progress(members.stop / len(users))
    return PopulationInfluence(len(users), total, positive / total, cosine_sum / total, **result)


def population_flops(recommender: Recommender, n_users: int, n_samples: int = 1, group: int = GROUP) -> float:
    """Return the least floating-point work of :func:`population_influence`; PremiseNotMet without closed form."""
    layers = freeze(recommender.decoder, torch.float32, "outer_product").layers or ()
    widths = [layers[0].n_inputs, *(layer.n_outputs for layer in layers)]
    return n_users / group * gram_flops(widths, group, n_samples)


def group_bytes(recommender: Recommender, n_items: int, n_samples: int = 1, group: int = GROUP) -> int:
    """Predict what one group takes: output sensitivities and their products, the encoder's dense input, the decoder.

    Raises
    ------
    InvalidInput
        If the memory bound is lower.
    """
    weights = sum(parameter.numel() for parameter in recommender.decoder.parameters())
    fixed = 4 * weights + 12 * 8 * group * group
    row = n_items * (3 * 4 * n_samples + 2 * 8)
    rows_within(row, fixed=fixed, most=group, least=group, what=f"a group of {group} users and {n_items:,} items")
    return fixed + row * group


def population_bytes(
    recommender: Recommender, data: Interactions, *, k: int, n_samples: int = 1, group: int = GROUP
) -> int:
    """Predict the peak of a process that measures influence and then finds ``k`` neighbours of every user.

    What it holds now (the libraries, the data, the model), the posteriors, and the larger of both works.
    """
    d = recommender.posterior(data.matrix[:1]).n_dimensions
    influence = group_bytes(recommender, data.n_items, n_samples, group) + 2 * 4 * 2 * d * data.n_users
    rows = min(ROWS, max(1, (budget() - nearest_bytes(data.n_users, data.n_users, d, k, 0)) // (4 * data.n_users)))
    neighbours = 8 * 2 * d * data.n_users + nearest_bytes(data.n_users, data.n_users, d, k, rows)
    return resident_bytes() + max(influence, neighbours)


def neighbour_distances(recommender: Recommender, data: Interactions, k: int) -> dict[str, object]:
    """Return quantiles over users of the distance to the nearest and to the ``k``-th nearest user, and the overlap.

    ``shared_items`` is the mean number of items that a user shares with its ``k`` nearest.
    """
    found = nearest(recommender.posterior(data.matrix), k)
    distances, indices = np.asarray(found.distances), np.asarray(found.indices)
    shared = np.concatenate(
        [
            _shared(data.matrix, np.arange(start, min(start + GROUP, len(indices))), indices[start : start + GROUP])
            for start in range(0, len(indices), GROUP)
        ]
    )
    quantiles = {
        name: [float(value) for value in np.quantile(distances[:, column], [0.05, 0.25, 0.5, 0.75, 0.95])]
        for name, column in (("first", 0), ("last", -1))
    }
    return {"k": k, "quantiles": [0.05, 0.25, 0.5, 0.75, 0.95], **quantiles, "shared_items": float(shared.mean())}


def _shared(matrix: sparse.csr_array, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how many items each row shares with each of its others, ``(rows, k)``."""
    left = matrix[np.repeat(rows, others.shape[1])]
    return np.asarray(left.multiply(matrix[others.ravel()]).sum(axis=1)).reshape(others.shape)


def _groups(n_users: int, group: int) -> Iterator[slice]:
    """Cut users into groups; a last one of a single user joins the one before."""
    starts = list(range(0, n_users, group))
    if n_users - starts[-1] == 1 and len(starts) > 1:
        starts.pop()
    return (slice(start, stop) for start, stop in zip(starts, [*starts[1:], n_users], strict=True))


def _posteriors(recommender: Recommender, data: Interactions, users: np.ndarray, group: int) -> np.ndarray:
    """Return ``[mu, sigma]`` of all users in float32, encoded group by group: float64 would take twice the memory."""
    parts = [
        np.hstack(recommender.posterior(data.matrix[users[start : start + group]]).numpy()).astype(np.float32)
        for start in range(0, len(users), group)
    ]
    return np.concatenate(parts)


def _centred(points: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    centre = points.mean(axis=0, dtype=np.float64)
    return (points[start : start + rows] - centre for start in range(0, len(points), rows))


def _cosines(recommender: Recommender, x: sparse.csr_array, codes: np.ndarray) -> np.ndarray:
    kernels = TransferKernels(recommender.decoder, recommender.likelihood, x, codes, dtype=torch.float32)
    gram = np.asarray(kernels.gradient_gram(), dtype=np.float64)
    norms = np.sqrt(gram.diagonal())
    products = norms[:, None] * norms
    return np.asarray(np.clip(np.divide(gram, products, out=np.zeros_like(gram), where=products > 0), -1, 1))


def _jaccard(x: sparse.csr_array) -> np.ndarray:
    shared = (x @ x.T).toarray().astype(np.float64)
    sizes = shared.diagonal()
    return np.asarray(shared / (sizes[:, None] + sizes - shared))
