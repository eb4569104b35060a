import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from collabtheory.errors import PremiseNotMet
from collabtheory.models.likelihoods import LIKELIHOODS
from collabtheory.models.objectives import Observed
from collabtheory.models.output_loss import ALIGNED, Buffers, decoder_parts, output_loss


def world(seed=0, users=7, items=37, width=5):
    rng = np.random.default_rng(seed)
    x = sparse.csr_array((rng.random((users, items)) < 0.2).astype(np.float64))
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(users, width, dtype=torch.float64, generator=generator, requires_grad=True)
    layer = nn.Linear(width, items, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(items, width, dtype=torch.float64, generator=generator))
        layer.bias.copy_(torch.randn(items, dtype=torch.float64, generator=generator))
    return x, hidden, layer, torch.rand(users, dtype=torch.float64, generator=generator)


def dense_loss(x, logits, likelihood):
    x = torch.from_numpy(x.toarray())
    seen = (logits * x).sum(1)
    if likelihood == "multinomial":
        return x.sum(1) * torch.logsumexp(logits, 1) - seen
    partition = {
        "bernoulli": torch.nn.functional.softplus(logits),
        "poisson": logits.exp(),
        "gaussian": 0.5 * logits**2,
    }
    return partition[likelihood].sum(1) - seen


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_value_and_gradients_are_those_of_autograd_on_the_dense_formula(likelihood):
    x, hidden, layer, weights = world()
    variables = (hidden, layer.weight, layer.bias)
    found = output_loss(hidden, layer, Observed.of(x), likelihood, 1.0, Buffers())
    got = torch.autograd.grad((found * weights).sum(), variables)
    expected = dense_loss(x, layer(hidden), likelihood)
    wanted = torch.autograd.grad((expected * weights).sum(), variables)
    assert torch.allclose(found, expected, rtol=1e-12)
    for one, other in zip(got, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


def test_blocks_of_rows_do_not_change_the_result(monkeypatch):
    from collabtheory.models import objectives

    x, hidden, layer, _ = world(users=9)
    whole = output_loss(hidden, layer, Observed.of(x), "multinomial", 1.0, Buffers())
    monkeypatch.setattr(objectives, "CACHED", 80)  # two rows of 37
    assert torch.equal(output_loss(hidden, layer, Observed.of(x), "multinomial", 1.0, Buffers()), whole)


def test_a_buffer_goes_round_and_its_rows_are_aligned():
    buffers = Buffers()
    first = buffers.take(4, 37, torch.float32)
    assert first.shape == (4, 37)
    assert first.stride() == (-(-37 // ALIGNED) * ALIGNED, 1)
    buffers.give(first)
    assert buffers.take(3, 37, torch.float32).data_ptr() == first.data_ptr()
    assert buffers.take(3, 37, torch.float32).data_ptr() != first.data_ptr()


def test_two_losses_before_either_backward_do_not_share_a_buffer():
    x, hidden, layer, _ = world()
    other = world(1)[0]
    buffers = Buffers()
    output_loss(hidden, layer, Observed.of(x), "multinomial", 1.0, buffers).sum().backward()  # leaves a buffer behind
    hidden.grad = None
    one = output_loss(hidden, layer, Observed.of(x), "multinomial", 1.0, buffers)
    two = output_loss(hidden, layer, Observed.of(other), "multinomial", 1.0, buffers)
    (one.sum() + two.sum()).backward()
    expected = dense_loss(x, layer(hidden), "multinomial").sum() + dense_loss(other, layer(hidden), "multinomial").sum()
    (wanted,) = torch.autograd.grad(expected, hidden)
    assert torch.allclose(hidden.grad, wanted, rtol=1e-10)


def test_a_second_backward_is_refused_and_not_wrong():
    x, hidden, layer, _ = world()
    loss = output_loss(hidden, layer, Observed.of(x), "multinomial", 1.0, Buffers()).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="used already"):
        loss.backward()


def test_a_decoder_that_does_not_end_in_a_linear_layer_gives_no_logits():
    with pytest.raises(PremiseNotMet, match="Tanh"):
        decoder_parts(nn.Sequential(nn.Linear(2, 3), nn.Tanh()))


def test_a_decoder_of_one_layer_has_nothing_before_it():
    before, last = decoder_parts(nn.Linear(2, 3))
    z = torch.randn(4, 2)
    assert torch.equal(last(before(z)), last(z))
