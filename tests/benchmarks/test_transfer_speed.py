"""Gram matrix and loss changes against autograd loops: equal, and how much faster.

One thread, process CPU time, kernel and loop timed in alternation, median of the ratios. The limit is the least number
of floating-point operations over the rate of a float64 matrix product measured in the same run. The loop over all N
steps of the loss changes is timed on a few sources and scaled; its cost per source does not depend on the source.

Run with ``pytest -m benchmark tests/benchmarks/test_transfer_speed.py``.
"""

from __future__ import annotations

import statistics
from itertools import pairwise

import numpy as np
import pytest
import torch
from measuring import product_rate, seconds
from scipy import sparse
from torch import nn

from collabtheory.transfer import TransferKernels, gram_flops, loss_change_flops

pytestmark = pytest.mark.benchmark

N_USERS, N_SAMPLES, LEARNING_RATE = 256, 4, 1e-3
DECODERS = [(32, 200, 1447), (200, 600, 1447)]
LOOP_SOURCES = 16


def setting(widths):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.Tanh())]
    decoder = nn.Sequential(*layers[:-1]).double()
    popularity = np.arange(1, widths[-1] + 1) ** -0.8
    popularity /= popularity.sum()
    dense = np.zeros((N_USERS, widths[-1]))
    for row in dense:
        row[rng.choice(widths[-1], int(rng.integers(20, 140)), replace=False, p=popularity)] = 1
    return decoder, sparse.csr_array(dense), rng.standard_normal((N_USERS, N_SAMPLES, widths[0]))


def loss(decoder, x, z):
    logits = decoder(z)
    return (x.sum() * torch.logsumexp(logits, 1) - logits @ x).mean()


def autograd_gradient(decoder, x, z):
    pieces = torch.autograd.grad(loss(decoder, x, z), list(decoder.parameters()))
    return torch.cat([piece.reshape(-1) for piece in pieces])


def autograd_gram(decoder, x, codes):
    gradients = torch.stack([autograd_gradient(decoder, *row) for row in zip(x, codes, strict=True)])
    return gradients @ gradients.T


def all_losses(decoder, x, codes):
    with torch.no_grad():
        logits = decoder(codes.flatten(0, 1)).view(N_USERS, N_SAMPLES, -1)
        fit = torch.bmm(logits, x[:, :, None])[:, :, 0]
        return (x.sum(1)[:, None] * torch.logsumexp(logits, 2) - fit).mean(1)


def autograd_changes(decoder, x, codes, sources):
    before = all_losses(decoder, x, codes)
    parameters = list(decoder.parameters())
    saved = [parameter.detach().clone() for parameter in parameters]
    columns = []
    for v in sources:
        pieces = torch.autograd.grad(loss(decoder, x[v], codes[v]), parameters)
        with torch.no_grad():
            for parameter, piece in zip(parameters, pieces, strict=True):
                parameter -= LEARNING_RATE * piece
            columns.append(all_losses(decoder, x, codes) - before)
            for parameter, value in zip(parameters, saved, strict=True):
                parameter.copy_(value)
    return torch.stack(columns, 1)


def relative_error(actual, expected):
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def show(capsys, line):
    with capsys.disabled():
        print(f"\n{line}")


@pytest.mark.parametrize("widths", DECODERS, ids=lambda widths: "-".join(map(str, widths)))
def test_gram_against_an_autograd_loop(widths, capsys):
    decoder, x, codes = setting(widths)
    dense, tensor_codes = torch.from_numpy(x.toarray()), torch.from_numpy(codes)
    kernel_times, ratios = [], []
    for _ in range(4):
        gram, fast = seconds(lambda: TransferKernels(decoder, "multinomial", x, codes).gradient_gram())
        expected, slow = seconds(lambda: autograd_gram(decoder, dense, tensor_codes))
        kernel_times.append(fast)
        ratios.append(slow / fast)
    error = relative_error(gram, expected.numpy())
    limit = gram_flops(widths, N_USERS, N_SAMPLES) / product_rate(torch.float64, pick=min)
    # The first round pays for imports and page faults.
    ratio, median = statistics.median(ratios[1:]), statistics.median(kernel_times[1:])
    show(
        capsys,
        f"Gram {widths}: {median:.3f} s, autograd loop / kernel {ratio:.1f}, kernel / limit {median / limit:.2f}, "
        f"largest error {error:.1e}",
    )
    assert error < 1e-10
    assert ratio > 5


@pytest.mark.parametrize("widths", DECODERS, ids=lambda widths: "-".join(map(str, widths)))
def test_loss_change_against_an_autograd_loop(widths, capsys):
    decoder, x, codes = setting(widths)
    dense, tensor_codes = torch.from_numpy(x.toarray()), torch.from_numpy(codes)
    sources = np.arange(0, N_USERS, N_USERS // LOOP_SOURCES)
    kernel_times, ratios = [], []
    for _ in range(3):
        change, fast = seconds(
            lambda: TransferKernels(decoder, "multinomial", x, codes).step_loss_change(LEARNING_RATE)
        )
        expected, slow = seconds(lambda: autograd_changes(decoder, dense, tensor_codes, sources))
        kernel_times.append(fast)
        ratios.append(slow * N_USERS / LOOP_SOURCES / fast)
    error = relative_error(change[:, sources], expected.numpy())
    limit = loss_change_flops(widths, N_USERS, N_USERS, N_SAMPLES) / product_rate(torch.float64, pick=min)
    ratio, median = statistics.median(ratios), statistics.median(kernel_times)
    show(
        capsys,
        f"Loss change {widths}: {median:.2f} s, autograd loop / kernel {ratio:.2f} (loop: {LOOP_SOURCES} of {N_USERS} "
        f"sources, scaled), kernel / limit {median / limit:.2f}, largest error {error:.1e}",
    )
    assert error < 1e-10
    assert ratio > 0.9
