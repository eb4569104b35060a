"""Small worlds and oracles by plain autograd; nothing here uses the kernels or the package's likelihoods."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn


@dataclass
class World:
    decoder: nn.Module
    x: np.ndarray
    codes: np.ndarray

    @property
    def n_users(self) -> int:
        return len(self.x)


def loss_of(likelihood: str, logits: Tensor, x: Tensor) -> Tensor:
    """Mean over the S rows of the loss of one user's content at S codes."""
    if likelihood == "multinomial":
        partition = x.sum() * torch.logsumexp(logits, 1)
    elif likelihood == "bernoulli":
        partition = nn.functional.softplus(logits, threshold=700).sum(1)
    elif likelihood == "gaussian":
        partition = 0.5 * (logits**2).sum(1)
    else:
        partition = logits.exp().sum(1)
    return (partition - logits @ x).mean()


class Oracle:
    """Autograd loops over one world in float64."""

    def __init__(self, world: World, likelihood: str, scale: str = "user") -> None:
        self.likelihood, self.scale = likelihood, scale
        self.decoder = copy.deepcopy(world.decoder).double().eval().requires_grad_(True)
        self.parameters = list(self.decoder.parameters())
        self.x = torch.as_tensor(world.x, dtype=torch.float64)
        self.codes = torch.as_tensor(world.codes, dtype=torch.float64)

    def weight(self, u: int) -> float:
        n = float(self.x[u].sum())
        return 1.0 if self.scale == "user" else (1.0 / n if n else 0.0)

    def loss(self, u: int, z: Tensor, decoder: nn.Module | None = None) -> Tensor:
        return self.weight(u) * loss_of(self.likelihood, (decoder or self.decoder)(z), self.x[u])

    def gradient(self, u: int, z: Tensor, *, graph: bool = False) -> Tensor:
        pieces = torch.autograd.grad(self.loss(u, z), self.parameters, create_graph=graph, materialize_grads=True)
        return torch.cat([piece.reshape(-1) for piece in pieces])

    def gradients(self) -> Tensor:
        return torch.stack([self.gradient(u, self.codes[u]) for u in range(len(self.x))])

    def sample_gradients(self) -> Tensor:
        n, s = self.codes.shape[:2]
        return torch.stack(
            [torch.stack([self.gradient(u, self.codes[u, t : t + 1]) for t in range(s)]) for u in range(n)]
        )

    def gram(self) -> np.ndarray:
        g = self.gradients()
        return (g @ g.T).numpy()

    def mismatch(self) -> np.ndarray:
        n = len(self.x)
        own = self.gradients()
        return np.array(
            [[float((self.gradient(u, self.codes[v]) - own[v]).norm()) for v in range(n)] for u in range(n)]
        )

    def alignment(self) -> np.ndarray:
        n = len(self.x)
        own = self.gradients()
        return np.array([[float(own[u] @ self.gradient(v, self.codes[u])) for v in range(n)] for u in range(n)])

    def slopes(self, n_samples: int) -> np.ndarray:
        n = len(self.x)
        own = self.gradients()
        result = np.zeros((n, n))
        for u in range(n):
            for v in range(n):
                for s in range(n_samples):
                    z = self.codes[u, s : s + 1].clone().requires_grad_(True)
                    value = own[u] @ self.gradient(v, z, graph=True)
                    (slope,) = torch.autograd.grad(value, z, materialize_grads=True)
                    result[u, v] = max(result[u, v], float(slope.norm()))
        return result

    def loss_change(self, learning_rate: float) -> np.ndarray:
        n = len(self.x)
        result = np.zeros((n, n))
        for v in range(n):
            moved = copy.deepcopy(self.decoder)
            optimiser = torch.optim.SGD(moved.parameters(), lr=learning_rate)
            self.loss(v, self.codes[v], moved).backward()
            optimiser.step()
            with torch.no_grad():
                for u in range(n):
                    result[u, v] = self.loss(u, self.codes[u], moved) - self.loss(u, self.codes[u])
        return result


def chain(widths: tuple[int, ...], activation: type[nn.Module] = nn.Tanh, bias: bool = True) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs, bias=bias), activation()]
    return nn.Sequential(*layers[:-1])


def build_world(
    decoder: nn.Module | None = None,
    *,
    widths: tuple[int, ...] = (3, 7, 11),
    n_users: int = 6,
    n_samples: int = 3,
    seed: int = 0,
    bias: bool = True,
    activation: type[nn.Module] = nn.Tanh,
) -> World:
    """Users 0 and 1 have the same content, user 2 has none; the rest are random."""
    rng = np.random.default_rng(seed)
    decoder = chain(widths, activation, bias) if decoder is None else decoder
    decoder = decoder.double()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.from_numpy(0.6 * rng.standard_normal(tuple(parameter.shape))))
    x = (rng.random((n_users, widths[-1])) < 0.4).astype(float)
    if n_users > 2:
        x[1] = x[0]
        x[2] = 0
    codes = rng.standard_normal((n_users, n_samples, widths[0]))
    return World(decoder, x, codes)


@pytest.fixture
def make_world() -> Callable[..., World]:
    return build_world


@pytest.fixture
def make_oracle() -> Callable[..., Oracle]:
    return Oracle


@pytest.fixture
def make_chain() -> Callable[..., nn.Module]:
    return chain


@pytest.fixture
def close() -> Callable[[object, object], None]:
    """Equality to 1e-10 of the largest entry."""

    def check(actual: object, expected: object, relative: float = 1e-10) -> None:
        actual, expected = np.asarray(actual), np.asarray(expected)
        assert actual.shape == expected.shape
        assert np.isfinite(expected).all()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=relative, atol=relative * max(scale, 1e-300))

    return check
