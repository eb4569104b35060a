"""Gram matrices of users' decoder gradients by public libraries: each a function of (decoder, x, codes).

``decoder`` is a chain of Linear and Tanh, ``x`` ``(N, I)`` dense, ``codes`` ``(N, S, d)``, all of one dtype. Each
method is used the way that favours it: a user's samples are one example where a library takes inputs with three axes,
so that it forms ``N`` and not ``N S`` gradients.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn


def losses(logits, x):
    """Return the multinomial loss of each user, ``(B, S, I)`` logits to ``(B,)``."""
    return (x.sum(1)[:, None] * torch.logsumexp(logits, 2) - (logits * x[:, None]).sum(2)).mean(1)


def product(parts):
    """Return the Gram matrix of gradients given as one tensor ``(N, ...)`` a parameter."""
    flat = [part.reshape(len(part), -1) for part in parts]
    total = torch.mm(flat[0], flat[0].T)
    for part in flat[1:]:
        total.addmm_(part, part.T)
    return total


def autograd_loop(decoder, x, codes):
    return product(list(autograd_gradients(decoder, x, codes)))


def autograd_gradients(decoder, x, codes):
    parameters = list(decoder.parameters())
    stacked = [torch.empty(len(x), *p.shape, dtype=p.dtype) for p in parameters]
    for u in range(len(x)):
        loss = losses(decoder(codes[u : u + 1]), x[u : u + 1])[0]
        for target, piece in zip(stacked, torch.autograd.grad(loss, parameters), strict=True):
            target[u] = piece
    return stacked


def torch_func(decoder, x, codes):
    return product(torch_func_gradients(decoder, x, codes))


def torch_func_gradients(decoder, x, codes):
    from torch.func import functional_call, grad, vmap

    theta = {name: value.detach() for name, value in decoder.named_parameters()}

    def loss(t, content, z):
        return losses(functional_call(decoder, t, (z[None],)), content[None])[0]

    return list(vmap(grad(loss), in_dims=(None, 0, 0))(theta, x, codes).values())


def backpack(decoder, x, codes):
    return product(backpack_gradients(decoder, x, codes))


def backpack_gradients(decoder, x, codes):
    from backpack import backpack as extended
    from backpack import extend
    from backpack.extensions import BatchGrad

    model = extend(copy.deepcopy(decoder))
    with extended(BatchGrad()):
        losses(model(codes), x).sum().backward()
    return [parameter.grad_batch for parameter in model.parameters()]


def opacus(decoder, x, codes):
    from opacus import GradSampleModule

    model = GradSampleModule(copy.deepcopy(decoder), loss_reduction="sum")
    losses(model(codes), x).sum().backward()
    return product([parameter.grad_sample for parameter in model.parameters()])


def torchjd(decoder, x, codes):
    from torchjd.autogram import Engine

    model = copy.deepcopy(decoder)
    engine = Engine(model, batch_dim=0)
    return engine.compute_gramian(losses(model(codes), x))


class _Pairs(torch.utils.data.Dataset):
    def __init__(self, *tensors):
        self.tensors = tensors

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)


def captum(decoder, x, codes):
    from captum.influence import TracInCP

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracin = TracInCP(
            decoder,
            _Pairs(codes, x),
            ["the decoder as it is"],
            checkpoints_load_func=lambda model, path: 1.0,
            loss_fn=_SummedLoss(),
            batch_size=len(x),
            sample_wise_grads_per_batch=True,
        )
        return tracin.influence((codes, x)).detach()


class _SummedLoss(nn.Module):
    reduction = "sum"

    def forward(self, logits, x):
        return losses(logits, x).sum()


class NNGeometry:
    """``GramMatrix`` on single samples (it takes inputs with two axes), pooled; ``n_batches`` as tuned."""

    def __init__(self, n_batches):
        self.n_batches = n_batches

    def __call__(self, decoder, x, codes):
        from nngeometry import GramMatrix
        from torch.utils.data import DataLoader

        n_users, n_samples = codes.shape[:2]
        rows = codes.flatten(0, 1).clone()
        owners = torch.arange(n_users).repeat_interleave(n_samples)

        def loss(*batch):
            return losses(decoder(batch[0])[:, None], x[batch[1]])[:, None]

        loader = DataLoader(torch.utils.data.TensorDataset(rows, owners), batch_size=-(-len(rows) // self.n_batches))
        full = GramMatrix(model=decoder, loader=loader, function=loss).data
        shape = (n_users, n_samples, n_users, n_samples)
        return full.reshape(shape).mean((1, 3))


METHODS = {
    "autograd loop": autograd_loop,
    "torch.func": torch_func,
    "BackPACK": backpack,
    "Opacus": opacus,
    "TorchJD": torchjd,
    "captum": captum,
    **{f"nngeometry/{n}": NNGeometry(n) for n in (1, 2, 4)},
}
GRADIENTS = {"BackPACK": backpack_gradients, "torch.func": torch_func_gradients}
"""Those that can go through users in blocks: the gradients of some, one tensor a parameter."""

PACKAGES = {
    "BackPACK": "backpack-for-pytorch",
    "Opacus": "opacus",
    "TorchJD": "torchjd",
    "captum": "captum",
    "nngeometry": "nngeometry",
}
