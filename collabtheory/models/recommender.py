"""What the theory needs of any model: how it encodes, how it decodes, and its likelihood."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from torch import nn

from collabtheory.errors import InvalidInput
from collabtheory.models.autoencoder import Autoencoder
from collabtheory.models.likelihoods import get_likelihood
from collabtheory.models.mult_vae import MultVAE
from collabtheory.models.posterior import DiagonalGaussian


@dataclass(frozen=True)
class EncoderLayers:
    """The pieces of an encoder whose Lipschitz constant is to be certified."""

    trunk: nn.Sequential
    mean_head: nn.Linear
    log_variance_head: nn.Linear
    masking: str
    keep_probability: float


@dataclass(frozen=True)
class Recommender:
    """A model as two plain callables; nothing downstream knows which model it is.

    Parameters
    ----------
    encode
        Maps contents (CSR, ``(users, items)``) to ``(mu, sigma)``, each ``(users, d)``, without masking or sampling.
    decoder
        Module from codes ``(..., d)`` to logits ``(..., items)``.
    likelihood
        Name of its likelihood.
    layers
        The encoder's layers, where they are known; without them Lemma 2.4 cannot be certified.
    item_anchors
        PIA anchors ``(items, d)``, where the model was trained with them.
    encode_masked
        As ``encode``, with inputs masked as in training by a draw from the generator; where it is known.
    """

    encode: Callable[[sparse.csr_array], tuple[np.ndarray, np.ndarray]]
    decoder: nn.Module
    likelihood: str
    layers: EncoderLayers | None = None
    item_anchors: np.ndarray | None = None
    encode_masked: Callable[[sparse.csr_array, np.random.Generator], tuple[np.ndarray, np.ndarray]] | None = None

    def __post_init__(self) -> None:
        get_likelihood(self.likelihood)
        if not isinstance(self.decoder, nn.Module):
            raise InvalidInput(f"decoder must be a torch.nn.Module; it is {type(self.decoder).__name__}")

    def posterior(self, contents: sparse.csr_array) -> DiagonalGaussian:
        """Return the posteriors of the users in ``contents``."""
        mu, sigma = self.encode(contents)
        return DiagonalGaussian(mu, sigma)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the decoder's (and, where known, the encoder's) layers and weights."""
        digest = hashlib.sha256(f"{self.likelihood}\0{self.decoder}".encode())
        modules: list[nn.Module] = [self.decoder]
        if self.layers is not None:
            modules += [self.layers.trunk, self.layers.mean_head, self.layers.log_variance_head]
        for module in modules:
            for name, tensor in module.state_dict().items():
                digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def from_autoencoder(model: Autoencoder) -> Recommender:
    """Return a model of this package as a :class:`Recommender`, in float64, so that verdicts do not hang on rounding.

    Raises
    ------
    InvalidInput
        When posteriors are asked of a model whose codes are not random.
    """
    model = copy.deepcopy(model).cpu().double().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    def encode(contents: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        return model.posterior(contents).numpy()

    def encode_masked(contents: sparse.csr_array, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return model.posterior(contents, rng=rng).numpy()

    anchors = None if model.item_anchors is None else model.item_anchors.detach().numpy()
    layers = _layers(model) if isinstance(model, MultVAE) else None
    return Recommender(encode, model.decoder, model.spec.likelihood, layers, anchors, encode_masked)


def from_mult_vae(model: MultVAE) -> Recommender:
    """Return a Mult-VAE as a :class:`Recommender` whose encoder can be certified, in float64."""
    return from_autoencoder(model)


def _layers(model: MultVAE) -> EncoderLayers:
    return EncoderLayers(
        model.trunk, model.mean_head, model.log_variance_head, model.spec.masking, model.spec.keep_probability
    )
