"""Users with several interests: how far the one centroid is from every anchor, and what several centroids do instead."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import sympy
import torch

from collabtheory.claims import (
    Evidence,
    Inequality,
    Number,
    Statement,
    Step,
    Subject,
    Variable,
    at_most,
    check,
    equal,
)
from collabtheory.claims.pair_statistics import share_of, spread
from collabtheory.latent.mask_stability import masked_means
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.recommender import Recommender
from collabtheory.models.several_centroids import (
    GroupCentroids,
    group_centroids,
    item_groups,
    nearest_anchor_distance,
    nearest_centroid_loss,
)
from collabtheory.rigor import Comparison, Finding, identities, identity, sum_of_squares
from collabtheory.rigor.enclosures import larger, norm, root, smaller

B, M1, M2, MU, C, S1, S2 = sympy.symbols("b M1 M2 mu c S1 S2", real=True)
N, H, PULL, GAP = sympy.symbols("n h lambda g", positive=True)
P = sympy.symbols("p0:3", nonnegative=True)
EXCESS = sympy.symbols("a0:3", nonnegative=True)
"""By how much the squared distances of three groups exceed the smallest, or fall short of the largest."""
DISTANCE = sympy.Symbol("Delta", positive=True)

USERS, GROUPS, MASKS = 256, 4, 8


def _leibniz() -> Finding:
    """One coordinate: distances to the centroid by distances among the groups' means, with shares that sum to 1."""
    b = sympy.symbols("b0:3", real=True)
    shares = (P[0], P[1], 1 - P[0] - P[1])
    centroid = sum(p * x for p, x in zip(shares, b, strict=True))
    among = sum(shares[i] * shares[j] * (b[i] - b[j]) ** 2 for i in range(3) for j in range(i + 1, 3))
    to_own = [sum(p * (x - y) ** 2 for p, x in zip(shares, b, strict=True)) - among for y in b]
    return identities([((centroid - y) ** 2, right) for y, right in zip(b, to_own, strict=True)])


def _leibniz_by_moments() -> Finding:
    """Any number of groups, by M1 = sum p b and M2 = sum p b^2."""
    return identity((M1 - B) ** 2, (M2 - 2 * M1 * B + B**2) - (M2 - M1**2))


def _smallest_and_largest() -> Finding:
    """Three groups with shares p: sum_l p_l d_0l^2 >= (1 - p_0) Delta^2, and the sum over pairs from above alike."""
    own = P[1] * (DISTANCE**2 + EXCESS[0]) + P[2] * (DISTANCE**2 + EXCESS[1]) - (P[1] + P[2]) * DISTANCE**2
    pairs = P[0] * P[1], P[0] * P[2], P[1] * P[2]
    among = sum(pairs) * DISTANCE**2 - sum(q * (DISTANCE**2 - a) for q, a in zip(pairs, EXCESS, strict=True))
    certificate = [(P[1] * EXCESS[0], 1), (P[2] * EXCESS[1], 1)]
    certificate += [(q * a, 1) for q, a in zip(pairs, EXCESS, strict=True)]
    return sum_of_squares(own + among, certificate)


def _triangle() -> Finding:
    """Lagrange's identity in three coordinates: (x.o)^2 <= |x|^2 |o|^2, hence |x - o| >= |x| - |o|."""
    x, o = sympy.symbols("x0:3", real=True), sympy.symbols("o0:3", real=True)
    inner = sum(a * b for a, b in zip(x, o, strict=True))
    gap = sum(a**2 for a in x) * sum(b**2 for b in o) - inner**2
    return sum_of_squares(gap, [(1, x[i] * o[j] - x[j] * o[i]) for i in range(3) for j in range(i + 1, 3)])


def _two_groups() -> Finding:
    share = sympy.Symbol("q", real=True)
    return identity((1 - (1 - share)) - (1 - share**2 - (1 - share) ** 2) / 2, share**2)


def _group_by_group() -> Finding:
    return identity((N * MU**2 - 2 * MU * S1 + S2) / N, (MU - S1 / N) ** 2 + (S2 / N - (S1 / N) ** 2))


def _value_of_a_basin() -> Finding:
    """Put the minimiser for one centroid into the loss, in an eigendirection with y = m - c."""
    factor = H / (H + 2 * PULL)
    return identity(H * (factor * B - B) ** 2 / 2 + PULL * (factor * B) ** 2, PULL * factor * B**2)


def _within_and_across() -> Finding:
    factor = H / (H + 2 * PULL)
    return identities([(C + factor * (B - C), (1 - factor) * C + factor * B), (1 - factor, 2 * PULL / (H + 2 * PULL))])


def _jump_factor() -> Finding:
    """2 lambda / (h + 2 lambda) falls with h: largest at the smallest eigenvalue."""
    difference = 2 * PULL / (H + 2 * PULL) - 2 * PULL / (H + GAP + 2 * PULL)
    return sum_of_squares(difference, [(2 * PULL * GAP / ((H + 2 * PULL) * (H + GAP + 2 * PULL)), 1)])


SEVERAL_INTERESTS = Statement(
    identifier="several_interests",
    position=33,
    title="With several interests the one centroid lies far from every anchor; several centroids contract only basin by basin",
    source="This project; extends arXiv:2511.06781, Propositions 3.1 and 3.2",
    text=(
        r"A user's anchors form groups with shares $p_j$, means $b_j$ at distances between $\Delta$ and D from each other, and "
        r"all anchors within r of their group's mean. Then every anchor is at least "
        r"$\sqrt{(1 - p_{\max})\Delta^2 - \frac12(1 - \sum p_j^2)D^2} - r$ from the centroid; for two groups that is "
        r"$p_{\min}\Delta - r$, and $\Delta/2 - r$ if they are equal. The alignment loss to the nearest of the groups' "
        r"centroids is $\min_j\lVert\mu - c_j\rVert^2 + \mathrm{tr}\,\Sigma$ + the spread within groups. With it Proposition "
        r"3.2 holds among masks that lead to the same centroid. Over all masks only "
        r"$\mathrm{sd}(\mu_b) \le \tau\,\mathrm{sd}(m_b) + \frac{2\lambda_A}{h_{\min} + 2\lambda_A}\mathrm{sd}(c_{j(b)})$ "
        r"holds, and $\tau^2$ does not bound the variance."
    ),
    assumptions=(
        "at least one item, shares positive",
        r"for the last part: $0 < h_{\min}I \preceq H \preceq LI$, the same for every mask, and $\lambda_A > 0$",
    ),
    proof=(
        Step(
            "leibniz",
            r"One coordinate, three groups: $(\bar e - b_j)^2 = \sum_l p_l(b_l - b_j)^2 - \sum_{i<l} p_ip_l(b_i - b_l)^2$.",
            _leibniz,
        ),
        Step("leibniz_any", r"The same for any number of groups, by the moments of $b$ under p.", _leibniz_by_moments),
        Step(
            "smallest_and_largest",
            r"The first sum is at least $(1 - p_j)\Delta^2$, the second at most $\frac12(1 - \sum p^2)D^2$ (three groups; linear "
            r"in the squared distances).",
            _smallest_and_largest,
        ),
        Step(
            "triangle",
            r"An anchor within r of $b_j$ is at least $\lVert\bar e - b_j\rVert - r$ from $\bar e$.",
            _triangle,
        ),
        Step("two_groups", r"For two groups $D = \Delta$, and the square is $p_{\min}^2\Delta^2$.", _two_groups),
        Step(
            "group_by_group",
            r"Proposition 3.1 inside each group: the loss of one centroid is $\sum_jp_j\lVert\mu - c_j\rVert^2$ + variance + the "
            r"spread within; the variant has the smallest in place of the mean.",
            _group_by_group,
        ),
        Step(
            "basin",
            r"The least loss with centroid c is $\sum_k \lambda_A\frac{h_k}{h_k + 2\lambda_A}(m - c)_k^2$ over eigendirections: the "
            r"centroid with the smaller value wins, and given it the minimiser is that of Proposition 3.2.",
            _value_of_a_basin,
        ),
        Step(
            "across",
            r"The minimiser is $(I - S)c + Sm$ with $S = H(H + 2\lambda_A I)^{-1}$; standard deviations obey the triangle "
            r"inequality.",
            _within_and_across,
        ),
        Step(
            "jump",
            r"$\lVert I - S\rVert = 2\lambda_A/(h_{\min} + 2\lambda_A)$; two masks at a tie are that far apart.",
            _jump_factor,
        ),
    ),
    limits=(
        "Groups of real anchors are rarely that far apart: see the share of users for whom the bound is positive.",
        "Three groups in a row have one in the middle: a smallest distance alone bounds nothing beyond two groups.",
        "It says nothing of which loss ranks better.",
    ),
)


def _groups(means: Any, offsets: Any, shares: Any) -> tuple[Any, Any, Any, Any]:
    """Return anchors (group, item, dimension), shares that sum to 1, means of the groups, and the centroid."""
    anchors = means[:, None, :] + offsets
    own = np.sum(anchors, axis=1) / anchors.shape[1]
    share = shares / np.sum(shares)
    return anchors, share, own, np.sum(share[:, None] * own, axis=0)


def _squared_distances(own: Any) -> list[Any]:
    pairs = [(i, j) for i in range(len(own)) for j in range(i + 1, len(own))]
    return [np.sum((own[i] - own[j]) ** 2) for i, j in pairs]


def _mixing(share: Any) -> Any:
    return (1 - np.sum(share * share)) / 2


def _bracket(share: Any, smallest: Any, largest: Any) -> Any:
    return (1 - reduce(larger, share)) * smallest - _mixing(share) * largest


def _far_from_every_anchor(means: Any, offsets: Any, shares: Any, *, alone: bool, radius: bool) -> Comparison:
    anchors, share, own, centroid = _groups(means, offsets, shares)
    squares = _squared_distances(own)
    smallest = reduce(smaller, squares)
    square = _bracket(share, smallest, smallest if alone else reduce(larger, squares))
    reach = reduce(larger, np.ravel(norm(anchors - own[:, None, :], axis=2)))
    return root(square) - reach * int(radius), "<=", norm(anchors - centroid, axis=2)


def _far(*, means: Any, offsets: Any, shares: Any) -> Comparison:
    return _far_from_every_anchor(means, offsets, shares, alone=False, radius=True)


def _far_by_the_smallest_alone(*, means: Any, offsets: Any, shares: Any) -> Comparison:
    return _far_from_every_anchor(means, offsets, shares, alone=True, radius=True)


def _far_whatever_the_radius(*, means: Any, offsets: Any, shares: Any) -> Comparison:
    return _far_from_every_anchor(means, offsets, shares, alone=False, radius=False)


def _bracket_is_positive(*, means: Any, offsets: Any, shares: Any) -> tuple[Comparison, ...]:
    _, share, own, _ = _groups(means, offsets, shares)
    squares = _squared_distances(own)
    return ((0, "<", _bracket(share, reduce(smaller, squares), reduce(larger, squares))),)


def _bracket_alone_is_positive(*, means: Any, offsets: Any, shares: Any) -> tuple[Comparison, ...]:
    _, share, own, _ = _groups(means, offsets, shares)
    smallest = reduce(smaller, _squared_distances(own))
    return ((0, "<", _bracket(share, smallest, smallest)),)


def _to_the_groups(means: Any, shares: Any) -> tuple[Any, Any, Any]:
    """Return shares, squared distances of the centroid to the groups' means, and the bound of their mean."""
    share = shares / np.sum(shares)
    centroid = np.sum(share[:, None] * means, axis=0)
    bound = _mixing(share) * reduce(smaller, _squared_distances(means))
    return share, np.sum((means - centroid) ** 2, axis=1), bound


def _far_on_average(*, means: Any, shares: Any) -> Comparison:
    share, squares, bound = _to_the_groups(means, shares)
    return bound, "<=", np.sum(share * squares)


def _far_from_each(*, means: Any, shares: Any) -> Comparison:
    _, squares, bound = _to_the_groups(means, shares)
    return bound, "<=", squares


def _by_group(mu: Any, variance: Any, anchors: Any, shares: Any) -> tuple[Any, Any, Any, Any]:
    """Return the one-centroid loss by definition, shares, squared distances to the centroids, and the rest."""
    share, centroids = shares / np.sum(shares), np.sum(anchors, axis=1) / anchors.shape[1]
    each = np.sum((mu - anchors) ** 2 + variance, axis=2)
    definition = np.sum(share * np.sum(each, axis=1)) / anchors.shape[1]
    within = np.sum((anchors - centroids[:, None, :]) ** 2, axis=2)
    rest = np.sum(variance) + np.sum(share * np.sum(within, axis=1)) / anchors.shape[1]
    return definition, share, np.sum((mu - centroids) ** 2, axis=1), rest


def _loss_by_group(*, mu: Any, variance: Any, anchors: Any, shares: Any) -> Comparison:
    definition, share, squares, rest = _by_group(mu, variance, anchors, shares)
    return definition, "==", np.sum(share * squares) + rest


def _loss_without_shares(*, mu: Any, variance: Any, anchors: Any, shares: Any) -> Comparison:
    definition, _, squares, rest = _by_group(mu, variance, anchors, shares)
    return definition, "==", np.sum(squares) / len(squares) + rest


def _values(optima: Any, centroids: Any, eigenvalues: Any, pull: Any) -> Any:
    """Return the least loss of every mask with every centroid, up to the factor lambda, (mask, centroid)."""
    weights = eigenvalues / (eigenvalues + 2 * pull)
    return np.sum(weights * (optima[:, None, :] - centroids) ** 2, axis=2)


def _steadier(*, optima: Any, centroids: Any, eigenvalues: Any, pull: Any) -> Comparison:
    values = _values(optima, centroids, eigenvalues, pull)
    first, second = centroids
    own = np.stack([first if a <= b else second for a, b in values])
    pulled = own + eigenvalues / (eigenvalues + 2 * pull) * (optima - own)
    largest = reduce(larger, eigenvalues)
    return _variance(pulled), "<=", (largest / (largest + 2 * pull)) ** 2 * _variance(optima)


def _one_basin(*, optima: Any, centroids: Any, eigenvalues: Any, pull: Any) -> tuple[Comparison, ...]:
    values = _values(optima, centroids, eigenvalues, pull)
    return (values[:, 0], "<", values[:, 1]), (1, "<", 1000 * _variance(optima))


def _moving(*, optima: Any, **_: Any) -> tuple[Comparison, ...]:
    return ((1, "<", 1000 * _variance(optima)),)


def _across(optima: Any, centroids: Any, chosen: Any, eigenvalues: Any, pull: Any, bending: Any) -> Comparison:
    own = centroids[0] + chosen[:, None] * (centroids[1] - centroids[0])
    pulled = own + eigenvalues / (eigenvalues + 2 * pull) * (optima - own)
    largest = reduce(larger, eigenvalues)
    steady = largest / (largest + 2 * pull) * root(_variance(optima))
    return root(_variance(pulled)), "<=", steady + 2 * pull / (bending + 2 * pull) * root(_variance(own))


def _steady_up_to_jumps(*, optima: Any, centroids: Any, chosen: Any, eigenvalues: Any, pull: Any) -> Comparison:
    return _across(optima, centroids, chosen, eigenvalues, pull, reduce(smaller, eigenvalues))


def _jumps_by_the_largest(*, optima: Any, centroids: Any, chosen: Any, eigenvalues: Any, pull: Any) -> Comparison:
    return _across(optima, centroids, chosen, eigenvalues, pull, reduce(larger, eigenvalues))


def _variance(points: Any) -> Any:
    off = points - np.sum(points, axis=0) / len(points)
    return np.sum(off * off) / len(points)


_SHARES = Variable(("group",), low=0.2, high=2.0, kind="positive")
_BENDING = {
    "eigenvalues": Variable(("dimension",), low=0.01, high=50.0, kind="positive"),
    "pull": Variable(low=0.01, high=10.0, kind="positive"),
}

NEAREST = Inequality(
    SEVERAL_INTERESTS,
    "nearest_anchor",
    "sqrt((1 - p_max) Delta^2 - (1 - sum p^2) D^2 / 2) - r <= distance from the centroid to every anchor",
    variables={
        "means": Variable(("group", "dimension")),
        "offsets": Variable(("group", "item", "dimension"), low=-0.3, high=0.3),
        "shares": _SHARES,
    },
    axes={"group": (2, 3), "item": (1, 2), "dimension": (1, 2)},
    claim=_far,
    premise=_bracket_is_positive,
)
SMALLEST_ALONE = NEAREST.false_twin(
    "smallest_distance_alone",
    "the smallest distance between groups in place of the largest",
    _far_by_the_smallest_alone,
    premise=_bracket_alone_is_positive,
)
RADIUS_FORGOTTEN = NEAREST.false_twin("radius_forgotten", "without the radius of the groups", _far_whatever_the_radius)

AVERAGE = Inequality(
    SEVERAL_INTERESTS,
    "average_group",
    "(1 - sum p^2) Delta^2 / 2 <= mean squared distance from the centroid to the groups, in exact arithmetic",
    variables={"means": Variable(("group", "dimension")), "shares": _SHARES},
    axes={"group": (2, 4), "dimension": (1, 3)},
    claim=_far_on_average,
    exact=True,
)
EVERY_GROUP = AVERAGE.false_twin("every_group", "every group in place of the mean over groups", _far_from_each)

LOSS = Inequality(
    SEVERAL_INTERESTS,
    "loss_by_group",
    "definition = mean over groups of ||mu - c_j||^2 + variance + spread within groups, in exact arithmetic",
    variables={
        "mu": Variable(("dimension",)),
        "variance": Variable(("dimension",), low=0.01, high=4.0, kind="positive"),
        "anchors": Variable(("group", "item", "dimension")),
        "shares": _SHARES,
    },
    axes={"group": (1, 3), "item": (1, 3), "dimension": (1, 3)},
    claim=_loss_by_group,
    exact=True,
)
SHARES_FORGOTTEN = LOSS.false_twin(
    "shares_forgotten", "the mean over groups without their shares", _loss_without_shares
)

ONE_BASIN = Inequality(
    SEVERAL_INTERESTS,
    "one_basin",
    "two centroids, masks that lead to the same: variance of mu_b <= tau^2 times that of m_b, in exact arithmetic",
    variables={
        "optima": Variable(("mask", "dimension")),
        "centroids": Variable(("centroid", "dimension")),
        **_BENDING,
    },
    axes={"mask": (2, 3), "centroid": (2, 2), "dimension": (1, 2)},
    claim=_steadier,
    premise=_one_basin,
    exact=True,
)
ACROSS_BASINS = ONE_BASIN.false_twin(
    "across_basins", "masks that may lead to different centroids", _steadier, premise=_moving
)

JUMPS = Inequality(
    SEVERAL_INTERESTS,
    "across",
    "sd(mu_b) <= tau sd(m_b) + 2 lambda / (h_min + 2 lambda) sd(c_b), whichever centroid each mask leads to",
    variables={
        "optima": Variable(("mask", "dimension")),
        "centroids": Variable(("centroid", "dimension")),
        "chosen": Variable(("mask",), kind="binary"),
        **_BENDING,
    },
    axes={"mask": (2, 4), "centroid": (2, 2), "dimension": (1, 3)},
    claim=_steady_up_to_jumps,
    premise=_moving,
)
LARGEST_FOR_JUMPS = JUMPS.false_twin(
    "jump_by_the_largest_eigenvalue",
    "the largest eigenvalue in place of the smallest in the jump",
    _jumps_by_the_largest,
)


@check(SEVERAL_INTERESTS, stages="last")
def on_posteriors(subject: Subject) -> Evidence:
    """Compare on real item sets in groups of the model's anchors (or random ones), and count changes of basin."""
    return _measured(subject, subject.recommender)


@check(SEVERAL_INTERESTS, stages="ladder")
def on_learned_anchors(subject: Subject) -> Evidence:
    """Do the same with the anchors that were learned at the largest weight."""
    models = subject.ladder("alignment")
    return _measured(subject, models[max(models)])


def _measured(subject: Subject, recommender: Recommender) -> Evidence:
    data = subject.interactions
    rows, anchors = subject.users_with_items(USERS), subject.anchors(recommender)
    posterior = recommender.posterior(data.matrix[rows])
    mu, sigma = (torch.from_numpy(part) for part in posterior.numpy())
    groups = item_groups(anchors, min(GROUPS, data.n_items), rng=subject.rng("groups"))
    contents, table = torch.from_numpy(data.dense(rows)), torch.from_numpy(anchors)
    found = group_centroids(contents, table, groups)
    nearest = nearest_centroid_loss(mu, sigma, found).numpy()
    one = alignment_loss(mu, sigma, contents, table).numpy()
    distance = (mu[:, None] - found.centroid).square().sum(2).numpy()
    share = found.share.numpy()
    excess = (share * distance).sum(1) - np.where(share > 0, distance, np.inf).min(1)
    geometry = _geometry(rows, subject, anchors, groups, found)
    cases = {"user": rows}
    several = geometry.several
    return Evidence(
        principal="identity",
        parts=(
            equal(
                "identity",
                "loss of one centroid = loss of the nearest + (mean - smallest) squared distance",
                one,
                nearest + excess,
                cases=cases,
            ),
            at_most("order", "loss of the nearest centroid <= loss of one", nearest, one, cases=cases),
            at_most(
                "average_group",
                "(1 - sum p^2) Delta^2 / 2 <= mean squared distance from the centroid to the groups",
                geometry.average_bound,
                geometry.average,
                cases=cases,
                premise=several,
            ),
            at_most(
                "nearest_anchor",
                "the bound <= distance from the centroid to the nearest anchor, where the bound is positive",
                geometry.bound,
                geometry.nearest,
                cases=cases,
                premise=several & (geometry.bound > 0),
            ),
        ),
        numbers={
            "share_several": Number(share_of(several), "users with items in two or more groups", n=len(rows)),
            "share_bound_positive": Number(
                share_of(geometry.bound[several] > 0), "of these, users whose bound is positive", n=int(several.sum())
            ),
            "nearest_over_spread": spread(
                geometry.nearest[several] / geometry.spread[several], "centroid to nearest anchor, in spreads"
            ),
            "tightness_average": spread(
                geometry.average_bound[several] / geometry.average[several],
                "bound over mean squared distance to groups",
            ),
            "loss_ratio": spread(nearest / one, "loss of the nearest centroid over loss of one"),
            **_basin_changes(subject, recommender, rows, found),
        },
        notes=(
            f"Groups are {GROUPS} k-means clusters of the anchors, which are the model's own, or random where it has none.",
        ),
    )


class _Geometry:
    """Per user: distances of the centroid to the nearest anchor and to the groups, with their bounds."""

    def __init__(self, n: int) -> None:
        self.several = np.zeros(n, dtype=bool)
        self.bound, self.average_bound, self.average = (np.zeros(n) for _ in range(3))
        self.nearest, self.spread = np.ones(n), np.ones(n)


def _geometry(
    rows: np.ndarray, subject: Subject, anchors: np.ndarray, groups: np.ndarray, found: GroupCentroids
) -> _Geometry:
    contents = subject.interactions.matrix[rows]
    result = _Geometry(len(rows))
    result.nearest = nearest_anchor_distance(contents, anchors)
    for user in range(len(rows)):
        own = contents.indices[contents.indptr[user] : contents.indptr[user + 1]]
        share, centroids = found.share[user].numpy(), found.centroid[user].numpy()
        present = np.flatnonzero(share)
        result.several[user] = len(present) > 1
        result.spread[user] = np.sqrt(np.square(anchors[own] - anchors[own].mean(0)).sum(1).mean())
        if len(present) < 2:
            continue
        squares = _squared_distances(centroids[present])
        square = _bracket(share[present], min(squares), max(squares))
        radius = np.linalg.norm(anchors[own] - centroids[groups[own]], axis=1).max()
        result.bound[user] = np.sqrt(max(square, 0.0)) - radius
        result.average_bound[user] = _mixing(share[present]) * min(squares)
        off = np.square(centroids[present] - anchors[own].mean(0)).sum(1)
        result.average[user] = share[present] @ off
    return result


def _basin_changes(
    subject: Subject, recommender: Recommender, rows: np.ndarray, found: GroupCentroids
) -> dict[str, Number]:
    """Return how often a masked mean is nearest to another centroid than the user's clean mean."""
    if recommender.layers is None:
        return {}
    contents = subject.interactions.matrix[rows]
    masked = masked_means(recommender, contents, MASKS, rng=subject.rng("masks"))
    clean = recommender.posterior(contents).numpy()[0]
    centroids = found.centroid.numpy()[None]
    nearest = [
        np.where(found.share.numpy() > 0, np.square(means[:, :, None] - centroids).sum(3), np.inf).argmin(2)
        for means in (masked, clean[None])
    ]
    changed = (nearest[0] != nearest[1]).mean(0)
    return {"share_basin_changes": Number(float(changed.mean()), "masks that lead to another centroid", n=changed.size)}
