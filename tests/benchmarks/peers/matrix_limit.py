"""Time the matrix products that training needs at least, on one core: the machine's limit.

Dense layers are timed at their own shapes as the three products of a gradient step (forward, gradient of the input,
gradient of the weights) by ``torch.mm`` in float32; the sparse first layer counts by its nonzeros at the best of those
rates. EASE counts by its operations at the rate of a float64 product. Optimiser, loss, masking and batching are free.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from protocol import run

REPEATS = 5


class Products:
    """Measured seconds of products, each shape once."""

    def __init__(self):
        self.seconds, self.best_rate = {}, 0.0

    def __call__(self, m, k, n):
        import torch

        if (m, k, n) not in self.seconds:
            # Rows of the result begin at aligned addresses: some widths are half as fast again then.
            a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, -(-n // 16) * 16)[:, :n]
            times = []
            for _ in range(REPEATS + 1):
                start = time.process_time()
                torch.mm(a, b, out=out)
                times.append(time.process_time() - start)
            seconds = statistics.median(times[1:])
            self.seconds[m, k, n] = seconds
            self.best_rate = max(self.best_rate, 2 * m * k * n / seconds)
        return self.seconds[m, k, n]

    def layer(self, batch, inputs, outputs, *, forward=1, input_gradient=1, weight_gradient=1):
        """Return the seconds of one batch in one dense layer."""
        return (
            forward * self(batch, inputs, outputs)
            + input_gradient * self(batch, outputs, inputs)
            + weight_gradient * self(inputs, batch, outputs)
        )


def batches(users, size):
    return users / size


def mult_vae_seconds(job, train):
    """Return the seconds of an epoch. The input is masked: half of its nonzeros, forward and weight gradient."""
    products = Products()
    dense = [(job.hidden, 2 * job.latent), (job.latent, job.hidden), (job.hidden, train.shape[1])]
    seconds = sum(products.layer(job.batch_size, *shape) for shape in dense) * batches(train.shape[0], job.batch_size)
    return seconds + 2 * 2 * 0.5 * train.nnz * job.hidden / products.best_rate


def rec_vae_seconds(job, train):
    """Return the seconds of an epoch: three passes for the encoder (its old self and the decoder frozen), one more."""
    products, size = Products(), job.batch_size
    inner = [(job.hidden, job.hidden)] * 4 + [(job.hidden, 2 * job.latent)]
    decoder = (job.latent, train.shape[1])
    frozen = {"input_gradient": 0, "weight_gradient": 0}
    encoder_pass = sum(products.layer(size, *shape) + products.layer(size, *shape, **frozen) for shape in inner)
    encoder_pass += products.layer(size, *decoder, weight_gradient=0)
    decoder_pass = sum(products.layer(size, *shape, **frozen) for shape in inner)
    decoder_pass += products.layer(size, *decoder, input_gradient=0)
    seconds = (3 * encoder_pass + decoder_pass) * batches(train.shape[0], size)
    # Nonzeros of the first layer: masked twice and clean once in each encoder pass, clean once in the decoder's.
    sparse = 2 * train.nnz * job.hidden * (3 * (2 * 0.5 + 1) + 1)
    return seconds + sparse / products.best_rate


def ease_seconds(job, train):
    """Return the seconds of a fit: half of the Gram matrix by nonzeros, and a Cholesky inverse."""
    import torch

    size = min(train.shape[1], 2048)
    a, b, out = torch.randn(3, size, size, dtype=torch.float64).unbind()
    times = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        torch.mm(a, b, out=out)
        times.append(time.process_time() - start)
    rate = 2 * size**3 / statistics.median(times[1:])
    sizes = np.diff(train.indptr).astype(np.float64)
    return ((sizes * (sizes + 1)).sum() + float(train.shape[1]) ** 3) / rate


def limit(seconds_of):
    def trainer(job, train, watch):
        import torch

        torch.set_num_threads(1)
        seconds = seconds_of(job, train)
        watch.cpu, watch.wall = [seconds], [seconds]

    return trainer


if __name__ == "__main__":
    run(
        "matrix products",
        ("torch", "numpy"),
        {"mult_vae": limit(mult_vae_seconds), "rec_vae": limit(rec_vae_seconds), "ease": limit(ease_seconds)},
    )
