"""Memory and CPU time of item anchors by the number of items: full table, low rank, and shared by groups of items.

Run with ``pytest -m benchmark -s tests/benchmarks/test_anchor_cost.py``; it prints the table of ``docs/tightness.md``.
Time is process CPU time on one thread, the median of several runs, so that a busy machine changes it little.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.models.compact_anchors import ADAM_COPIES, anchor_cost, low_rank_anchors, shared_anchors
from collabtheory.models.item_anchors import alignment_loss

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(0)]

ITEMS = (1_000, 10_000, 100_000, 1_000_000)
DIMENSIONS, RANK, GROUPS = 64, 8, 128
BATCH, USERS, PER_USER = 500, 10_000, 50
REPEATS = 5


def seconds(action):
    """Return the median CPU time of an action, after one run that does not count."""
    spent = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        action()
        spent.append(time.process_time() - start)
    return float(np.median(spent[1:]))


def contents(n_users, n_items, rng):
    rows = np.repeat(np.arange(n_users), PER_USER)
    columns = rng.integers(n_items, size=n_users * PER_USER)
    x = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n_users, n_items))
    x.sum_duplicates()
    x.data[:] = 1.0
    return x


def by_group(x, groups):
    """Return how many items of each group a user has; a group that comes twice is added up by the product."""
    return sparse.csr_array((x.data, groups[x.indices], x.indptr), (x.shape[0], GROUPS))


def training_step(anchors, rng):
    """Return bytes held by anchors and Adam, and the CPU time of the alignment loss, its gradient and Adam's step."""
    x = contents(BATCH, len(anchors), rng)
    parts = [torch.from_numpy(part.astype(np.int64)) for part in (x.indptr, x.indices)]
    sets = torch.sparse_csr_tensor(*parts, torch.ones(x.nnz), size=x.shape)
    table = torch.nn.Parameter(torch.from_numpy(anchors).float())
    optimiser = torch.optim.Adam([table])
    mu, sigma = torch.zeros(BATCH, DIMENSIONS), torch.ones(BATCH, DIMENSIONS)

    def step():
        optimiser.zero_grad()
        alignment_loss(mu, sigma, sets, table).mean().backward()
        optimiser.step()

    spent = seconds(step)
    state = optimiser.state[table]
    held = (table, table.grad, state["exp_avg"], state["exp_avg_sq"])
    return sum(one.numel() * one.element_size() for one in held), spent


def measure(n_items, rng):
    # Learned anchors are nearly of low rank, and so are these.
    anchors = rng.standard_normal((n_items, RANK)) @ rng.standard_normal((RANK, DIMENSIONS))
    anchors += 0.05 * rng.standard_normal(anchors.shape)
    x = contents(USERS, n_items, rng)
    start = time.process_time()
    low = low_rank_anchors(anchors, RANK)
    svd = time.process_time() - start
    some = anchors[: ITEMS[0]]
    shared = shared_anchors(some, GROUPS, rng=rng)
    groups = np.resize(shared.groups, n_items)
    held, step = training_step(anchors, rng)
    return {
        "items": n_items,
        "held": held,
        "step": step,
        "full": seconds(lambda: x @ anchors),
        "low": seconds(lambda: (x @ low.factors) @ low.directions),
        "shared": seconds(lambda: by_group(x, groups) @ shared.table),
        "svd": svd,
        "predicted": [anchor_cost(x, DIMENSIONS, rank=rank).training_bytes for rank in (None, RANK)],
        "apart": float(np.abs((x @ low.factors) @ low.directions - x @ low.anchors).max()),
        "shared_apart": float(np.abs(by_group(x, groups) @ shared.table - x @ shared.table[groups]).max()),
    }


def test_anchors_cost_what_is_predicted_and_grow_with_the_number_of_items():
    found = [measure(n, np.random.default_rng(0)) for n in ITEMS]
    shared_bytes = [ADAM_COPIES * 4 * GROUPS * DIMENSIONS + 4 * n for n in ITEMS]
    print("\n| items | full, Adam | rank 8, Adam | 128 shared, Adam | PIA step | full | rank 8 | shared | SVD |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for one, shared in zip(found, shared_bytes, strict=True):
        sizes = (one["held"], one["predicted"][1], shared)
        times = [one[name] for name in ("step", "full", "low", "shared", "svd")]
        cells = [f"{size / 1e6:.3g} MB" for size in sizes] + [f"{1e3 * value:.3g} ms" for value in times]
        print(f"| {one['items']:,} | " + " | ".join(cells) + " |")
    for one in found:
        assert one["held"] == one["predicted"][0]
        assert max(one["apart"], one["shared_apart"]) < 1e-9
    # A training step touches every anchor, as Adam's moments are dense; centroids touch those of the contents alone.
    growth = found[-1]["step"] / found[-3]["step"], found[-1]["full"] / found[-3]["full"]
    assert growth[0] > 10
    assert growth[1] < growth[0]
