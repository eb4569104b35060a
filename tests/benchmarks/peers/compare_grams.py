"""Time Gram matrices of users' gradients, collabtheory and public libraries in alternation in one process.

Reads a job (a JSON file): ``users``, ``items``, ``samples``, ``dtype``, ``pairing``, ``methods`` (names of
``gram_methods``), ``rounds``, ``block`` (users at once where gradients of all do not fit, or null). Prints one JSON
line. One thread, process CPU seconds; the rate of a square product of the same dtype is measured beside each timing.
A method in blocks is timed on one pair of blocks and scaled to all, said so in the record.
"""

from __future__ import annotations

import copy
import ctypes
import importlib.metadata
import json
import statistics
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from gram_methods import GRADIENTS, METHODS, PACKAGES, autograd_gradients, product
from measuring import product_rate, seconds
from scipy import sparse
from torch import nn

from collabtheory.transfer import TransferKernels, gram_flops

HIDDEN, LATENT = 600, 200
REFERENCE_USERS = {False: 48, True: 12}
"""Users whose Gram matrix is also made by autograd in float64; fewer where a gradient takes 100 MB."""


def resident_megabytes(field):
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{field} is not in /proc/self/status")


def peak_megabytes(function):
    """Return what the resident set grows by at most while ``function`` runs."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # Forget the peak so far.
    before = resident_megabytes("VmRSS")
    function()
    return resident_megabytes("VmHWM") - before


def world(job):
    """Return decoder, contents and codes: Zipf popularity, about 80 items a user."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    dtype = getattr(torch, job.dtype)
    decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, job.items)).to(dtype)
    popularity = np.arange(1, job.items + 1) ** -0.8
    popularity /= popularity.sum()
    rows = [rng.choice(job.items, int(rng.integers(20, 140)), replace=False, p=popularity) for _ in range(job.users)]
    ends = np.cumsum([0, *map(len, rows)])
    x = sparse.csr_array((np.ones(ends[-1]), np.concatenate(rows), ends), shape=(job.users, job.items))
    codes = torch.from_numpy(rng.standard_normal((job.users, job.samples, LATENT))).to(dtype)
    return decoder, x, codes


def dense(x, users, dtype):
    return torch.from_numpy(x[:users].toarray()).to(dtype)


def ours(job, decoder, x, codes):
    kernels = TransferKernels(decoder, "multinomial", x, codes, dtype=codes.dtype)
    gram = kernels.gradient_gram(pairing=job.pairing)
    if job.pairing == "same_sample":
        kernels.gradient_gram_standard_error()
    return gram


def errors(gram, reference):
    """Return the largest error relative to the entry, and to the product of the two norms."""
    size = min(len(reference), len(gram))
    reference = reference[:size, :size]
    difference = np.abs(np.asarray(gram, dtype=np.float64)[:size, :size] - reference)
    norms = np.sqrt(np.diag(reference))
    return {
        "elementwise": float((difference / np.abs(reference)).max()),
        "of_norms": float((difference / np.outer(norms, norms)).max()),
    }


def timed_in_blocks(job, name, decoder, x, codes):
    """Return the Gram matrix of the first block, and seconds of all: each pair of blocks makes gradients anew."""
    block, gradients = job.block, GRADIENTS[name]
    content = dense(x, block, codes.dtype)
    parts, of_gradients = seconds(lambda: gradients(decoder, content, codes[:block]))
    gram, of_product = seconds(lambda: product(parts))
    n_blocks = -(-job.users // block)
    return gram, n_blocks * (n_blocks + 1) / 2 * (of_gradients + of_product)


def timed(job, name, decoder, x, codes):
    if job.block and name in GRADIENTS:
        return timed_in_blocks(job, name, decoder, x, codes)
    content = dense(x, job.users, codes.dtype)
    return seconds(lambda: METHODS[name](decoder, content, codes))


def reference_gram(job, decoder, x, codes):
    users = min(job.users, REFERENCE_USERS[job.items > 5000])
    exact = copy.deepcopy(decoder).double()
    return product(autograd_gradients(exact, dense(x, users, torch.float64), codes[:users].double())).numpy()


def compare(job):
    decoder, x, codes = world(job)
    dtype = codes.dtype
    flops = gram_flops((LATENT, HIDDEN, job.items), job.users, job.samples)
    if job.pairing == "same_sample":
        # One product a sample and pair of users instead of one a pair of samples.
        widths = (LATENT, HIDDEN, job.items)
        pairs = job.users**2 * sum(a + b for a, b in pairwise(widths))
        flops += pairs * (job.samples - job.samples**2)
    records, found = [], {}
    for number in range(job.rounds):
        rates, own = [], []
        for _ in range(job.repeats):
            rates.append(product_rate(dtype))
            found["collabtheory"], taken = seconds(lambda: ours(job, decoder, x, codes))
            own.append(taken)
        record = {"collabtheory": statistics.median(own), "limit": flops / statistics.median(rates)}
        record["over_limit"] = statistics.median(t * r / flops for t, r in zip(own, rates, strict=True))
        for name in job.methods:
            gram, record[name] = timed(job, name, decoder, x, codes)
            found[name] = gram.detach().numpy().copy()
            del gram
        records.append({"round": number, "product_rate": statistics.median(rates), "seconds": record})
    peaks = {"collabtheory": peak_megabytes(lambda: ours(job, decoder, x, codes))}
    if not job.growth:
        peaks |= {name: peak_megabytes(lambda name=name: timed(job, name, decoder, x, codes)) for name in job.methods}
    result = {"flops": flops, "rounds": records, "peak_megabytes": peaks}
    reference = reference_gram(job, decoder, x, codes)
    # One product a sample estimates another number than all pairs of samples.
    judged = found if job.pairing == "all" else {name: gram for name, gram in found.items() if name != "collabtheory"}
    return result | {"errors": {name: errors(gram, reference) for name, gram in judged.items()}}


def versions(methods):
    names = {PACKAGES.get(name.split("/")[0]) for name in methods} - {None}
    return {name: importlib.metadata.version(name) for name in sorted(names | {"torch", "numpy", "scipy"})}


if __name__ == "__main__":
    torch.set_num_threads(1)
    job = SimpleNamespace(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(
        json.dumps(compare(job) | {"versions": versions(job.methods), "blas": torch.__config__.show().split("\n")[3]})
    )
