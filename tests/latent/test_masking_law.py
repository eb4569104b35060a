"""The exact law of masked distances, its bounds and the grid, against enumeration, rationals, scipy and mpmath."""

from __future__ import annotations

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from scipy import sparse, stats
from torch import nn

from collabtheory.errors import InvalidInput
from collabtheory.latent.encoder_conventions import CONVENTIONS
from collabtheory.latent.exact_masking import ExactLaw, binomial_numerators
from collabtheory.latent.masked_pairs import encode_masked_pairs, mean_rescaled_distance, normalised_distance
from collabtheory.latent.masking_bounds import contraction_guarantee, expansion_guarantee, tail_bound
from collabtheory.latent.masking_grid import decide_chernoff, decide_hoeffding, relative_thresholds, whole_thresholds
from collabtheory.latent.masking_law import MaskingLaw
from collabtheory.latent.masking_simulation import MaskedDistances, goodness_of_fit, masked_distances
from collabtheory.models.recommender import EncoderLayers
from collabtheory.rigor import Decision


def enumerated(x: list[int], y: list[int], keep: Fraction, shared: bool) -> dict[int, Fraction]:
    """Probability of every distance, by going through all masks of the vectors themselves."""
    found: dict[int, Fraction] = {}
    masks = list(itertools.product((0, 1), repeat=len(x)))
    pairs = ((b, b) for b in masks) if shared else itertools.product(masks, masks)
    for b, c in pairs:
        bits = b if shared else b + c
        weight = keep ** sum(bits) * (1 - keep) ** (len(bits) - sum(bits))
        distance = sum(abs(p * i - q * j) for p, q, i, j in zip(x, y, b, c, strict=True))
        found[distance] = found.get(distance, Fraction(0)) + weight
    return found


@pytest.mark.parametrize("masks", ["independent", "shared"])
@pytest.mark.parametrize(
    ("x", "y"), [([1, 1, 0, 1], [1, 0, 1, 1]), ([0, 0, 1], [1, 1, 0]), ([1, 1, 1], [1, 1, 1]), ([0, 0], [0, 0])]
)
def test_law_is_what_all_masks_of_two_vectors_give(x: list[int], y: list[int], masks: str) -> None:
    keep = Fraction(3, 10)
    delta, s = sum(a != b for a, b in zip(x, y, strict=True)), sum(a * b for a, b in zip(x, y, strict=True))
    true = enumerated(x, y, keep, masks == "shared")
    law = ExactLaw(keep, masks)  # type: ignore[arg-type]
    assert {d: p for d, p in enumerate(law.pmf(delta, s)) if p} == {d: p for d, p in true.items() if p}
    mean = sum(d * p for d, p in true.items())
    assert law.mean(delta, s) == mean
    assert law.variance(delta, s) == sum((d - mean) ** 2 * p for d, p in true.items())
    assert law.tail(1, delta, s) == sum(p for d, p in true.items() if d >= 1)
    np.testing.assert_allclose(
        MaskingLaw(0.3, masks).pmf(delta, s),  # type: ignore[arg-type]
        [float(true.get(d, 0)) for d in range(delta + s + 1)],
        atol=1e-15,
    )


def test_float_law_equals_a_convolution_of_scipy_binomials() -> None:
    law, delta, s = MaskingLaw(0.37), 180, 70
    pmf = np.convolve(stats.binom.pmf(range(delta + 1), delta, 0.37), stats.binom.pmf(range(s + 1), s, 2 * 0.37 * 0.63))
    np.testing.assert_allclose(law.pmf(delta, s), pmf, rtol=1e-11)
    x = np.array([-3, 0, 60, 99.5, 250, 300])
    np.testing.assert_allclose(law.cdf(x, delta, s), [pmf[: max(int(v) + 1, 0)].sum() for v in x], rtol=1e-11)
    np.testing.assert_allclose(
        law.tail(x, delta, s), [pmf[max(int(np.ceil(v)), 0) :].sum() for v in x], rtol=1e-11, atol=0
    )


def test_many_pairs_in_blocks_give_what_each_alone_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    delta, s, x = rng.integers(0, 20, 50), rng.integers(0, 9, 50), rng.integers(-1, 30, 50)
    law = MaskingLaw(0.6)
    alone = [law.cdf(a, b, c).item() for a, b, c in zip(x, delta, s, strict=True)]
    monkeypatch.setattr("collabtheory.latent.masking_sums.BLOCK_ENTRIES", 100)
    np.testing.assert_allclose(law.cdf(x, delta, s), alone, rtol=1e-14)


@pytest.mark.parametrize("masks", ["independent", "shared"])
def test_long_histories_among_a_hundred_thousand_pairs_have_their_exact_probabilities(masks: str) -> None:
    rng = np.random.default_rng(1)
    delta, s = rng.integers(0, 300, 100_000), rng.integers(0, 90, 100_000)
    law, exact = MaskingLaw(0.37, masks), ExactLaw(Fraction(37, 100), masks)  # type: ignore[arg-type]
    x = rng.integers(-2, 400, 100_000)
    below, above = law.cdf(x, delta, s), law.tail(x, delta, s)
    for row in range(0, 100_000, 9_973):
        case = int(x[row]), int(delta[row]), int(s[row])
        assert below[row] == pytest.approx(float(exact.cdf(*case)), rel=1e-11, abs=1e-300)
        assert above[row] == pytest.approx(float(exact.tail(*case)), rel=1e-11, abs=1e-300)


def test_tiny_tails_keep_their_relative_accuracy() -> None:
    true = ExactLaw(Fraction(1, 20)).tail(40, 40, 3)
    assert float(true) < 1e-45
    assert MaskingLaw(0.05).tail(40, 40, 3) == pytest.approx(float(true), rel=1e-12)


def test_decimal_factors_fall_on_the_right_side_of_whole_numbers() -> None:
    # 0.29 * 100 is 28.999999999999996 in float64; the law must use 29.
    law, exact = MaskingLaw(0.5), ExactLaw(Fraction(1, 2))
    assert law.contraction_probability(100, 2, 0.29) == pytest.approx(float(exact.cdf(29, 100, 2)), rel=1e-12)
    assert law.expansion_probability(100, 2, 0.29) == pytest.approx(float(exact.tail(29, 100, 2)), rel=1e-12)
    assert exact.contraction_probability(100, 2, Fraction(29, 100)) == exact.cdf(29, 100, 2)
    assert exact.expansion_probability(3, 2, Fraction(1, 2)) == exact.tail(2, 3, 2)


def test_pairs_contract_beyond_the_border_expand_before_it_and_keep_their_mean_on_it() -> None:
    law = MaskingLaw(0.25)
    assert law.border([0, 4, 8]).tolist() == [0.0, 2.0, 4.0]
    assert np.sign(law.mean([1, 2, 3], [4, 4, 4]) - [1, 2, 3]).tolist() == [1.0, 0.0, -1.0]
    assert MaskingLaw(0.25, "shared").border(8) == 0.0


def test_law_agrees_with_masked_vectors_drawn_at_random() -> None:
    rng = np.random.default_rng(3)
    x, y = np.r_[np.ones(12), np.zeros(5)], np.r_[np.zeros(4), np.ones(13)]
    b, c = rng.random((2, 40_000, 17)) < 0.6
    drawn = np.abs(x * b - y * c).sum(1).astype(int)
    expected = MaskingLaw(0.6).pmf(9, 8) * len(drawn)
    counted = np.bincount(drawn, minlength=18)
    usual = expected > 5
    observed, model = (np.append(v[usual], v[~usual].sum()) for v in (counted, expected))
    assert stats.chisquare(observed, model).pvalue > 1e-4


@pytest.mark.parametrize("masks", ["independent", "shared"])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 3.0, 7.2, 11.0, 14.0])
def test_bounds_are_their_formulas_at_fifty_digits(threshold: float, masks: str) -> None:
    delta, s, keep = 14, 6, 0.3
    n = delta + s if masks == "independent" else delta
    with mpmath.workdps(50):
        m = mpmath.mpf("0.3") * delta + (2 * mpmath.mpf("0.3") * mpmath.mpf("0.7") * s if masks == "independent" else 0)
        t = mpmath.mpf(threshold)
        hoeffding = mpmath.exp(-2 * (t - m) ** 2 / n)
        chernoff = (
            (m / t) ** t * ((n - m) / (n - t)) ** (n - t) if 0 < t < n else (1 - m / n) ** n if t == 0 else (m / n) ** n
        )
    law = MaskingLaw(keep, masks)  # type: ignore[arg-type]
    assert tail_bound(threshold, delta, s, law, method="hoeffding") == pytest.approx(float(hoeffding), rel=1e-12)
    assert tail_bound(threshold, delta, s, law) == pytest.approx(float(chernoff), rel=1e-12)
    assert chernoff <= hoeffding


def test_guarantees_stay_below_the_exact_probabilities() -> None:
    delta, s = np.meshgrid(np.arange(0, 25, 3), np.arange(0, 25, 4))
    for keep, factor in itertools.product((0.2, 0.5, 0.8), (0.0, 0.3, 1.0, 1.5)):
        law = MaskingLaw(keep)
        for method in ("hoeffding", "chernoff"):
            contracts = contraction_guarantee(delta, s, law, factor=factor, method=method)  # type: ignore[arg-type]
            expands = expansion_guarantee(delta, s, law, factor=factor, method=method)  # type: ignore[arg-type]
            assert (contracts <= law.contraction_probability(delta, s, factor) + 1e-12).all()
            assert (expands <= law.expansion_probability(delta, s, factor) + 1e-12).all()
    assert contraction_guarantee(60, 1, MaskingLaw(0.5)) > 0.99
    assert expansion_guarantee(2, 60, MaskingLaw(0.5)) > 0.99


def exact_tail(keep: Fraction, delta: int, s: int, t: Fraction) -> tuple[Fraction, Fraction]:
    """Tail away from the mean and the mean, by adding items one at a time in plain fractions."""
    pmf = [Fraction(1)]
    for p in [keep] * delta + [2 * keep * (1 - keep)] * s:
        pmf = [a * (1 - p) + b * p for a, b in zip([*pmf, Fraction(0)], [Fraction(0), *pmf], strict=True)]
    mean = sum((x * p for x, p in enumerate(pmf)), Fraction(0))
    return sum((p for x, p in enumerate(pmf) if (x >= t if t >= mean else x <= t)), Fraction(0)), mean


@pytest.mark.parametrize("keep", [Fraction(1, 7), Fraction(1, 2), Fraction(9, 10)])
def test_grid_probabilities_are_the_exact_tails_of_every_case(keep: Fraction) -> None:
    for cases in (whole_thresholds(ExactLaw(keep), 5), relative_thresholds(ExactLaw(keep), 4, 4)):
        for k in range(len(cases)):
            tail, mean = exact_tail(keep, int(cases.delta[k]), int(cases.shared[k]), cases.threshold(k))
            assert bool(cases.upper[k]) == (cases.threshold(k) >= mean)
            assert cases.exact_probability(k) == tail
            assert (
                abs(Fraction(float(cases.probability.values[k])) - tail) <= tail * cases.probability.roundings / 2**52
            )


def test_grid_covers_every_pair_with_every_threshold() -> None:
    cases = whole_thresholds(ExactLaw(Fraction(1, 3)), 6)
    assert len(cases) == sum(d + s + 1 for d in range(7) for s in range(7)) - 1
    assert decide_hoeffding(cases).decision is Decision.TRUE
    chernoff = decide_chernoff(cases)
    # Equality (one kind of item, all or none of them) cannot be decided by rounding: exactly these are settled exactly.
    assert chernoff.decision is Decision.TRUE
    assert chernoff.settled == 2 * 2 * 6


def test_grid_refutes_a_bound_with_too_few_terms_and_names_a_true_counterexample() -> None:
    found = decide_hoeffding(
        whole_thresholds(ExactLaw(Fraction(2, 5)), 8), lambda delta, shared: np.maximum(delta, shared)
    )
    assert found.decision is Decision.FALSE
    assert found.worst is not None
    delta, s, t = int(found.worst["delta"]), int(found.worst["shared"]), Fraction(str(found.worst["threshold"]))
    tail, mean = exact_tail(Fraction(2, 5), delta, s, t)
    assert str(tail) == found.worst["probability"]
    assert float(tail) > np.exp(-2 * float(t - mean) ** 2 / max(delta, s))


def test_grid_refuses_thresholds_for_which_the_bound_is_not_rational() -> None:
    with pytest.raises(InvalidInput, match="rational"):
        decide_chernoff(relative_thresholds(ExactLaw(Fraction(1, 2)), 3, 4))


def test_mean_distance_of_rescaled_inputs_is_the_sum_over_all_masks() -> None:
    x, y, keep = [1, 1, 1, 0, 1], [1, 1, 0, 1, 0], 0.4
    a, b = np.array(x) / np.sqrt(4), np.array(y) / np.sqrt(3)
    total = 0.0
    for bits in itertools.product((0, 1), repeat=10):
        weight = keep ** sum(bits) * (1 - keep) ** (10 - sum(bits))
        total += weight * np.abs(a * bits[:5] - b * bits[5:]).sum() / keep
    assert mean_rescaled_distance(4, 3, 2, keep) == pytest.approx(total, rel=1e-12)
    assert normalised_distance(4, 3, 2) == pytest.approx(np.abs(a - b).sum(), rel=1e-12)
    assert mean_rescaled_distance(4, 3, 2, keep) > normalised_distance(4, 3, 2)


@pytest.mark.parametrize("masking", CONVENTIONS)
def test_latent_distances_under_independent_masks_stay_within_their_bounds(masking: str) -> None:
    rng = np.random.default_rng(5)
    torch.manual_seed(0)
    heads = nn.Linear(6, 3).double(), nn.Linear(6, 3).double()
    layers = EncoderLayers(nn.Sequential(nn.Linear(20, 6).double(), nn.Tanh()), *heads, masking, 0.5)
    contents = sparse.csr_array((rng.random((8, 20)) < 0.4).astype(float))
    draws = encode_masked_pairs(layers, contents, masking, keep_probability=0.5, n_draws=200, rng=rng)  # type: ignore[arg-type]
    dense = contents.toarray()
    delta = np.abs(dense[draws[0].first] - dense[draws[0].second]).sum(1)
    s = (dense[draws[0].first] * dense[draws[0].second]).sum(1)
    law = MaskingLaw(0.5)
    z = (np.mean([draw.masked_distance for draw in draws], 0) - law.mean(delta, s)) / np.sqrt(
        law.variance(delta, s) / 200
    )
    assert np.abs(z).max() < 5
    for draw in draws:
        assert (draw.distance <= draw.group_bound * (1 + 1e-9)).all()
        assert (draw.group_bound <= draw.bound * (1 + 1e-9)).all()
    assert (np.mean([draw.distance for draw in draws], 0) <= draws[0].mean_bound).all()


def test_keeping_everything_gives_the_clean_posteriors() -> None:
    heads = nn.Linear(4, 2).double(), nn.Linear(4, 2).double()
    layers = EncoderLayers(nn.Sequential(nn.Linear(3, 4).double(), nn.Tanh()), *heads, "mask_then_normalise", 0.5)
    x = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    (draw,) = encode_masked_pairs(
        layers,
        sparse.csr_array(x),
        "mask_then_normalise",
        keep_probability=1.0,
        n_draws=1,
        rng=np.random.default_rng(0),
    )
    hidden = layers.trunk(torch.from_numpy(x / np.sqrt(2)))
    codes = torch.cat([heads[0](hidden), torch.exp(heads[1](hidden) / 2)], 1)
    assert draw.distance == pytest.approx([float((codes[0] - codes[1]).detach().norm())])
    assert draw.masked_distance.tolist() == [2]


@pytest.mark.parametrize("masks", ["independent", "shared"])
@pytest.mark.parametrize("masking", CONVENTIONS)
def test_simulated_distances_fit_their_law_and_no_other(masking: str, masks: str) -> None:
    rng = np.random.default_rng(8)
    contents = sparse.csr_array((rng.random((20, 30)) < 0.4).astype(float))
    first, second = rng.integers(0, 20, (2, 3000))
    found = masked_distances(contents, first, second, masking, 0.6, masks=masks, rng=rng)  # type: ignore[arg-type]
    dense = contents.toarray()
    assert found.input_distance.tolist() == np.abs(dense[first] - dense[second]).sum(1).tolist()
    assert found.shared_items.tolist() == (dense[first] * dense[second]).sum(1).tolist()
    own, other = MaskingLaw(0.6, masks), MaskingLaw(0.6, "shared" if masks == "independent" else "independent")  # type: ignore[arg-type]
    fit, wrong = (goodness_of_fit(found, law, rng=np.random.default_rng(9)) for law in (own, other))
    assert min(fit.p_distribution, fit.p_mean) > 1e-4
    assert max(wrong.p_distribution, wrong.p_mean) < 1e-9


def test_fit_notices_a_wrong_spread_with_the_right_mean() -> None:
    rng = np.random.default_rng(0)
    delta = np.full(2000, 40)
    narrow = MaskedDistances(delta, 0 * delta, rng.binomial(20, 0.8, 2000) + 4)
    fit = goodness_of_fit(narrow, MaskingLaw(0.5), rng=rng)
    assert fit.p_mean > 1e-4
    assert fit.p_distribution < 1e-9


def test_fit_refutes_a_law_without_variance_by_any_gap() -> None:
    still = MaskedDistances(np.array([0, 0]), np.array([3, 3]), np.array([0, 1]))
    assert goodness_of_fit(still, MaskingLaw(0.5, "shared"), rng=np.random.default_rng(0)).p_mean == 0.0


def test_misuse_names_the_argument() -> None:
    law = MaskingLaw(0.5)
    with pytest.raises(InvalidInput, match="keep_probability"):
        MaskingLaw(1.5)
    with pytest.raises(InvalidInput, match="masks must be"):
        MaskingLaw(0.5, "both")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="shared_items"):
        law.mean(3, 1.5)
    with pytest.raises(InvalidInput, match="input_distance"):
        law.pmf(-1, 0)
    with pytest.raises(InvalidInput, match="method"):
        tail_bound(1, 1, 1, law, method="markov")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="NaN"):
        tail_bound(np.nan, 1, 1, law)
    with pytest.raises(InvalidInput, match="factor"):
        contraction_guarantee(1, 1, law, factor=-1.0)
    with pytest.raises(InvalidInput, match="p must be"):
        binomial_numerators(3, Fraction(3, 2))
    with pytest.raises(InvalidInput, match="keep_probability"):
        mean_rescaled_distance(1, 1, 1, 0.0)


def test_nothing_to_mask_and_masks_that_keep_all_are_degenerate_laws() -> None:
    assert MaskingLaw(1.0).pmf(3, 2).tolist() == [0, 0, 0, 1, 0, 0]
    assert MaskingLaw(0.0).pmf(1, 1).tolist() == [1, 0, 0]
    assert MaskingLaw(0.5).pmf(0, 0).tolist() == [1.0]
    assert ExactLaw(Fraction(1)).pmf(1, 1) == (0, 1, 0)
    assert tail_bound(0, 0, 0, MaskingLaw(0.5)).item() == 1.0
    assert MaskingLaw(0.5).cdf([], [], []).shape == (0,)
