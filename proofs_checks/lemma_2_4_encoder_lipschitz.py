"""Lemma 2.4: users whose inputs are similar have posteriors that are close."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import nn

from collabtheory.claims import Evidence, Number, Part, Statement, Subject, at_most, check, negative_control
from collabtheory.claims.pair_checks import pair_cases
from collabtheory.claims.pair_statistics import spread
from collabtheory.errors import PremiseNotMet
from collabtheory.latent import encoder_lipschitz, kappa, w2
from collabtheory.models.masking import encoder_input
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import EncoderLayers

LEMMA_2_4 = Statement(
    identifier="lemma_2_4",
    position=4,
    title="Similar inputs have close posteriors",
    source="arXiv:2511.06781, Lemma 2.4; the constants are this project's own",
    text=(
        "W_1(q_x, q_y) <= W_2(q_x, q_y) <= L_phi ||x - y||_1 for binary contents x, y,\n"
        "with L_phi certified from the encoder's weights. For normalised inputs L_phi falls with n = min(n_x, n_y),\n"
        "as ||x/||x|| - y/||y|| ||_2 <= kappa_n ||x - y||_1 with kappa_n = sqrt(2 - 2 sqrt(n/(n+1)))."
    ),
    assumptions=(
        "the encoder is a chain of linear layers and Lipschitz activations",
        "both users are encoded with one and the same mask",
    ),
    proof=(
        "One flipped item moves the (normalised) input by at most kappa_k between sizes k and k + 1; kappa_k decreases.",
        "Add the items that are missing first, then remove the others: every set on the path has at least n items.",
        "Layer norms multiply; sigma = exp(log variance / 2) is Lipschitz because its argument is bounded after a tanh.",
        "W_2 of diagonal Gaussians is the Euclidean distance of (mu, sigma).",
    ),
    limits=(
        "An upper bound only: far inputs may have close posteriors as well.",
        "It says nothing about two independent masks of one user; that is drift (Theorem 2.6).",
        "The constant is a product of norms and loose; the tightness column says by how much.",
    ),
)

LARGEST_SET = 40


@check(LEMMA_2_4, stages="every")
def on_pairs(subject: Subject) -> Evidence:
    """Compare both sides on every pair, for clean inputs and under one shared mask in the model's convention."""
    flips = subject.pairs["input_distance"].to_numpy()
    left, right = _clean_sides(subject)
    clean = _bound("clean", "clean inputs", left, right, flips, pair_cases(subject.pairs))
    return Evidence(
        parts=(_kappa_part("kappa", 0), _masked_part(subject), clean),
        principal="clean",
        numbers={
            "tightness": spread(left[flips > 0] / right[flips > 0], "median of left / right side"),
            "lipschitz_constant": Number(
                _constant(subject, 1, 1.0), "certified L_phi for users with at least one item"
            ),
        },
        notes=(
            f"Masking convention of this model: {_layers(subject).masking}.",
            "The interval of the tightness holds 90 % of the pairs.",
        ),
    )


@negative_control(LEMMA_2_4, "kappa_of_the_larger_set", "kappa of the larger of the two sets", stages="none")
def kappa_of_the_larger_set(subject: Subject) -> Evidence:
    """Refute kappa_{n+1} on nested sets, where kappa_n is attained."""
    return Evidence(parts=(_kappa_part("kappa", 1),))


@negative_control(
    LEMMA_2_4, "average_column", "the average column norm of the first layer in place of the largest", stages="none"
)
def average_column(subject: Subject) -> Evidence:
    """Refute the smaller constant on a linear encoder, where the true constant is attained by flipping one item."""
    rng = subject.rng("linear encoder")
    mean, log_variance = nn.Linear(30, 4).double(), nn.Linear(30, 4).double()
    mean.weight.data = torch.from_numpy(rng.standard_normal((4, 30)) * rng.lognormal(size=30))
    log_variance.weight.data.zero_()
    honest = encoder_lipschitz(nn.Sequential(), mean, log_variance, normalise=False).upper
    norms = np.linalg.norm(mean.weight.detach().numpy(), axis=0)
    flips = np.eye(30)
    posterior = DiagonalGaussian(flips @ mean.weight.detach().numpy().T, np.ones((30, 4)))
    empty = DiagonalGaussian(np.zeros((30, 4)), np.ones((30, 4)))
    distance = np.asarray(w2(posterior, empty))
    claimed = honest * norms.mean() / norms.max()
    return Evidence(
        parts=(
            at_most(
                "clean",
                "W_2 <= L ||x - y||_1 for one flipped item",
                distance,
                np.full(30, claimed),
                cases={"item": np.arange(30)},
            ),
        )
    )


def _kappa_part(name: str, shift: int) -> Part:
    """Compare the distance of normalised sets with kappa, on all nested and disjoint pairs of sizes up to the largest."""
    n_x, n_y, shared = np.meshgrid(*[np.arange(LARGEST_SET + 1)] * 3, indexing="ij")
    possible = (shared <= np.minimum(n_x, n_y)) & (n_x <= n_y) & (n_y > 0)
    n_x, n_y, shared = n_x[possible], n_y[possible], shared[possible]
    cosine = np.where(n_x > 0, shared / np.sqrt(np.maximum(n_x, 1) * n_y), 0.0)
    distance = np.where(n_x > 0, np.sqrt(np.maximum(2.0 - 2.0 * cosine, 0.0)), 1.0)
    flips = n_x + n_y - 2 * shared
    return at_most(
        name,
        "||x/||x|| - y/||y|| ||_2 <= kappa_n ||x - y||_1, every pair of sizes up to 40",
        distance,
        kappa(n_x + shift) * flips,
        cases={"n_x": n_x, "n_y": n_y, "shared": shared},
        premise=flips > 0,
    )


def _clean_sides(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Return both sides of the bound for the clean inputs of every pair."""
    pairs = subject.pairs
    smallest = np.minimum(pairs["n_u"], pairs["n_v"]).to_numpy()
    return pairs["w2"].to_numpy(), _constants(subject, smallest, 1.0) * pairs["input_distance"].to_numpy()


def _masked_part(subject: Subject) -> Part:
    """Encode the table's users under one mask of the items and compare with the constant of the convention in use."""
    layers, users = _layers(subject), subject.users
    kept = subject.rng("shared mask").random(subject.interactions.n_items) < layers.keep_probability
    clean = subject.interactions.matrix[users]
    masked = sparse.csr_array(clean.multiply(kept[None, :]))
    masked.eliminate_zeros()
    posterior, scale = _encode(subject, masked, users)
    # Normalised before masking, it is the clean sets whose sizes and flips bound the difference.
    sets = clean if layers.masking == "normalise_then_mask" else masked
    i, j = np.triu_indices(len(users), 1)
    sizes = np.diff(sets.indptr)
    flips = sizes[i] + sizes[j] - 2 * (sets @ sets.T).toarray()[i, j]
    right = _constants(subject, np.minimum(sizes[i], sizes[j]), scale) * flips
    left = np.asarray(w2(posterior[i], posterior[j]))
    text = f"one mask for both users, convention {layers.masking}"
    return _bound("shared_mask", text, left, right, flips, {"u": users[i], "v": users[j]})


def _bound(
    name: str, where: str, left: np.ndarray, right: np.ndarray, flips: np.ndarray, cases: dict[str, np.ndarray]
) -> Part:
    """Compare both sides where the inputs differ; equal inputs have equal posteriors, which tests nothing."""
    return at_most(name, f"W_2 <= L_phi ||x - y||_1, {where}", left, right, cases=cases, premise=flips > 0)


def _encode(subject: Subject, masked: sparse.csr_array, users: np.ndarray) -> tuple[DiagonalGaussian, float]:
    """Return the posteriors of masked sets, and the factor that the convention puts on its input."""
    layers = _layers(subject)
    if layers.masking != "normalise_then_mask":
        return subject.recommender.posterior(masked), 1.0
    scale = 1.0 / layers.keep_probability
    clean = encoder_input(subject.interactions.matrix[users], "normalise_then_mask", dtype=torch.float64).to_dense()
    inputs = clean * torch.from_numpy((masked.toarray() > 0).astype(np.float64)) * scale
    with torch.no_grad():
        hidden = layers.trunk(inputs)
        mu, log_variance = layers.mean_head(hidden), layers.log_variance_head(hidden)
    return DiagonalGaussian(mu.numpy(), torch.exp(0.5 * log_variance).numpy()), scale


def _constants(subject: Subject, smallest: np.ndarray, scale: float) -> np.ndarray:
    """Return the certified constant of each pair by its smaller set, on a ladder of sizes rounded down."""
    ladder = np.unique(np.concatenate([[0, 1, 2, 3], np.geomspace(4, max(int(smallest.max()), 5), 8).astype(int)]))
    values = np.array([_constant(subject, int(n), scale) for n in ladder])
    return values[np.searchsorted(ladder, smallest, side="right") - 1]


def _constant(subject: Subject, n_min: int, scale: float) -> float:
    layers = _layers(subject)
    return encoder_lipschitz(
        layers.trunk,
        layers.mean_head,
        layers.log_variance_head,
        normalise=layers.masking != "mask_only",
        n_min=n_min,
        input_scale=scale,
    ).upper


def _layers(subject: Subject) -> EncoderLayers:
    if subject.recommender.layers is None:
        raise PremiseNotMet("the encoder's layers are not known, only its outputs")
    return subject.recommender.layers
