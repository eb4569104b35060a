"""The KL term: what it consists of, that it bounds distances, and what a larger beta does to them."""

from __future__ import annotations

import itertools
from typing import Any, cast

import numpy as np
import sympy
import torch
from flint import arb

from collabtheory.claims import (
    Coverage,
    Evidence,
    Inequality,
    Number,
    Part,
    Rigor,
    Statement,
    Step,
    Subject,
    Variable,
    Verdict,
    at_most,
    check,
    negative_control,
    step_part,
)
from collabtheory.claims.pair_checks import pair_cases
from collabtheory.claims.pair_statistics import spread
from collabtheory.errors import PremiseNotMet
from collabtheory.latent import (
    Contraction,
    KLDecomposition,
    collapse,
    contraction,
    decompose_kl,
    kl_per_unit,
    w2,
    w2_to_prior,
)
from collabtheory.latent.enclosed_kl import enclosed_decomposition
from collabtheory.models.masking import encoder_input
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.specification import Masking
from collabtheory.rigor import (
    Comparison,
    Finding,
    identities,
    identity,
    sum_of_squares,
    working_precision,
)
from collabtheory.rigor.enclosures import larger, norm, root, smaller, softmax, x_log_x
from collabtheory.rigor.fixed_cases import on_fixed_cases
from collabtheory.stats import Estimate, grouped_jackknife

A, B, C, M, T, MU = sympy.symbols("a b c m t mu", positive=True)
A1, A2, B1, B2 = sympy.symbols("a1 a2 b1 b2", real=True)
S, TAU, LAM, BETA, W1, W2, PRIOR = sympy.symbols("sigma tau lambda beta w_1 w_2 p", positive=True)
G, H, GAIN, BETA0 = sympy.symbols("g h lambda_0 beta_0", nonnegative=True)


def _split() -> Finding:
    """Sum over two users of one code's terms; a and b are the users' densities there, p the prior's."""
    mixture = W1 * A + W2 * B
    left = W1 * A * sympy.log(A / PRIOR) + W2 * B * sympy.log(B / PRIOR)
    right = W1 * A * sympy.log(A / mixture) + W2 * B * sympy.log(B / mixture) + mixture * sympy.log(mixture / PRIOR)
    return identity(sympy.expand_log(left, force=True), sympy.expand_log(right, force=True))


def _split_gaussian() -> Finding:
    """X ~ N(0, tau^2) and q(z|x) = N(x, sigma^2), so that the aggregate is N(0, tau^2 + sigma^2)."""
    rate = (TAU**2 + S**2 - 1 - sympy.log(S**2)) / 2
    information = sympy.log(1 + TAU**2 / S**2) / 2
    aggregate = (TAU**2 + S**2 - 1 - sympy.log(TAU**2 + S**2)) / 2
    return identity(sympy.expand_log(sympy.logcombine(rate - information - aggregate)), sympy.Integer(0))


def _closed_form() -> Finding:
    """E[log q - log p] at z = mu + sigma t."""
    polynomial = sympy.Poly(sympy.expand(-(T**2) / 2 + (MU + S * T) ** 2 / 2), T)
    moments = {0: 1, 1: 0, 2: 1}
    expected = sum(c * moments[power] for (power,), c in polynomial.terms()) - sympy.log(S)
    return identity(expected, (MU**2 + S**2 - 1 - 2 * sympy.log(S)) / 2)


def _talagrand() -> Finding:
    twice_kl = MU**2 + S**2 - 1 - 2 * sympy.log(S)
    return identity(twice_kl - (MU**2 + (S - 1) ** 2), 2 * (S - 1 - sympy.log(S)))


def _log_at_one() -> Finding:
    f = sympy.exp(A1) - 1 - A1
    return identities([(f.subs(A1, 0), sympy.Integer(0)), (sympy.diff(f, A1).subs(A1, 0), sympy.Integer(0))])


def _log_convex() -> Finding:
    return sum_of_squares(sympy.diff(sympy.exp(A1) - 1 - A1, A1, 2), [(1, sympy.exp(A1 / 2))])


def _triangle() -> Finding:
    return sum_of_squares((A1**2 + A2**2) * (B1**2 + B2**2) - (A1 * B1 + A2 * B2) ** 2, [(1, A1 * B2 - A2 * B1)])


def _linear_optimum() -> Finding:
    """One coordinate: gain lambda, best code a without prior; the loss is a parabola in the mean."""
    loss = LAM / 2 * ((M - A) ** 2 + S**2) + BETA / 2 * (M**2 + S**2 - 1 - 2 * sympy.log(S))
    return identities(
        [
            (sympy.diff(loss, M).subs(M, LAM * A / (LAM + BETA)), sympy.Integer(0)),
            (sympy.diff(loss, S).subs(S, sympy.sqrt(BETA / (LAM + BETA))), sympy.Integer(0)),
        ]
    )


def _linear_ratio() -> Finding:
    """From beta_0 to beta_0 + h, a direction of gain lambda_0 + g shrinks less than one of gain lambda_0."""
    less = (GAIN + G + BETA0) * (GAIN + BETA0 + H) - (GAIN + BETA0) * (GAIN + G + BETA0 + H)
    return sum_of_squares(less, [(G * H, sympy.Integer(1))])


BETA_KL = Statement(
    identifier="beta_kl",
    position=12,
    title="The KL term bounds all latent distances, and a larger beta contracts them",
    source="arXiv:2511.06781, on beta-KL; the linear model and the way to measure uniformity are this project's own",
    text=(
        r"(a) $\mathbb{E}\,KL(q(z|x) \Vert p) = I(X; Z) + KL(\bar q \Vert p)$ with $\bar q$ the aggregate posterior. "
        r"(b) $W_1(q_u, p) \le W_2(q_u, p) \le \sqrt{2 KL_u}$ for $p = N(0, I)$, so "
        r"$W_2(q_u, q_v) \le \sqrt{2 KL_u} + \sqrt{2 KL_v}$. "
        r"(c) In a linear model with its decoder held fixed, going from $\beta_0$ to $\beta > \beta_0$ multiplies every "
        r"distance by a factor between $(\lambda + \beta_0)/(\lambda + \beta)$ at the smallest and at the largest gain "
        r"$\lambda$ of the decoder: uniform if and only if all gains agree. Trained models are measured along a ladder of "
        r"$\beta$."
    ),
    assumptions=(
        r"(a), (b): posteriors are diagonal Gaussians and the prior is $N(0, I)$; $X$ is one of the users at hand, each "
        "equally likely",
        r"(c), the proof: Gaussian likelihood, $\eta = Wz$, the same $W$ at both $\beta$; the measurement assumes nothing",
    ),
    proof=(
        Step(
            "split",
            r"(a) At every code, with the users' densities a, b, weights $w_1, w_2$ and $m = w_1 a + w_2 b$: "
            r"$\sum w a \log(a/p) = \sum w a \log(a/m) + m \log(m/p)$. Integrate over codes; more users add more terms.",
            _split,
        ),
        Step(
            "split_gaussian",
            r"In closed form where the aggregate is Gaussian, $x \sim N(0, \tau^2)$, $q = N(x, \sigma^2)$, with "
            r"$I = \frac12 \log(1 + \tau^2/\sigma^2)$.",
            _split_gaussian,
        ),
        Step(
            "closed_form",
            r"(b) $KL = \frac12(\mu^2 + \sigma^2 - 1 - 2\log\sigma)$ in each coordinate, and coordinates add.",
            _closed_form,
        ),
        Step(
            "talagrand",
            r"$2 KL - W_2^2 = 2(\sigma - 1 - \log\sigma)$ in each coordinate, as $W_2^2 = \mu^2 + (\sigma - 1)^2$.",
            _talagrand,
        ),
        Step(
            "log_at_one",
            r"It is not negative: with $\sigma = e^t$, $f(t) = e^t - 1 - t$ and its slope vanish at 0,",
            _log_at_one,
        ),
        Step("log_convex", r"and $f'' = e^t = (e^{t/2})^2 > 0$.", _log_convex),
        Step(
            "triangle",
            r"$W_2$ of diagonal Gaussians is a Euclidean distance, so $W_2(q_u, q_v) \le W_2(q_u, p) + W_2(p, q_v)$ "
            r"(Cauchy-Schwarz; two vectors span a plane).",
            _triangle,
        ),
        Step(
            "linear_optimum",
            r"(c) In coordinates where $W'W$ is diagonal the loss in the mean is "
            r"$\frac{\lambda}{2}(m - a)^2 + \frac{\beta}{2} m^2$ and is least at $m = \lambda a/(\lambda + \beta)$. Where only "
            r"one direction counts, $\sigma^2 = \beta/(\lambda + \beta)$; in any case $\sigma$ is the same for all users, "
            "so that distances are those of the means.",
            _linear_optimum,
        ),
        Step(
            "linear_ratio",
            r"Each coordinate of a difference shrinks by $(\lambda + \beta_0)/(\lambda + \beta)$, which grows with $\lambda$: "
            r"for $\lambda' = \lambda + g$ and $\beta = \beta_0 + h$ the products across differ by $g h \ge 0$.",
            _linear_ratio,
        ),
    ),
    limits=(
        "(b) bounds distances from above: users may be close at a large KL term.",
        "(c) is proved with the decoder held fixed. A trained decoder answers to beta, by larger weights or by giving up units, "
        "and what then happens is a finding about these models.",
        "The information of n users is at most log n: far below what the posteriors could carry.",
    ),
)

CASES = (
    ((1.0,), (0.5,), (0.75,)),
    ((1.0, 1.0), (-1.0, 1.0), (0.5, 0.5)),
    ((1.0, 3.0), (-4.0, 2.0), (0.25, 1.5)),
    ((1.0, 2.0, 1.0), (0.0, 3.0, -1.5), (1.0, 0.5, 0.25)),
)
"""Weights, means and standard deviations of mixtures on the line, exact in binary."""
BITS = 96
MOST_USERS = 1500
"""Users of the sampled decomposition, whose cost is quadratic in them."""
ERRORS = 4.0
"""Standard errors that an estimate may be off; a true identity misses that in 1 of 16,000 runs."""
NOTHING_LEFT = 0.01
"""Mean distance, in standard deviations of the prior, below which there is nothing left to contract."""


def _kl(mu: Any, sigma: Any) -> Any:
    """Return the KL divergence to N(0, I), written so that float64 keeps its digits near the prior."""
    excess = sigma - 1
    return np.sum(mu * mu + excess * excess + 2 * (excess - np.log1p(excess))) / 2


def _to_prior(mu: Any, sigma: Any) -> Any:
    return norm(np.concatenate([mu, sigma - 1]))


def _transport_to_prior(radius: Any) -> Any:
    def claim(*, mu: np.ndarray, sigma: np.ndarray) -> Comparison:
        return _to_prior(mu, sigma), "<=", radius(_kl(mu, sigma), len(mu))

    return claim


SPREAD = Variable(("dimension",), low=0.05, high=4.0, kind="positive")
TALAGRAND = Inequality(
    BETA_KL,
    "talagrand",
    "W_2(q, p) <= sqrt(2 KL)",
    variables={"mu": Variable(("dimension",)), "sigma": SPREAD},
    axes={"dimension": (1, 4)},
    claim=_transport_to_prior(lambda kl, d: root(2 * kl)),
)
ROOT_OF_KL = TALAGRAND.false_twin(
    "root_of_kl", "sqrt(KL) in place of sqrt(2 KL)", _transport_to_prior(lambda kl, d: root(kl))
)
KL_AVERAGED = TALAGRAND.false_twin(
    "kl_averaged", "KL averaged over dimensions, not summed", _transport_to_prior(lambda kl, d: root(2 * kl / d))
)


def _between_users(join: Any) -> Any:
    def claim(*, mu_u: Any, sigma_u: Any, mu_v: Any, sigma_v: Any) -> Comparison:
        distance = norm(np.concatenate([mu_u - mu_v, sigma_u - sigma_v]))
        return distance, "<=", join(root(2 * _kl(mu_u, sigma_u)), root(2 * _kl(mu_v, sigma_v)))

    return claim


PAIRS = Inequality(
    BETA_KL,
    "pairs",
    "W_2(q_u, q_v) <= sqrt(2 KL_u) + sqrt(2 KL_v)",
    variables={
        "mu_u": Variable(("dimension",)),
        "sigma_u": SPREAD,
        "mu_v": Variable(("dimension",)),
        "sigma_v": SPREAD,
    },
    axes={"dimension": (1, 3)},
    claim=_between_users(lambda a, b: a + b),
)
LARGER_OF_BOTH = PAIRS.false_twin(
    "larger_of_both", "the larger of the two terms in place of their sum", _between_users(larger)
)


def _discrete(*, users: np.ndarray, weights: np.ndarray, prior: np.ndarray) -> tuple[Any, Any, Any]:
    """Return rate, information and divergence of the aggregate of users over finitely many codes, all by logits."""
    q, w, p = softmax(users, axis=1), softmax(weights), softmax(prior)
    mixture = w @ q
    own = np.sum(w @ x_log_x(q))
    rate = own - np.sum(w @ (q * np.log(p)))
    return rate, own - np.sum(x_log_x(mixture)), np.sum(x_log_x(mixture)) - np.sum(mixture * np.log(p))


def _split_holds(**case: np.ndarray) -> Comparison:
    rate, information, aggregate = _discrete(**case)
    return rate, "==", information + aggregate


def _prior_forgotten(**case: np.ndarray) -> Comparison:
    rate, information, _ = _discrete(**case)
    return rate, "==", information


DECOMPOSITION = Inequality(
    BETA_KL,
    "decomposition",
    "E KL(q || p) = I + KL(q_bar || p) on finitely many codes",
    variables={
        "users": Variable(("user", "code")),
        "weights": Variable(("user",)),
        "prior": Variable(("code",)),
    },
    axes={"user": (1, 3), "code": (2, 4)},
    claim=_split_holds,
)
AGGREGATE_FORGOTTEN = DECOMPOSITION.false_twin(
    "aggregate_forgotten", "the KL term taken for information alone", _prior_forgotten
)


def _linear(*, gain: Any, code: Any, beta: Any, more: Any) -> tuple[Any, Any, Any, Any]:
    """Return a difference of means at beta and at beta + more, and the contraction of every direction."""
    before, after = gain * code / (gain + beta), gain * code / (gain + beta + more)
    return before, after, (gain + beta) / (gain + beta + more), beta / (beta + more)


def _within_gains(**case: Any) -> Comparison:
    before, after, factors, _ = _linear(**case)
    least, most = factors[0], factors[0]
    for factor in factors[1:]:
        least, most = smaller(least, factor), larger(most, factor)
    return np.array([least * norm(before), norm(after)]), "<=", np.array([norm(after), most * norm(before)])


def _by_beta_alone(**case: Any) -> Comparison:
    before, after, _, factor = _linear(**case)
    return norm(after), "<=", factor * norm(before)


LINEAR = Inequality(
    BETA_KL,
    "linear",
    "in the linear model W(beta) / W(beta_0) lies between (gain + beta_0) / (gain + beta) at both ends of the gains",
    variables={
        "gain": Variable(("dimension",), low=0.1, high=20.0, kind="positive"),
        "code": Variable(("dimension",)),
        "beta": Variable(low=0.1, high=4.0, kind="positive"),
        "more": Variable(low=0.1, high=4.0, kind="positive"),
    },
    axes={"dimension": (1, 3)},
    claim=_within_gains,
)
RATIO_OF_BETAS = LINEAR.false_twin("ratio_of_betas", "contraction by beta_0 / beta, whatever the gains", _by_beta_alone)


def _squares_fall(*, gain: Any, code: Any, beta: Any, more: Any) -> Comparison:
    before, after, _, _ = _linear(gain=gain, code=code, beta=beta, more=more)
    return np.sum(after * after), "<", np.sum(before * before)


CONTRACTS = Inequality(
    BETA_KL,
    "contracts",
    "in the linear model W(beta) < W(beta_0) for users that are apart",
    variables=LINEAR.variables,
    axes=LINEAR.axes,
    claim=_squares_fall,
    premise=lambda *, gain, code, beta, more: ((0 * beta, "<", np.sum(code * code)),),
    exact=True,
)
SAME_MODEL_TWICE = CONTRACTS.false_twin(
    "same_model_twice",
    "the same model (the same beta) in both places",
    lambda *, gain, code, beta, more: _squares_fall(gain=gain, code=code, beta=beta, more=0 * more),
)


@check(BETA_KL, stages="none")
def certified(subject: Subject) -> Evidence:
    """Decide the decomposition on fixed mixtures by rigorous quadrature, and the package's KL in intervals."""
    with working_precision(BITS):
        splits = [enclosed_decomposition(*case) for case in CASES]
        gaps = np.array([abs(rate - information - aggregate) for rate, information, aggregate in splits], dtype=object)
        alone = splits[0][1]
    mixtures = f"{len(CASES)} mixtures on the line, both integrals by rigorous quadrature"
    return Evidence(
        parts=(
            step_part(
                "one_user", "I = 0 for a single user, to 1e-12", _below(np.array([abs(alone)]), "1e-12", "one user")
            ),
            step_part("mixtures", "E KL = I + KL(q_bar || p), to 1e-12", _below(gaps, "1e-12", mixtures)),
            step_part("kl_in_float64", "kl_per_unit is right to 1e-14", _kl_values()),
        )
    )


@check(BETA_KL, stages="every")
def on_posteriors(subject: Subject) -> Evidence:
    """Check (b) on every user and every pair, and (a) on two independent sets of draws."""
    pairs = subject.pairs
    reach = np.sqrt(2 * kl_per_unit(subject.posterior).sum(1))
    to_prior, distance = np.asarray(w2_to_prior(subject.posterior)), pairs["w2"].to_numpy()
    bound = reach[pairs["u"].to_numpy()] + reach[pairs["v"].to_numpy()]
    split, n_users = _decomposed(subject, subject.posterior)
    masked = _masked_posterior(subject)
    return Evidence(
        parts=(
            _split_part("decomposition", "clean inputs", split, n_users),
            *(
                _split_part(
                    "decomposition_masked", "masked inputs, one mask a user", *_decomposed(subject, posterior, "masked")
                )
                for posterior in ([] if masked is None else [masked])
            ),
            *_bound_parts(to_prior, reach, distance, bound, pair_cases(pairs)),
        ),
        principal="pairs",
        numbers={
            "tightness": spread(distance[distance > 0] / bound[distance > 0], "W_2 / bound of a pair"),
            "tightness_talagrand": spread((to_prior / reach)[reach > 0], "W_2 to the prior / sqrt(2 KL)"),
            "rate": Number(split.rate, "E KL(q || p)", unit="nats", n=n_users),
            "information": _estimate(split.information.value, split.information.standard_error, "I(X; Z)", n_users),
            "aggregate": _estimate(split.aggregate.value, split.aggregate.standard_error, "KL(q_bar || p)", n_users),
            "most_information": Number(float(np.log(n_users)), "log n, the most that n users have", unit="nats"),
        },
        notes=("Both terms of (a) are estimated on different draws; on the same ones the identity would be trivial.",),
    )


@negative_control(BETA_KL, "root_of_kl", "sqrt(KL) in place of sqrt(2 KL)", stages="none")
def root_of_kl(subject: Subject) -> Evidence:
    """Refute both bounds where they are attained: posteriors of the prior's width, moved in opposite directions."""
    mu = 2.0 * np.concatenate([np.eye(3), -np.eye(3)])
    posterior = DiagonalGaussian(mu, np.ones_like(mu))
    reach = np.sqrt(kl_per_unit(posterior).sum(1))
    u, v = np.arange(3), np.arange(3, 6)
    distance = np.asarray(w2(posterior[u], posterior[v]))
    to_prior = np.asarray(w2_to_prior(posterior))
    return Evidence(parts=_bound_parts(to_prior, reach, distance, reach[u] + reach[v], {"u": u, "v": v}))


@check(BETA_KL, stages="ladder")
def along_beta(subject: Subject) -> Evidence:
    """Measure distances, uniformity, active units and information of the same users along a ladder of beta."""
    rungs = _rungs(subject)
    betas = list(rungs)
    steps = {
        (low, high): contraction(rungs[low][subject.users], rungs[high][subject.users])
        for low, high in itertools.pairwise(betas)
    }
    whole = contraction(rungs[betas[0]][subject.users], rungs[betas[-1]][subject.users])
    parts = [_falls(f"from_{low:g}_to_{high:g}", found, low, high) for (low, high), found in steps.items()]
    numbers: dict[str, Number] = {}
    for beta, posterior in rungs.items():
        numbers |= _rung_numbers(
            subject, beta, posterior, contraction(rungs[betas[0]][subject.users], posterior[subject.users])
        )
    return Evidence(
        parts=(*parts, _falls("contraction", whole, betas[0], betas[-1])),
        numbers=numbers,
        notes=(
            "About these trained models, decoder and all; part (c) is proved for a fixed linear decoder only.",
            "Intervals of means leave out groups of users in turn (95 %); those of ratios hold 90 % of the pairs.",
            *(
                f"Collapsed at beta {beta:g}: no unit is active."
                for beta, posterior in rungs.items()
                if collapse(posterior).is_collapsed
            ),
        ),
    )


@negative_control(BETA_KL, "same_model_twice", "the same model (the same beta) in both places", stages="ladder")
def same_model_twice(subject: Subject) -> Evidence:
    """Refute that a model contracts itself: the ladder's first, with means drawn anew, as it may have collapsed."""
    beta, posterior = next(iter(_rungs(subject).items()))
    mu, sigma = posterior[subject.users].numpy()
    users = DiagonalGaussian(subject.rng("means").standard_normal(mu.shape), sigma)
    return Evidence(parts=(_falls("contraction", contraction(users, users), beta, beta),))


@negative_control(BETA_KL, "aggregate_forgotten", "the KL term taken for information alone", stages="every")
def aggregate_forgotten(subject: Subject) -> Evidence:
    """Refute E KL = I on users that all sit two standard deviations off the prior's mean."""
    mu, sigma = subject.posterior[subject.users].numpy()
    moved = DiagonalGaussian(mu - mu.mean(0) + 2.0, sigma)
    split = decompose_kl(moved, rng=subject.rng("moved"))
    without = KLDecomposition(split.rate, split.information, type(split.aggregate)(0.0, split.aggregate.standard_error))
    return Evidence(parts=(_split_part("decomposition", "users moved off the prior", without, len(mu)),))


def _bound_parts(
    to_prior: np.ndarray, reach: np.ndarray, distance: np.ndarray, bound: np.ndarray, pairs: dict[str, np.ndarray]
) -> tuple[Part, Part]:
    """Return the comparison of every user with the prior, and that of every pair."""
    users = {"user": np.arange(len(reach))}
    return (
        at_most("talagrand", "W_2(q_u, p) <= sqrt(2 KL_u)", to_prior, reach, cases=users),
        at_most("pairs", "W_2(q_u, q_v) <= sqrt(2 KL_u) + sqrt(2 KL_v)", distance, bound, cases=pairs),
    )


def _below(values: np.ndarray, most: str, cases: str) -> Finding:
    return on_fixed_cases(lambda: (values, "<=", arb(most)), cases, precisions=(BITS,))


def _kl_values() -> Finding:
    sigma = np.array([0.001, 0.25, 0.875, 0.999, 1.0 - 2.0**-20, 1.0 + 2.0**-30, 1.5, 40.0])
    mu = np.array([0.0, 1e-3, 0.0, 2.0**-12, 0.0, 0.0, -3.0, 7.0])
    given = kl_per_unit(DiagonalGaussian(mu[:, None], sigma[:, None]))[:, 0]

    def evaluate() -> Comparison:
        exact = [_kl(np.array([arb(float(m))]), np.array([arb(float(s))])) for m, s in zip(mu, sigma, strict=True)]
        return np.abs(np.array([arb(float(v)) for v in given]) / np.array(exact) - 1), "<=", arb("1e-14")

    return on_fixed_cases(evaluate, "means and standard deviations near and far from the prior's")


def _decomposed(subject: Subject, posterior: DiagonalGaussian, *words: str) -> tuple[KLDecomposition, int]:
    """Return the decomposition over all users, or over some of them where they are many."""
    rows = np.sort(subject.rng("users").permutation(posterior.n_users)[:MOST_USERS])
    return decompose_kl(posterior[rows], rng=subject.rng("draws", *words)), len(rows)


def _masked_posterior(subject: Subject) -> DiagonalGaussian | None:
    """Return the posteriors of all users, each under a mask of its own; None where the encoder's layers are not known."""
    layers = subject.recommender.layers
    if layers is None:
        return None
    inputs = encoder_input(
        subject.interactions.matrix,
        cast(Masking, layers.masking),
        keep_probability=layers.keep_probability,
        rng=subject.rng("masks"),
        dtype=torch.float64,
    )
    with torch.no_grad():
        hidden = layers.trunk(inputs) if len(layers.trunk) else inputs
        mu, log_variance = layers.mean_head(hidden), layers.log_variance_head(hidden)
    return DiagonalGaussian(mu.numpy(), torch.exp(0.5 * log_variance).numpy())


def _split_part(name: str, where: str, split: KLDecomposition, n_users: int) -> Part:
    """Compare rate and sum, which may differ by some standard errors (and by rounding, where nothing varies)."""
    part = at_most(
        name,
        f"|E KL - I - KL(q_bar || p)| <= {ERRORS:g} standard errors, {where}",
        np.array([abs(split.gap)]),
        np.array([ERRORS * split.standard_error + 1e-9 * split.rate]),
        cases={"users": np.array([n_users]), "rate": np.array([split.rate])},
        tolerance=0.0,
    )
    return Part(part.name, part.text, part.verdict, Rigor.STATISTICAL, part.coverage, part.margin, part.worst)


def _estimate(value: float, error: float, label: str, n: int, unit: str = "nats") -> Number:
    return Number(value, label, unit=unit, low=value - 1.96 * error, high=value + 1.96 * error, n=n)


def _rungs(subject: Subject) -> dict[float, DiagonalGaussian]:
    """Return the clean-input posteriors of all users at every positive beta of the ladder."""
    matrix = subject.interactions.matrix
    rungs = {beta: model.posterior(matrix) for beta, model in subject.ladder("beta").items() if beta > 0}
    if len(rungs) < 2:
        raise PremiseNotMet("a ladder needs at least two positive values of beta")
    return rungs


def _falls(name: str, found: Contraction, low: float, high: float) -> Part:
    """Say whether the mean distance of pairs falls: by the 95 % interval of the ratio of the means."""
    tried = len(found.before)
    text = f"the mean W_2 of pairs at beta {high:g} is below that at beta {low:g}"
    if not found.before.mean() > NOTHING_LEFT:
        return Part(
            name, f"{text}; next to nothing is left to contract", Verdict.VACUOUS, Rigor.STATISTICAL, Coverage(0, tried)
        )
    ratio = grouped_jackknife(
        lambda chosen: float(found.after[chosen].sum() / found.before[chosen].sum()), found.first, found.second
    )
    return Part(
        name,
        text,
        _verdict(ratio),
        Rigor.STATISTICAL,
        Coverage(tried, tried),
        margin=1.0 - ratio.high if np.isfinite(ratio.high) else None,
        worst={"ratio": ratio.value, "low": ratio.low, "high": ratio.high},
    )


def _verdict(ratio: Estimate) -> Verdict:
    if ratio.high < 1.0:
        return Verdict.HOLDS
    return Verdict.VIOLATED if ratio.low >= 1.0 else Verdict.INCONCLUSIVE


def _rung_numbers(subject: Subject, beta: float, posterior: DiagonalGaussian, found: Contraction) -> dict[str, Number]:
    units, (split, n_users) = collapse(posterior), _decomposed(subject, posterior, f"{beta!r}")
    mean = grouped_jackknife(lambda chosen: float(found.after[chosen].mean()), found.first, found.second)
    at, information = f"at beta {beta:g}", split.information
    return {
        f"mean_w2_{beta:g}": Number(mean.value, f"mean W_2 of pairs {at}", low=mean.low, high=mean.high, n=mean.n),
        f"contraction_{beta:g}": spread(found.ratio, f"W_2 of a pair {at} over that at the smallest beta"),
        f"variation_{beta:g}": Number(
            found.variation, f"coefficient of variation of that ratio {at}", n=len(found.ratio)
        ),
        f"active_units_{beta:g}": Number(
            units.n_active, f"active units of {len(units.active)} {at}", n=posterior.n_users
        ),
        f"information_{beta:g}": _estimate(information.value, information.standard_error, f"I(X; Z) {at}", n_users),
        f"rate_{beta:g}": Number(split.rate, f"E KL(q || p) {at}", unit="nats", n=n_users),
    }
