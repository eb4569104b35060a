"""What item anchors cost in memory and arithmetic, and how far a smaller table moves the centroids."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import torch
from scipy import sparse

from collabtheory.claims import (
    Evidence,
    Inequality,
    Number,
    Part,
    Statement,
    Step,
    Subject,
    Variable,
    at_most,
    check,
    equal,
    step_part,
)
from collabtheory.claims.pair_statistics import spread
from collabtheory.models.checkpoints import load_tensors
from collabtheory.models.compact_anchors import (
    ADAM_COPIES,
    LowRankAnchors,
    SharedAnchors,
    anchor_cost,
    centroid_error_bound,
    low_rank_anchors,
    shared_anchors,
)
from collabtheory.models.recommender import Recommender
from collabtheory.rigor import Comparison, Finding, identities, identity, on_every_case, sum_of_squares
from collabtheory.rigor.rational_matrices import reflection

ITEMS, DIMENSIONS, RANK, USERS, INTERACTIONS = sympy.symbols("I d r N nnz", positive=True, integer=True)
S = sympy.symbols("s0:3", nonnegative=True)
V = sympy.symbols("v0:3", real=True)

SHARES = (0.25, 0.5)
"""Ranks tried on real anchors, as shares of the dimensions."""
MOST_GROUPS = 128
"""k-means of more groups takes long where there are many items."""


def _break_even() -> Finding:
    """I d - (I + d) r = (I + d) (I d / (I + d) - r): the same sign."""
    return identity(
        ITEMS * DIMENSIONS - (ITEMS * RANK + RANK * DIMENSIONS),
        (ITEMS + DIMENSIONS) * (ITEMS * DIMENSIONS / (ITEMS + DIMENSIONS) - RANK),
    )


def _one_user() -> Finding:
    """Take x'F apart along singular vectors: s^2 y^2 <= (largest s)^2 y^2 for every coordinate y = <p_k, x>."""
    y, excess = sympy.Symbol("y", real=True), sympy.Symbol("g", nonnegative=True)
    return sum_of_squares((S[0] + excess) ** 2 * y**2 - S[0] ** 2 * y**2, [(excess**2 + 2 * S[0] * excess, y)])


def _truncation() -> Finding:
    """Two singular values kept of three: what is left has the one that was dropped, in orthonormal bases."""
    left, right = sympy.diag(*S), sympy.diag(S[0], S[1], 0)
    return identities([((left - right)[i, j], S[2] if i == j == 2 else 0) for i in range(3) for j in range(3)])


def _no_better() -> Finding:
    """On the span of the first r + 1 right singular vectors ||E v||^2 >= s_{r+1}^2 ||v||^2 (three of them)."""
    excess = sympy.symbols("g0:2", nonnegative=True)
    squares = (S[2] ** 2 + excess[0], S[2] ** 2 + excess[1], S[2] ** 2)
    gap = sum(q * v**2 for q, v in zip(squares, V, strict=True)) - S[2] ** 2 * sum(v**2 for v in V)
    return sum_of_squares(gap, [(excess[0], V[0]), (excess[1], V[1])])


def _minimiser() -> Finding:
    """Move the minimiser of Proposition 3.2 in an eigendirection: 2 lambda / (h + 2 lambda) of the centroid's move."""
    h, pull = sympy.symbols("h lambda", positive=True)
    optimum, before, after = sympy.symbols("m e f", real=True)

    def best(centroid: sympy.Expr) -> sympy.Expr:
        return centroid + h / (h + 2 * pull) * (optimum - centroid)

    return identities(
        [
            (best(after) - best(before), 2 * pull / (h + 2 * pull) * (after - before)),
            (1 - 2 * pull / (h + 2 * pull), h / (h + 2 * pull)),
        ]
    )


ANCHOR_MEMORY = Statement(
    identifier="anchor_memory",
    position=34,
    title="Anchors cost one number an item and dimension; a table of lower rank moves no centroid beyond its error / sqrt(n)",
    source="This project; Eckart and Young (1936), Mirsky (1960)",
    text=(
        r"Anchors of I items in d dimensions are $Id$ numbers, $4Id$ bytes in float32 and four times that while training with "
        r"Adam; all centroids together take $nnz \cdot d$ additions, one for each interaction and dimension. A table $E' = UV$ of "
        r"rank r has $Ir + rd$ numbers, fewer exactly if $r < Id/(I + d)$. For any $E'$ and a user with n items, "
        r"$\lVert\bar e - \bar e'\rVert \le \lVert E - E'\rVert_2/\sqrt n$; the best $E'$ of rank r has "
        r"$\lVert E - E'\rVert_2 = \sigma_{r+1}(E)$. The minimiser of Proposition 3.2 moves by no more than the centroid, and its "
        r"factor $\tau$ stays."
    ),
    assumptions=(r"$n \ge 1$ items, binary contents", r"for the last part: as in Proposition 3.2"),
    proof=(
        Step(
            "break_even",
            r"$Id - (Ir + rd) = (I + d)\,(Id/(I + d) - r)$: fewer numbers exactly if the bracket is positive.",
            _break_even,
        ),
        Step(
            "one_user",
            r"$\bar e - \bar e' = \frac1n x^\top F$ with $F = E - E'$. Along the singular vectors of F every coordinate of x is "
            r"stretched by at most $\sigma_1(F) = \lVert F\rVert_2$, so $\lVert x^\top F\rVert \le \lVert F\rVert_2\lVert x\rVert$, and $\lVert x\rVert = \sqrt n$ for a binary x.",
            _one_user,
        ),
        Step(
            "truncation",
            r"Dropping all singular values after the first r leaves a matrix with the dropped ones; the largest is $\sigma_{r+1}$.",
            _truncation,
        ),
        Step(
            "no_better",
            r"A matrix B of rank r is 0 on some v in the span of the first r + 1 right singular vectors (dimensions), and there "
            r"$\lVert(E - B)v\rVert = \lVert Ev\rVert \ge \sigma_{r+1}\lVert v\rVert$.",
            _no_better,
        ),
        Step(
            "minimiser",
            r"$\mu^*$ moves by $\frac{2\lambda_A}{h + 2\lambda_A} \le 1$ times the move of $\bar e$; $\tau$ has no $\bar e$ in it.",
            _minimiser,
        ),
    ),
    limits=(
        "Learned anchors need not have small singular values left out: see how large the error is on the model's own.",
        "Counts of arithmetic are not times: a sparse product is bound by memory traffic.",
    ),
)


def _parts(mirror: Any, turn: Any, drops: Any, rank: Any) -> tuple[Any, Any, Any]:
    """Return E and E - E' with E' of the given rank, and the singular values of E, largest first, then zeros.

    Reflections are orthogonal and rational, so that the singular values are known exactly.
    """
    d = len(drops)
    left, right = reflection(mirror)[:, :d], reflection(turn)
    # Sums of positive drops from the end fall; two zeros stand for the values beyond the last.
    values = np.array([np.sum(drops[k:]) for k in range(d)] + [0 * drops[0]] * 2)
    kept = np.arange(d) < int(rank)
    table = left * values[:d] @ right
    return table, left * np.where(kept, 0 * values[:d], values[:d]) @ right, values


def _moved(x: Any, mirror: Any, turn: Any, drops: Any, rank: Any) -> tuple[Any, Any, Any, int]:
    """Return the squared move of the centroid, n, the singular values, and the rank in range."""
    r = min(int(rank), len(drops))
    _, error, values = _parts(mirror, turn, drops, r)
    n, move = np.sum(x), x @ error
    return np.sum(move * move) / (n * n), n, values, r


def _bounded(*, x: Any, mirror: Any, turn: Any, drops: Any, rank: Any) -> Comparison:
    left, n, values, r = _moved(x, mirror, turn, drops, rank)
    return left, "<=", values[r] ** 2 / n


def _bounded_by_the_next(*, x: Any, mirror: Any, turn: Any, drops: Any, rank: Any) -> Comparison:
    left, n, values, r = _moved(x, mirror, turn, drops, rank)
    return left, "<=", values[r + 1] ** 2 / n


def _bounded_by_one_over_n(*, x: Any, mirror: Any, turn: Any, drops: Any, rank: Any) -> Comparison:
    left, n, values, r = _moved(x, mirror, turn, drops, rank)
    return left, "<=", values[r] ** 2 / (n * n)


def _has_items(*, x: Any, mirror: Any, turn: Any, drops: Any, rank: Any) -> tuple[Comparison, ...]:
    # At full rank nothing moves: both sides are 0.
    return (0, "<", np.sum(x)), (0, "<", mirror @ mirror), (0, "<", turn @ turn), (_whole(rank), "<", len(drops))


def _whole(rank: Any) -> int:
    return int(rank)


CENTROIDS = Inequality(
    ANCHOR_MEMORY,
    "centroid",
    "||ebar - ebar'||^2 <= sigma_{r+1}^2 / n, in exact arithmetic",
    variables={
        "x": Variable(("item",), kind="binary"),
        "mirror": Variable(("item",)),
        "turn": Variable(("dimension",)),
        "drops": Variable(("dimension",), low=0.01, high=3.0, kind="positive"),
        "rank": Variable(low=0, high=2, kind="integer"),
    },
    axes={"item": (3, 6), "dimension": (1, 3)},
    claim=_bounded,
    premise=_has_items,
    exact=True,
)
NEXT_VALUE = CENTROIDS.false_twin("next_singular_value", "sigma_{r+2} in place of sigma_{r+1}", _bounded_by_the_next)
ONE_OVER_N = CENTROIDS.false_twin("one_over_n", "1/n in place of 1/sqrt(n)", _bounded_by_one_over_n)


@check(ANCHOR_MEMORY, stages="none")
def exactly(subject: Subject) -> Evidence:
    """Decide bound, optimality and counts in exact arithmetic on every case of fixed grids."""
    tables = "every item set of 3 and 4 items, rational tables with known singular values, every rank below full"
    lines = "rank-1 tables with entries -1, 0, 1 against rational tables of 3 items and 2 dimensions"
    counts = "every content matrix of 2 users and 3 items, 1 to 3 dimensions, full and of rank 1 and 2"
    return Evidence(
        parts=(
            step_part(
                "centroid",
                "||ebar - ebar'||^2 <= sigma_{r+1}^2 / n",
                on_every_case(_bounded, _tables(), tables),
            ),
            step_part(
                "no_better",
                "every rank-1 table is wrong by sigma_2 in some direction",
                on_every_case(_wrong_somewhere, _lines(), lines),
            ),
            step_part(
                "operations",
                "counted additions and products are those predicted",
                on_every_case(_counted, _contents(), counts),
            ),
        )
    )


def _tables() -> Iterator[dict[str, Any]]:
    for items, d in ((3, 1), (3, 2), (4, 2), (4, 3)):
        mirrors = [[k + 1 for k in range(items)], [1, -1] * items, [(-2) ** k for k in range(items)]]
        for mirror, drops, rank in itertools.product(mirrors, (["1", "1/2", "1/3"], ["1e-6", "2", "7"]), range(d)):
            for x in itertools.product((0, 1), repeat=items):
                if any(x):
                    yield {
                        "x": _rational(x),
                        "mirror": _rational(mirror[:items]),
                        "turn": _rational([2, -1, 3][:d]),
                        "drops": _rational(drops[:d]),
                        "rank": rank,
                    }


def _rational(values: Any) -> np.ndarray:
    return np.array([Fraction(value) for value in values], dtype=object)


def _lines() -> Iterator[dict[str, Any]]:
    for mirror in ([1, 2, 3], [1, -1, 1], [5, 0, 1]):
        table, _, values = _parts(_rational(mirror), _rational([2, -1]), _rational(["1", "1/2"]), 0)
        for a, b in itertools.product(itertools.product((-1, 0, 1), repeat=3), itertools.product((-1, 0, 1), repeat=2)):
            yield {"table": table, "second": values[1], "line": np.outer(_rational(a), _rational(b)), "b": _rational(b)}


def _wrong_somewhere(table: Any, second: Any, line: Any, b: Any) -> Comparison:
    """Take the direction that the rank-1 table maps to 0: ||(E - B) v||^2 >= sigma_2^2 ||v||^2 there."""
    direction = np.array([b[1], -b[0]], dtype=object) if any(b) else _rational([1, 0])
    image = (table - line) @ direction
    return second**2 * (direction @ direction), "<=", image @ image


def _contents() -> Iterator[dict[str, Any]]:
    for cells, d, rank in itertools.product(itertools.product((0, 1), repeat=6), (1, 2, 3), (None, 1, 2)):
        yield {"contents": cells, "d": d, "rank": rank}


def _counted(contents: Any, d: int, rank: int | None) -> Comparison:
    """Run the sums one by one and count them."""
    rows = np.reshape(contents, (2, 3))
    additions = products = 0
    for row in rows:
        for _ in range(d if rank is None else rank):
            additions += sum(1 for entry in row if entry)
            products += 1
        for _ in range(0 if rank is None else rank * d):
            additions, products = additions + 1, products + 1
    cost = anchor_cost(sparse.csr_array(rows), d, rank=rank)
    return np.array([additions, products]), "==", np.array([cost.centroid_additions, cost.centroid_products])


@check(ANCHOR_MEMORY, stages="last")
def on_contents(subject: Subject) -> Evidence:
    """Move the centroids of real item sets by smaller tables of the model's anchors (or random ones)."""
    return _moved_on_data(subject, subject.anchors())


@check(ANCHOR_MEMORY, stages="ladder")
def on_trained_anchors(subject: Subject) -> Evidence:
    """Hold the predicted bytes against trained models with and without anchors, and compress the anchors learned."""
    models = subject.ladder("alignment")
    bytes_of = {value: _stored_bytes(path) for value, path in subject.rungs["alignment"].items()}
    trained = {value: model for value, model in models.items() if model.item_anchors is not None}
    predicted = [anchor_cost(subject.interactions.matrix, _dimensions(model)).table_bytes for model in trained.values()]
    measured = [bytes_of[value] - bytes_of[0.0] for value in trained]
    found = _moved_on_data(subject, _anchors(trained[max(trained)]))
    memory = equal(
        "memory",
        "bytes of a trained model with anchors - without = 4 I d",
        np.array(measured),
        np.array(predicted),
        cases={"weight": np.array(list(trained))},
    )
    training = Number(float(ADAM_COPIES * predicted[0]), "anchors while training with Adam", unit="bytes")
    numbers = {"table": Number(float(predicted[0]), "anchors", unit="bytes"), "training": training, **found.numbers}
    return Evidence(parts=(memory, *found.parts), numbers=numbers, notes=found.notes)


def _moved_on_data(subject: Subject, anchors: np.ndarray) -> Evidence:
    data = subject.interactions
    rows = np.flatnonzero(data.sizes > 0)
    contents, sizes = data.matrix[rows], data.sizes[rows]
    centroids = contents @ anchors / sizes[:, None]
    values = np.linalg.svd(anchors, compute_uv=False)
    parts: list[Part] = []
    numbers = {}
    size = max(float(np.linalg.norm(centroids - centroids.mean(0), axis=1).mean()), np.finfo(float).tiny)
    for name, table in _smaller_tables(subject, anchors).items():
        moved = np.linalg.norm(centroids - contents @ table.anchors / sizes[:, None], axis=1)
        bound = centroid_error_bound(table.error, sizes)
        shown = name.replace("_", " ")
        text = f"distance of the centroids <= ||E - E'||_2 / sqrt(n) ({shown})"
        parts.append(at_most(name, text, moved, bound, cases={"user": rows}, scale=np.full(len(rows), values[0])))
        numbers[f"tightness_{name}"] = spread(moved[bound > 0] / bound[bound > 0], f"move over its bound ({shown})")
        label = f"move of a centroid over the mean distance of centroids to their mean ({shown})"
        numbers[f"move_{name}"] = spread(moved / size, label)
        numbers[f"error_{name}"] = Number(table.error / float(values[0]), f"||E - E'||_2 over ||E||_2 ({shown})")
    return Evidence(
        parts=tuple(parts),
        numbers=numbers,
        notes=(
            "Anchors are the model's own, or random where it has none. As many groups share an anchor as fit into the numbers "
            f"of the smallest low-rank table, the group of each item counted as one number, but at most {MOST_GROUPS}.",
        ),
    )


def _smaller_tables(subject: Subject, anchors: np.ndarray) -> dict[str, LowRankAnchors | SharedAnchors]:
    """Return tables of low rank, and one of shared anchors with as many numbers as the first where that is feasible."""
    items, d = anchors.shape
    ranks = [max(1, min(items, round(share * d))) for share in SHARES]
    n_groups = max(1, min(items, MOST_GROUPS, ((items + d) * ranks[0] - items) // d))
    tables: dict[str, LowRankAnchors | SharedAnchors] = {f"rank_{r}": low_rank_anchors(anchors, r) for r in ranks}
    tables[f"shared_{n_groups}"] = shared_anchors(anchors, n_groups, rng=subject.rng("groups"))
    return tables


def _anchors(model: Recommender) -> np.ndarray:
    if model.item_anchors is None:
        raise ValueError("a model trained with PIA has anchors")
    return model.item_anchors


def _dimensions(model: Recommender) -> int:
    return int(_anchors(model).shape[1])


def _stored_bytes(path: Path) -> int:
    """Return the bytes of all tensors in a checkpoint."""
    tensors: dict[str, torch.Tensor] = load_tensors(path)[0]
    return sum(tensor.nbytes for tensor in tensors.values())
