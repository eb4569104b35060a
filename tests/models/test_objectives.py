"""Reconstruction losses and their gradients: against autograd of dense formulas, torch.distributions and loops."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import distributions
from torch.nn import functional

from collabtheory.errors import InvalidInput
from collabtheory.models.objectives import Observed, bpr_loss, likelihood_loss, sampled_softmax_loss

N_ITEMS = 11
SEED = 5


@pytest.fixture
def x():
    """Contents of six users; two of them have no item, one has all of them."""
    dense = (np.random.default_rng(2).random((6, N_ITEMS)) < 0.4).astype(np.float32)
    dense[2], dense[3], dense[4] = 0.0, 0.0, 1.0
    return torch.from_numpy(dense).double()


@pytest.fixture
def observed(x):
    return Observed.of(sparse.csr_array(x.numpy().astype(np.float32)))


@pytest.fixture
def logits():
    return (
        2 * torch.randn(6, N_ITEMS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).requires_grad_()


def gradient_of(loss, logits):
    """Gradient of a weighted sum, so that a user's gradient cannot pass for another's."""
    weights = torch.linspace(0.5, 2.0, len(loss), dtype=loss.dtype)
    (gradient,) = torch.autograd.grad((weights * loss).sum(), logits)
    return gradient


def assert_same_loss(loss, expected, logits, **tolerance):
    torch.testing.assert_close(loss, expected, **tolerance)
    torch.testing.assert_close(gradient_of(loss, logits), gradient_of(expected, logits), **tolerance)


DENSE = {
    "multinomial": lambda eta, x: -(torch.log_softmax(eta, -1) * x).sum(-1),
    "bernoulli": lambda eta, x: functional.binary_cross_entropy_with_logits(eta, x, reduction="none").sum(-1),
    "gaussian": lambda eta, x: (0.5 * (eta - x) ** 2).sum(-1) - 0.5 * x.sum(-1),
    "poisson": lambda eta, x: -distributions.Poisson(eta.exp()).log_prob(x).sum(-1),
}


@pytest.mark.parametrize("likelihood", DENSE)
def test_loss_and_gradient_equal_the_dense_formula_under_autograd(likelihood, logits, x, observed):
    assert_same_loss(likelihood_loss(logits, observed, likelihood), DENSE[likelihood](logits, x), logits)


@pytest.mark.parametrize("likelihood", DENSE)
def test_the_written_gradient_passes_gradcheck(likelihood, logits, observed):
    assert torch.autograd.gradcheck(lambda eta: likelihood_loss(eta, observed, likelihood), (logits,))


@pytest.mark.parametrize("confidence", [1.0, 4.0, 30.0])
def test_gaussian_confidence_weighs_each_observed_squared_error(confidence, logits, x, observed):
    expected = []
    for user in range(len(x)):
        terms = [
            0.5 * (confidence if x[user, i] else 1.0) * (logits[user, i] - x[user, i]) ** 2 for i in range(N_ITEMS)
        ]
        free_of_logits = 0.5 * confidence * x[user].sum()
        expected.append(sum(terms) - free_of_logits)
    assert_same_loss(likelihood_loss(logits, observed, "gaussian", confidence), torch.stack(expected), logits)


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "poisson"])
def test_confidence_without_squared_errors_is_refused(likelihood, logits, observed):
    with pytest.raises(InvalidInput, match="squared errors"):
        likelihood_loss(logits, observed, likelihood, 2.0)


def test_an_unknown_likelihood_is_refused(logits, observed):
    with pytest.raises(InvalidInput, match="choose one of"):
        likelihood_loss(logits, observed, "cauchy")


def test_a_user_without_items_has_only_the_partition_term(logits, observed):
    empty = logits.detach()[2]
    losses = {name: float(likelihood_loss(logits, observed, name)[2].detach()) for name in DENSE}
    assert losses["multinomial"] == 0.0
    assert losses["bernoulli"] == pytest.approx(math.fsum(math.log1p(math.exp(v)) for v in empty.tolist()))
    assert losses["gaussian"] == pytest.approx(0.5 * math.fsum(v * v for v in empty.tolist()))
    assert losses["poisson"] == pytest.approx(math.fsum(math.exp(v) for v in empty.tolist()))


@pytest.mark.parametrize("likelihood", DENSE)
def test_a_batch_without_users_has_an_empty_loss(likelihood):
    nobody = Observed.of(sparse.csr_array((0, N_ITEMS), dtype=np.float32))
    assert likelihood_loss(torch.zeros(0, N_ITEMS), nobody, likelihood).shape == (0,)


def test_huge_logits_overflow_neither_value_nor_gradient(x, observed):
    logits = torch.full((6, N_ITEMS), -2000.0)
    logits[:, 3] = 2000.0
    logits.requires_grad_()
    loss = likelihood_loss(logits, observed, "multinomial")
    loss.sum().backward()
    others = x.sum(-1) - x[:, 3]
    torch.testing.assert_close(loss.detach().double(), 4000.0 * others)
    assert torch.isfinite(logits.grad).all()


def test_logits_stored_by_column_give_the_same(logits, x, observed):
    by_column = logits.detach().t().contiguous().t().requires_grad_()
    assert not by_column.is_contiguous()
    assert_same_loss(likelihood_loss(by_column, observed, "multinomial"), DENSE["multinomial"](by_column, x), by_column)


def test_logits_are_left_as_they_were(logits, observed):
    before = logits.detach().clone()
    for likelihood in DENSE:
        likelihood_loss(logits, observed, likelihood).sum().backward()
    assert torch.equal(logits.detach(), before)


@pytest.mark.parametrize("likelihood", DENSE)
def test_a_graph_kept_for_a_second_pass_gives_the_same_gradient(likelihood, logits, observed):
    loss = likelihood_loss(logits, observed, likelihood).sum()
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (second,) = torch.autograd.grad(loss, logits)
    assert torch.equal(first, second)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_the_gradient_cannot_be_differentiated_as_if_it_were_constant(logits, observed):
    loss = likelihood_loss(logits, observed, "multinomial") ** 2
    (gradient,) = torch.autograd.grad(loss.sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        (gradient.square().sum() + logits.sum()).backward()


@pytest.mark.parametrize("negatives", [N_ITEMS, 500])
def test_softmax_over_all_unobserved_items_is_the_multinomial_loss(negatives, logits, x, observed):
    loss = sampled_softmax_loss(logits, observed, negatives)
    assert_same_loss(loss, DENSE["multinomial"](logits, x), logits)


@pytest.mark.parametrize("negatives", [1, 3])
def test_sampled_softmax_equals_a_loop_over_own_and_hardest_items(negatives, logits, x, observed):
    expected = []
    for user in range(len(x)):
        own = [i for i in range(N_ITEMS) if x[user, i]]
        others = sorted((i for i in range(N_ITEMS) if not x[user, i]), key=lambda i: -float(logits.detach()[user, i]))
        pool = logits[user, own + others[:negatives]]
        expected.append(sum((torch.logsumexp(pool, 0) - logits[user, i] for i in own), 0 * logits[user, 0]))
    assert_same_loss(sampled_softmax_loss(logits, observed, negatives), torch.stack(expected), logits)


def test_fewer_negatives_make_the_softmax_loss_smaller(logits, x, observed):
    losses = torch.stack([sampled_softmax_loss(logits, observed, m).detach() for m in range(1, N_ITEMS + 1)])
    steps = losses.diff(dim=0)
    assert (steps >= -1e-12).all()
    for user in (0, 1, 5):
        # Each further unobserved item adds to the denominator, until there are none left.
        unobserved = int((x[user] == 0).sum())
        assert (steps[: unobserved - 1, user] > 0).all()
        assert (steps[unobserved - 1 :, user].abs() < 1e-12).all()


def test_softmax_gradients_are_finite_for_users_with_all_or_no_items(logits, observed):
    for negatives in (1, N_ITEMS):
        loss = sampled_softmax_loss(logits, observed, negatives)
        assert torch.isfinite(gradient_of(loss, logits)).all()
        assert float(loss[2].detach()) == 0.0


def looped_bpr(logits, x, negatives, seed):
    """Loss and gradient entry by entry, with the draws that the loss makes."""
    entries = [(u, i) for u in range(len(x)) for i in range(N_ITEMS) if x[u, i]]
    drawn = torch.randint(N_ITEMS, (len(entries), negatives), generator=torch.Generator().manual_seed(seed)).tolist()
    loss, gradient = np.zeros(len(x)), np.zeros(logits.shape)
    for (user, item), candidates in zip(entries, drawn, strict=True):
        unobserved = [j for j in candidates if not x[user, j]]
        if not unobserved:
            continue
        hardest = max(unobserved, key=lambda j: logits[user, j])
        gap = logits[user, hardest] - logits[user, item]
        loss[user] += math.log1p(math.exp(gap))
        slope = 1.0 / (1.0 + math.exp(-gap))
        gradient[user, hardest] += slope
        gradient[user, item] -= slope
    return loss, gradient


@pytest.mark.parametrize("negatives", [1, 2, 8, 40])
def test_bpr_equals_a_loop_with_the_same_draws(negatives, logits, x, observed):
    loss = bpr_loss(logits, observed, negatives, torch.Generator().manual_seed(SEED))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    expected, expected_gradient = looped_bpr(logits.detach().numpy(), x.numpy(), negatives, SEED)
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(gradient.numpy(), expected_gradient, rtol=1e-10, atol=1e-14)


def test_items_whose_draws_are_all_observed_give_no_bpr_loss_and_no_nan(logits, x, observed):
    loss = bpr_loss(logits, observed, 3, torch.Generator().manual_seed(SEED))
    gradient = gradient_of(loss, logits)
    everything = 4
    assert x[everything].all()
    assert float(loss[everything].detach()) == 0.0
    assert torch.equal(gradient[everything], torch.zeros(N_ITEMS, dtype=torch.float64))
    assert torch.isfinite(gradient).all()


def test_bpr_falls_as_own_items_rise_above_all_others(logits, x, observed):
    raised = logits.detach() + 5.0 * x
    before, after = (bpr_loss(eta, observed, 4, torch.Generator().manual_seed(SEED)) for eta in (logits, raised))
    ranked = before > 0
    assert ranked.tolist() == [True, True, False, False, False, True]
    assert (after[ranked] < before[ranked]).all()
