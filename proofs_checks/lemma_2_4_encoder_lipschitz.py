"""Lemma 2.4: users whose inputs are similar have posteriors that are close."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
import torch
from flint import arb
from torch import nn

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
    negative_control,
    step_part,
)
from collabtheory.claims.pair_checks import pair_cases
from collabtheory.claims.pair_statistics import spread
from collabtheory.errors import PremiseNotMet
from collabtheory.latent import (
    EncodedPairs,
    encode_pairs,
    encoder_lipschitz,
    encoder_lipschitz_by_size,
    kappa,
    w2,
)
from collabtheory.latent.encoder_conventions import CONVENTIONS
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import EncoderLayers
from collabtheory.rigor import Comparison, Finding, enclosed, identities, identity, on_every_case, sum_of_squares
from collabtheory.rigor.enclosures import larger, norm, root
from collabtheory.rigor.fixed_cases import on_fixed_cases

K = sympy.Symbol("k", positive=True)
A1, A2, B1, B2, MEAN, S = sympy.symbols("a1 a2 b1 b2 m s", real=True)
G, H, SIGMA, TAU, R = sympy.symbols("g h sigma tau r", nonnegative=True)
LARGEST_SET = 40
PATH_ITEMS = 5


def _one_flip() -> Finding:
    # The k common entries change from 1/sqrt(k) to 1/sqrt(k+1), and one entry from 0 to 1/sqrt(k+1).
    moved = K * (1 / sympy.sqrt(K) - 1 / sympy.sqrt(K + 1)) ** 2 + 1 / (K + 1)
    written_out = (sympy.sqrt(K / (K + 1)) - 1) / sympy.sqrt(K)
    return identities(
        [
            (moved, 2 - 2 * sympy.sqrt(K / (K + 1))),
            (1 / sympy.sqrt(K + 1) - 1 / sympy.sqrt(K), written_out),
        ]
    )


def _kappa_falls() -> Finding:
    return sum_of_squares((K + 1) ** 2 - K * (K + 2), [(1, sympy.Integer(1))])


def _kappa_falls_from_zero() -> Finding:
    return sum_of_squares(1 - (2 - 2 * sympy.sqrt(sympy.Rational(1, 2))), [(sympy.sqrt(2) - 1, sympy.Integer(1))])


def _path() -> Finding:
    def claim(x: tuple[int, ...], y: tuple[int, ...]) -> Comparison:
        path = _add_then_remove(x, y)
        smallest, steps = min(map(sum, path)), len(path) - 1
        flips = [sum(abs(a - b) for a, b in zip(one, other, strict=True)) for one, other in itertools.pairwise(path)]
        left = [smallest, steps, path[-1] == y, max(flips, default=1), min(flips, default=1)]
        right = [min(sum(x), sum(y)), sum(abs(a - b) for a, b in zip(x, y, strict=True)), True, 1, 1]
        return np.array(left, dtype=object) * 1, "==", np.array(right, dtype=object) * 1

    sets = list(itertools.product((0, 1), repeat=PATH_ITEMS))
    cases = ({"x": x, "y": y} for x in sets for y in sets)
    return on_every_case(claim, cases, f"all pairs of subsets of {PATH_ITEMS} items")


def _add_then_remove(x: tuple[int, ...], y: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the sets on the way from x over their union to y, one flipped item at a time."""
    path = [x]
    for wanted in (1, 0):
        for item, target in enumerate(y):
            if target == wanted != path[-1][item]:
                path.append((*path[-1][:item], wanted, *path[-1][item + 1 :]))
    return path


def _columns_add() -> Finding:
    return sum_of_squares((A1**2 + A2**2) * (B1**2 + B2**2) - (A1 * B1 + A2 * B2) ** 2, [(1, A1 * B2 - A2 * B1)])


def _norms_multiply() -> Finding:
    return sum_of_squares((SIGMA + G) * (A1**2 + A2**2) - ((SIGMA + G) * A1**2 + SIGMA * A2**2), [(G, A2)])


def _activation() -> Finding:
    slope = sympy.diff(sympy.tanh(S), S)
    return sum_of_squares(1 - slope, [(1, sympy.tanh(S))])


def _sigma_at_zero() -> Finding:
    f = H - 1 + sympy.exp(-H)
    return identities([(f.subs(H, 0), sympy.Integer(0)), (sympy.diff(f, H).subs(H, 0), sympy.Integer(0))])


def _sigma_convex() -> Finding:
    return sum_of_squares(sympy.diff(H - 1 + sympy.exp(-H), H, 2), [(1, sympy.exp(-H / 2))])


def _w2_attained() -> Finding:
    t = sympy.Symbol("t", real=True)
    polynomial = sympy.Poly(sympy.expand((MEAN + (SIGMA - TAU) * t) ** 2), t)
    moments = {0: 1, 1: 0, 2: 1}
    expected = sum(coefficient * moments[power] for (power,), coefficient in polynomial.terms())
    return identity(expected, MEAN**2 + (SIGMA - TAU) ** 2)


def _w2_least() -> Finding:
    """With covariance (1 - r) sigma tau, r >= 0, the cost exceeds that of the common noise by 2 r sigma tau."""
    cost = MEAN**2 + SIGMA**2 + TAU**2 - 2 * (1 - R) * SIGMA * TAU
    return sum_of_squares(cost - (MEAN**2 + (SIGMA - TAU) ** 2), [(2 * R * SIGMA * TAU, sympy.Integer(1))])


LEMMA_2_4 = Statement(
    identifier="lemma_2_4",
    position=4,
    title="Similar inputs have close posteriors",
    source="arXiv:2511.06781, Lemma 2.4; the constants are this project's own",
    text=(
        r"$W_1(q_x, q_y) \le W_2(q_x, q_y) \le L_\phi \lVert x - y\rVert_1$ for binary contents x, y, with $L_\phi$ "
        r"certified from the encoder's weights. For inputs $N(x) = x/\lVert x\rVert_2$ the constant falls with "
        r"$n = \min(n_x, n_y)$, as $\lVert N(x) - N(y)\rVert_2 \le \kappa_n \lVert x - y\rVert_1$ with "
        r"$\kappa_n = \sqrt{2 - 2\sqrt{n/(n+1)}}$, $\kappa_0 = 1$, which is attained. For the pairs of a given group of "
        r"users $L_\phi$ may use the slopes and the $\sigma$ that occur between them."
    ),
    assumptions=(
        "the encoder is a chain of linear layers and Lipschitz activations",
        "both users are encoded with one and the same mask, or none",
    ),
    proof=(
        Step(
            "one_flip",
            r"One flip between sizes $k \ge 1$ and $k+1$ moves N by exactly $\kappa_k$: "
            r"$k(1/\sqrt{k} - 1/\sqrt{k+1})^2 + 1/(k+1) = 2 - 2\sqrt{k/(k+1)}$. Written out it is "
            r"$(\sqrt{k/(k+1)} - 1) N(x) + e_i/\sqrt{k+1}$, the second form in use.",
            _one_flip,
        ),
        Step(
            "kappa_falls",
            r"$\kappa_k$ falls in k: $k/(k+1) < (k+1)/(k+2)$, as $(k+1)^2 - k(k+2) = 1$.",
            _kappa_falls,
        ),
        Step(
            "kappa_falls_from_zero",
            r"and $\kappa_1 < \kappa_0$: $1 - (2 - \sqrt 2) = \sqrt 2 - 1 > 0$.",
            _kappa_falls_from_zero,
        ),
        Step(
            "path",
            r"Add the items that are missing first, then remove the others: $\lVert x - y\rVert_1$ flips, and no set on "
            "the way is smaller than the smaller of the two (it contains x or y).",
            _path,
        ),
        Step(
            "columns_add",
            r"Flips add up: $\lVert a + b\rVert \le \lVert a\rVert + \lVert b\rVert$ by "
            r"$\langle a,b\rangle^2 \le \lVert a\rVert^2 \lVert b\rVert^2$ (two vectors span a plane), so "
            r"$\lVert W(x - y)\rVert \le \max_i \lVert W_i\rVert \cdot \lVert x - y\rVert_1$.",
            _columns_add,
        ),
        Step(
            "norms_multiply",
            r"A later layer stretches by at most its largest singular value: with $s_1^2 = s_2^2 + g$, "
            r"$s_1^2 (a_1^2 + a_2^2) - (s_1^2 a_1^2 + s_2^2 a_2^2) = g a_2^2$.",
            _norms_multiply,
        ),
        Step(
            "activation",
            r"An activation stretches by at most its largest slope between the two states, tanh by at most 1: "
            r"$1 - \tanh'(s) = \tanh^2 s \ge 0$. A box that holds the states of a group holds all that is between them.",
            _activation,
        ),
        Step(
            "sigma_at_zero",
            r"$\sigma = e^{v/2}$ is $\frac12 e^{M/2}$-Lipschitz on $v \le M$, which is finite after a bounded layer: for "
            r"$h = (v - v')/2 \ge 0$, $e^{v/2} - e^{v'/2} = e^{v/2}(1 - e^{-h}) \le e^{M/2} h$. For $f(h) = h - 1 + e^{-h}$: "
            r"f and f' vanish at 0 (for a group of users, $e^{M/2}$ is its largest $\sigma$),",
            _sigma_at_zero,
        ),
        Step("sigma_convex", r"and f is convex: $f'' = e^{-h} = (e^{-h/2})^2$. So $f \ge 0$.", _sigma_convex),
        Step(
            "w2_attained",
            r"$W_2$ of diagonal Gaussians is the Euclidean distance of $(\mu, \sigma)$: with a common noise "
            r"$\mathbb{E}(m + (\sigma - \tau) t)^2 = m^2 + (\sigma - \tau)^2$ in each coordinate,",
            _w2_attained,
        ),
        Step(
            "w2_least",
            r"and no coupling costs less, as a covariance is at most $\sigma\tau$ "
            r"(at $(1 - r)\sigma\tau$ the cost is larger by $2 r \sigma\tau$). $W_1 \le W_2$ is Jensen's inequality.",
            _w2_least,
        ),
    ),
    limits=(
        "An upper bound only: far inputs may have close posteriors as well.",
        "It says nothing about two independent masks of one user; that is drift (Theorem 2.6).",
        "The constant for all users there could be is a product of norms and loose; the tightness numbers say by how much. "
        "That of a group holds for pairs of its members only.",
    ),
)


def _unit(x: Any) -> Any:
    # The empty set is its own normalisation.
    return x / root(np.sum(x)) if float(np.sum(x)) else x


def _kappa_like(n: Any, smallest: Any) -> Any:
    """Return kappa_n in the arithmetic of its argument; ``smallest`` is a plain number that says whether n is 0."""
    return root(2 - 2 * root(n / (n + 1))) if smallest else n * 0 + 1


def _kappa_of(chosen: Any) -> Any:
    def claim(*, x: np.ndarray, y: np.ndarray) -> Comparison:
        n = chosen(x.sum(), y.sum())
        return norm(_unit(x) - _unit(y)), "<=", _kappa_like(n, float(n)) * np.sum(np.abs(x - y))

    return claim


NORMALISED = Inequality(
    LEMMA_2_4,
    "kappa",
    "||N(x) - N(y)||_2 <= kappa_n ||x - y||_1, n the smaller size",
    variables={name: Variable(("item",), low=0, high=1, kind="binary") for name in ("x", "y")},
    axes={"item": (1, 6)},
    claim=_kappa_of(min),
)
KAPPA_OF_THE_LARGER_SET = NORMALISED.false_twin(
    "kappa_of_the_larger_set", "kappa of the larger of the two sets", _kappa_of(max)
)


def _largest_column(weight: Any) -> Any:
    return _largest(norm(weight, axis=0))


def _average_column(weight: Any) -> Any:
    return np.sum(norm(weight, axis=0)) / weight.shape[1]


def _largest(values: Any) -> Any:
    most = values[0]
    for value in values[1:]:
        most = larger(most, value)
    return most


def _first_layer(column: Any) -> Any:
    def claim(*, weight: np.ndarray, x: np.ndarray, y: np.ndarray) -> Comparison:
        return norm(weight @ (x - y)), "<=", column(weight) * np.sum(np.abs(x - y))

    return claim


FIRST_LAYER = Inequality(
    LEMMA_2_4,
    "first_layer",
    "||W x - W y||_2 <= (largest column norm of W) ||x - y||_1",
    variables={"weight": Variable(("unit", "item")), **NORMALISED.variables},
    axes={"unit": (1, 3), "item": (1, 5)},
    claim=_first_layer(_largest_column),
)
AVERAGE_COLUMN = FIRST_LAYER.false_twin(
    "average_column", "the average column norm in place of the largest", _first_layer(_average_column)
)


def _encoder(sigma_head: bool) -> Any:
    """Return the claim for a tanh encoder of one hidden layer; Frobenius norms stand in for spectral ones."""

    def claim(*, trunk: np.ndarray, mean: np.ndarray, log_variance: np.ndarray, x: Any, y: Any) -> Comparison:
        hidden = [np.tanh(trunk @ one) for one in (x, y)]
        posteriors = [np.concatenate([mean @ one, np.exp(log_variance @ one / 2)]) for one in hidden]
        half_sigma = np.exp(np.sum(np.abs(log_variance), axis=1) / 2) / 2
        heads = np.concatenate([mean, half_sigma[:, None] * log_variance]) if sigma_head else mean
        constant = norm(heads) * _largest_column(trunk)
        return norm(posteriors[0] - posteriors[1]), "<=", constant * np.sum(np.abs(x - y))

    return claim


ENCODER = Inequality(
    LEMMA_2_4,
    "encoder",
    "W_2(q_x, q_y) <= L_phi ||x - y||_1 for a tanh encoder with both heads",
    variables={
        "trunk": Variable(("unit", "item")),
        "mean": Variable(("latent", "unit")),
        "log_variance": Variable(("latent", "unit")),
        **NORMALISED.variables,
    },
    axes={"unit": (1, 3), "item": (1, 4), "latent": (1, 2)},
    claim=_encoder(True),
)
WITHOUT_THE_SIGMA_HEAD = ENCODER.false_twin(
    "without_the_sigma_head", "the constant of the mean head alone", _encoder(False)
)


@check(LEMMA_2_4, stages="none")
def certified(subject: Subject) -> Evidence:
    """Decide kappa exactly on every pair of sizes up to the largest, its float64 values, and a whole small encoder."""
    return Evidence(
        parts=(
            _kappa_part(min),
            step_part("kappa_attained", "equality on every nested pair of sizes n, n + 1", _attained()),
            step_part("kappa_in_float64", "the function kappa is right to 1e-15", _kappa_values()),
            *(
                step_part(
                    f"small_encoder_{masking}", "W_2 <= L_phi ||x - y||_1 for every pair of sets", _small(masking)
                )
                for masking in CONVENTIONS
            ),
        ),
        principal="kappa",
    )


@check(LEMMA_2_4, stages="every")
def on_pairs(subject: Subject) -> Evidence:
    """Compare both sides on every pair: clean, and under one mask for all, in each of the three conventions.

    Each with the constant for all users there could be, and with the one for the users at hand.
    """
    layers, pairs = _layers(subject), subject.pairs
    flips, left, right = (values.to_numpy() for values in (pairs["input_distance"], pairs["w2"], _right_side(subject)))
    kept = subject.rng("shared mask").random(subject.interactions.n_items) < layers.keep_probability
    contents = subject.interactions.matrix[subject.users]
    runs = {f"shared_mask_{rule}": encode_pairs(layers, contents, rule, kept=kept) for rule in CONVENTIONS}
    runs |= {
        "clean_normalised": encode_pairs(layers, contents, "mask_then_normalise"),
        "clean_unnormalised": encode_pairs(layers, contents, "mask_only"),
    }
    return Evidence(
        parts=(
            *(part for name, found in runs.items() for part in _encoded_parts(subject, name, found)),
            at_most(
                "clean",
                "W_2 <= L_phi ||x - y||_1, clean inputs",
                left,
                right,
                cases=pair_cases(pairs),
                premise=flips > 0,
            ),
        ),
        principal="clean",
        numbers={
            "tightness": spread(left[flips > 0] / right[flips > 0], "left / right side, clean inputs"),
            **{
                f"tightness_{name}": spread(found.tightness, f"the same, {_words(name)}")
                for name, found in runs.items()
            },
            **{
                f"tightness_group_{name}": spread(
                    found.group_tightness, f"with the constant of the group, {_words(name)}"
                )
                for name, found in runs.items()
            },
            "lipschitz_constant": Number(
                float(_constants(layers, [1])[0]), "certified L_phi for users with at least one item"
            ),
        },
        notes=(
            f"Masking convention of this model: {layers.masking}. The other conventions are checked on the same layers.",
            "The intervals of the tightness hold 90 % of the pairs.",
        ),
    )


@negative_control(LEMMA_2_4, "kappa_of_the_larger_set", "kappa of the larger of the two sets", stages="none")
def kappa_of_the_larger_set(subject: Subject) -> Evidence:
    """Refute kappa of the larger size on nested sets, where kappa of the smaller one is attained."""
    return Evidence(parts=(_kappa_part(max),))


@negative_control(LEMMA_2_4, "average_column", "the average column norm in place of the largest", stages="none")
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
    claimed = np.full(30, honest * norms.mean() / norms.max())
    text = "W_2 <= L ||x - y||_1 for one flipped item"
    return Evidence(parts=(at_most("clean", text, distance, claimed, cases={"item": np.arange(30)}),))


def _kappa_part(chosen: Any) -> Part:
    """Decide the bound in integers on all pairs of sets by their sizes and overlap, which are all that matters.

    For sizes a <= b, overlap s, n = a or b and d = a + b - 2 s, the square of the bound is, times the positive
    ``sqrt(a b (n + 1))`` and rearranged, ``d^2 sqrt(a b n) <= (d^2 - 1) sqrt(a b (n + 1)) + s sqrt(n + 1)``. Squared
    once more it is ``P <= Q + 2 U sqrt(a b)`` with integers, where ``U = (d^2 - 1) s (n + 1)``.
    """

    def claim(n_x: int, n_y: int, shared: int) -> Comparison | None:
        d, n = n_x + n_y - 2 * shared, chosen(n_x, n_y)
        if d == 0:
            return None
        if n_x == 0:
            # N(y) has length 1. kappa_n^2 = 2 - 2 sqrt(n/(n+1)) is at most 1, and 1 for n = 0 only.
            return (1, "<=", d * d) if n == 0 else ((d * d) ** 2 * 4 * n, "<=", (2 * d * d - 1) ** 2 * (n + 1))
        excess = d**4 * n_x * n_y * n - (d * d - 1) ** 2 * n_x * n_y * (n + 1) - shared**2 * (n + 1)
        mixed = 2 * (d * d - 1) * shared * (n + 1)
        return (excess, "<=", 0) if mixed == 0 or excess <= 0 else (excess**2, "<=", mixed**2 * n_x * n_y)

    sizes = range(LARGEST_SET + 1)
    grid = ({"n_x": a, "n_y": b, "shared": s} for a in sizes for b in sizes[a:] for s in range(a + 1))
    found = on_every_case(claim, grid, f"all pairs of sets of up to {LARGEST_SET} items, by sizes and overlap")
    return step_part("kappa", "||N(x) - N(y)||_2 <= kappa_n ||x - y||_1", found)


def _attained() -> Finding:
    """Square of the distance of nested sets, ``2 - 2 n / sqrt(n (n + 1))``, against that of kappa_n, squared again."""

    def claim(n: int) -> Comparison:
        return Fraction(n * n, n * (n + 1)), "==", Fraction(n, n + 1)

    return on_every_case(claim, ({"n": n} for n in range(1, 1001)), "n = 1, ..., 1000")


def _kappa_values() -> Finding:
    sizes = np.array([*range(1, 200), 10**4, 10**6, 10**9, 10**12])

    def evaluate() -> Comparison:
        exact = np.array([(2 - 2 * (arb(int(n)) / (int(n) + 1)).sqrt()).sqrt() for n in sizes], dtype=object)
        given = np.array([arb(float(value)) for value in kappa(sizes)], dtype=object)
        return np.abs(given / exact - 1), "<=", arb("1e-15")

    return on_fixed_cases(evaluate, "n = 1, ..., 199, 1e4, 1e6, 1e9, 1e12")


SMALL_ITEMS, SMALL_HIDDEN, SMALL_LATENT = 5, 3, 2
SMALL_MASK = (1, 1, 0, 1, 1)


def _small(masking: str) -> Finding:
    """Compare the package's constant with W_2 in intervals, on a fixed encoder and every pair of its sets of items."""
    weights = _small_weights()
    layers = [nn.Linear(weight.shape[1], weight.shape[0], bias=False).double() for weight in weights]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data = torch.from_numpy(weight)
    constants = encoder_lipschitz_by_size(
        nn.Sequential(layers[0], nn.Tanh()), layers[1], layers[2], np.arange(SMALL_ITEMS + 1),
        normalise=masking != "mask_only", input_scale=2.0 if masking == "normalise_then_mask" else 1.0,
    )  # fmt: skip
    users = [_small_user(np.array(x), masking) for x in itertools.product((0, 1), repeat=SMALL_ITEMS)]

    def evaluate() -> Comparison:
        codes = [_small_code([enclosed(weight) for weight in weights], *user) for user in users]
        left, right = [], []
        for (x, code), (y, other) in itertools.combinations(codes, 2):
            flips = int(np.abs(x - y).sum())
            if flips:
                left.append(norm(code - other))
                right.append(arb(float(constants[min(x.sum(), y.sum())])) * flips)
        return np.array(left, dtype=object), "<=", np.array(right, dtype=object)

    return on_fixed_cases(evaluate, f"pairs of subsets of {SMALL_ITEMS} items that differ, one mask, {masking}")


def _small_weights() -> list[np.ndarray]:
    """Return fixed dyadic weights of both signs, exact in float64 and in intervals: trunk, mean, log-variance."""
    shapes = ((SMALL_HIDDEN, SMALL_ITEMS), (SMALL_LATENT, SMALL_HIDDEN), (SMALL_LATENT, SMALL_HIDDEN))
    return [((np.arange(a * b) * 7 % 17 - 8) / 8.0).reshape(a, b) for a, b in shapes]


def _small_user(x: np.ndarray, masking: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the set that the constant speaks of, what enters the first layer, and the size that it is divided by.

    The factor 2 is 1 / rho at rho = 1/2; a size of 0 says "not normalised".
    """
    masked = x * SMALL_MASK
    if masking == "normalise_then_mask":
        return x, 2 * masked, int(x.sum())
    return masked, masked, int(masked.sum()) if masking == "mask_then_normalise" else 0


def _small_code(weights: list[np.ndarray], x: np.ndarray, entries: np.ndarray, size: int) -> tuple[Any, Any]:
    trunk, mean, log_variance = weights
    inputs = trunk @ entries.astype(object)
    hidden = np.tanh(inputs / arb(size).sqrt() if size else inputs)
    return x, np.concatenate([mean @ hidden, np.exp(log_variance @ hidden / 2)])


def _encoded_parts(subject: Subject, name: str, found: EncodedPairs) -> tuple[Part, Part]:
    """Compare both sides where the inputs differ; equal inputs have equal posteriors, which tests nothing."""
    cases = {"u": subject.users[found.first], "v": subject.users[found.second]}
    return tuple(
        at_most(prefix + name, f"{text}, {_words(name)}", found.distance, bound, cases=cases, premise=found.flips > 0)
        for prefix, text, bound in (
            ("", "W_2 <= L_phi ||x - y||_1", found.bound),
            ("group_", "the same with the constant of this group of users", found.group_bound),
        )
    )  # type: ignore[return-value]


def _words(name: str) -> str:
    return name.replace("shared_mask_", "shared mask, ").replace("clean_", "clean inputs, ").replace("_", " ")


def _right_side(subject: Subject) -> Any:
    """Return the bound for the clean inputs of every pair of the table."""
    pairs = subject.pairs
    smallest = np.minimum(pairs["n_u"], pairs["n_v"]).to_numpy()
    constants = _constants(_layers(subject), np.arange(smallest.max() + 1))
    return constants[smallest] * pairs["input_distance"]


def _constants(layers: EncoderLayers, sizes: Any) -> np.ndarray:
    return encoder_lipschitz_by_size(
        layers.trunk, layers.mean_head, layers.log_variance_head, sizes, normalise=layers.masking != "mask_only"
    )


def _layers(subject: Subject) -> EncoderLayers:
    if subject.recommender.layers is None:
        raise PremiseNotMet("the encoder's layers are not known, only its outputs")
    return subject.recommender.layers
