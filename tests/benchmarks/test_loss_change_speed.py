"""Loss change of one step for all pairs: exact against the limit and a naive loop, the surrogate against the exact one.

One thread, process CPU time, everything in alternation, ratios made within a round. The limit is the least number of
floating-point operations over the rate of a 1024 x 1024 product of the same dtype in the same round. The naive loop
takes the step and subtracts two losses; it is timed on a few sources, each of which costs the same, and scaled. Run
with

    pytest -m benchmark tests/benchmarks/test_loss_change_speed.py

``COLLABTHEORY_SPEED_RESULT`` names a folder for the results, ``COLLABTHEORY_SPEED_SIZE=small`` tries it out.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from measuring import ROUNDS, SMALL, product_rate, publish, seconds, spread
from scipy import sparse
from torch import nn

from collabtheory.transfer import TransferKernels, loss_change_flops, surrogate_flops

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(0)]

LATENT, HIDDEN = 200, 600
EXACT = {"users": 256, "items": 1700, "samples": 4, "sources": 32} if not SMALL else {}
SCREENED = {"users": 512, "items": 20000, "samples": 1, "sources": 128} if not SMALL else {}
LITTLE = {"users": 48, "items": 800, "samples": 2, "sources": 8}
NAIVE_SOURCES, ACCURACY_SOURCES = 4, 32
HONESTY_SEEDS = 24
RATES = (1e-2, 1e-3, 1e-4, 1e-5)
N_ITEMS = 256


def world(users, items, samples, sources):
    """Return decoder, contents and codes (Zipf popularity, about 80 items a user), and the sources' rows."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, items)).double()
    popularity = np.arange(1, items + 1) ** -0.8
    popularity /= popularity.sum()
    rows = [rng.choice(items, int(rng.integers(20, 140)), replace=False, p=popularity) for _ in range(users)]
    ends = np.cumsum([0, *map(len, rows)])
    x = sparse.csr_array((np.ones(ends[-1]), np.concatenate(rows), ends), shape=(users, items))
    return decoder, x, rng.standard_normal((users, samples, LATENT)), np.arange(0, users, users // sources)[:sources]


def all_losses(decoder, x, codes):
    logits = decoder(codes.flatten(0, 1)).view(*codes.shape[:2], -1)
    fit = torch.bmm(logits, x[:, :, None])[:, :, 0]
    return (x.sum(1)[:, None] * torch.logsumexp(logits, 2) - fit).mean(1)


def naive_changes(decoder, x, codes, sources, rate):
    """Return the differences of two losses after each source's step, ``(users, sources)``."""
    with torch.no_grad():
        before = all_losses(decoder, x, codes)
    columns = []
    for v in sources:
        moved = copy.deepcopy(decoder)
        all_losses(moved, x[v : v + 1], codes[v : v + 1])[0].backward()
        with torch.no_grad():
            for parameter in moved.parameters():
                parameter -= rate * parameter.grad
            columns.append(all_losses(moved, x, codes) - before)
    return torch.stack(columns, 1).numpy()


def test_exact_loss_change_is_near_the_limit_and_keeps_its_digits(capsys):
    size = EXACT or LITTLE
    decoder, x, codes, sources = world(**size)
    flops = loss_change_flops((LATENT, HIDDEN, size["items"]), size["users"], len(sources), size["samples"])
    dtypes = {"float32": torch.float32, "float64": torch.float64}
    kernels = {name: TransferKernels(decoder, "multinomial", x, codes, dtype=dtype) for name, dtype in dtypes.items()}
    dense, few = torch.from_numpy(x.toarray()), sources[:NAIVE_SOURCES]
    times = {name: {"seconds": [], "over_limit": [], "naive_over_ours": []} for name in dtypes}
    for one in kernels.values():
        one.step_loss_change(1e-3, sources=sources[:1])  # The pass through the decoder is not what is timed.
    for _ in range(ROUNDS):
        naive, of_naive = seconds(lambda: naive_changes(decoder, dense, torch.from_numpy(codes), few, 1e-3))
        for name, dtype in dtypes.items():
            rate = product_rate(dtype)
            found, taken = seconds(lambda name=name: kernels[name].step_loss_change(1e-3, sources=sources))
            times[name]["seconds"].append(taken)
            times[name]["over_limit"].append(taken * rate / flops)
            times[name]["naive_over_ours"].append(of_naive * len(sources) / len(few) / taken)
            tolerance = 1e-9 if name == "float64" else 1e-5
            np.testing.assert_allclose(found[:, : len(few)], naive, rtol=0, atol=tolerance * np.abs(naive).max())
    errors, exact = {}, kernels["float64"].step_loss_change(RATES, sources=sources)
    single = kernels["float32"].step_loss_change(RATES, sources=sources)
    for k, rate in enumerate(RATES):
        difference = np.abs(single[k] - exact[k])
        errors[rate] = {
            "of_norm": float(np.linalg.norm(difference) / np.linalg.norm(exact[k])),
            "median_relative": float(np.median(difference / np.abs(exact[k]))),
        }
    rows = {name: {what: spread(values) for what, values in one.items()} for name, one in times.items()}
    lines = [
        f"Loss change {name}: {row['seconds']['median']:.2f} s, {row['over_limit']['median']:.2f} x limit, "
        f"naive float64 loop / ours {row['naive_over_ours']['median']:.2f}"
        for name, row in rows.items()
    ]
    lines += [f"  float32 at {rate:g}: {error['of_norm']:.1e} of the norm" for rate, error in errors.items()]
    publish(
        "gradients-loss-change",
        {"size": size, "flops": flops, "summary": rows, "float32_errors": errors},
        lines,
        capsys,
    )
    assert max(error["of_norm"] for error in errors.values()) < 2e-6
    assert max(error["median_relative"] for error in errors.values()) < 2e-6
    if not SMALL:
        assert min(row["over_limit"]["median"] for row in rows.values()) <= 1.6
        assert rows["float32"]["naive_over_ours"]["median"] >= 2.5


def test_surrogate_is_fast_and_honest(capsys):
    size = SCREENED or LITTLE
    decoder, x, codes, sources = world(**size)
    kernels = TransferKernels(decoder, "multinomial", x, codes, dtype=torch.float32)
    exactly = TransferKernels(decoder, "multinomial", x, codes)
    options = {"n_items": N_ITEMS, "sources": sources}
    few = sources[:: max(1, len(sources) // ACCURACY_SOURCES)]
    kernels.step_loss_change(1e-2, sources=sources[:1])
    times = {"exact": [], "surrogate": [], "exact_over_surrogate": []}
    accuracy = {rate: [] for rate in RATES[:2]}
    reference = {rate: exactly.step_loss_change(rate, sources=few) for rate in accuracy}
    for number in range(ROUNDS):
        _, of_exact = seconds(lambda: kernels.step_loss_change(1e-2, sources=sources))
        rng = np.random.default_rng(number)
        _, taken = seconds(lambda rng=rng: kernels.step_loss_change_surrogate(1e-2, rng=rng, **options))
        times["exact"].append(of_exact)
        times["surrogate"].append(taken)
        times["exact_over_surrogate"].append(of_exact / taken)
    for seed in range(HONESTY_SEEDS):
        rng = np.random.default_rng(seed)
        for rate, exact in reference.items():
            estimate = kernels.step_loss_change_surrogate(rate, rng=rng, n_items=N_ITEMS, sources=few)
            accuracy[rate].append(
                (np.abs(estimate.change - exact) / np.abs(exact), (estimate.change - exact), estimate)
            )
    found = {}
    for rate, rounds in accuracy.items():
        relative = np.concatenate([one[0].ravel() for one in rounds])
        z = np.concatenate([np.abs(error / estimate.standard_error).ravel() for _, error, estimate in rounds])
        # Of each pair over many draws: the error there is, and the error that was reported.
        actual = np.sqrt(np.mean([error**2 for _, error, _ in rounds], axis=0))
        reported = np.sqrt(np.mean([estimate.standard_error**2 for _, _, estimate in rounds], axis=0))
        found[rate] = {
            "median_relative": float(np.median(relative)),
            "relative_95": float(np.quantile(relative, 0.95)),
            "z": {"median": float(np.median(z)), **{f"above_{k}": float((z > k).mean()) for k in (2, 3, 4)}},
            "z_largest": float(z.max()),
            "actual_over_reported": {str(q): float(np.quantile(actual / reported, q)) for q in (0.05, 0.5, 0.95, 1)},
            "pairs": actual.size,
            "draws": len(rounds),
        }
    widths = (LATENT, HIDDEN, size["items"])
    flops = {
        "exact": loss_change_flops(widths, size["users"], len(sources), size["samples"]),
        "surrogate": surrogate_flops(widths, size["users"], len(sources), size["samples"], N_ITEMS),
    }
    rows = {name: spread(values) for name, values in times.items()}
    lines = [f"Surrogate of {N_ITEMS} items: {rows['exact_over_surrogate']['median']:.1f} x faster than exact"]
    lines += [
        f"  at {rate:g}: median error {one['median_relative']:.1e}, "
        f"|error / standard error| > 2: {one['z']['above_2']:.1%}, > 4: {one['z']['above_4']:.2%}, "
        f"largest {one['z_largest']:.1f}; error over standard error of a pair at most "
        f"{one['actual_over_reported']['1']:.2f}"
        for rate, one in found.items()
    ]
    publish(
        "gradients-loss-change-surrogate",
        {"size": size, "flops": flops, "summary": rows, "accuracy": found},
        lines,
        capsys,
    )
    assert found[1e-2]["median_relative"] <= 5e-4 or SMALL
    # 4.6 % of normal errors are above two; long tails make that a little more.
    assert found[1e-2]["z"]["above_2"] < 0.1
    assert all(one["actual_over_reported"]["1"] < 2 for one in found.values())
    if not SMALL:
        assert rows["exact_over_surrogate"]["median"] >= 8
