"""Lanczos' method for the local Lipschitz constant of the gradient, against its dense Jacobian and the d x d matrix."""

import numpy as np
import pytest
import torch
from torch import nn

from collabtheory.errors import InvalidInput, NumericalFailure
from collabtheory.latent import gradient_jacobian, lanczos_gradient_lipschitz, local_gradient_lipschitz


def decoder(d=6, hidden=9, items=15, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, hidden), nn.Tanh(), nn.Linear(hidden, items)).double()


def case(n=12, d=6, items=15):
    rng = np.random.default_rng(0)
    return (rng.random((n, items)) < 0.3).astype(float), rng.normal(size=(n, d))


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian", "poisson"])
def test_as_many_steps_as_dimensions_give_the_exact_constant(likelihood):
    x, codes = case()
    exact = local_gradient_lipschitz(decoder(), likelihood, x, codes)
    np.testing.assert_allclose(lanczos_gradient_lipschitz(decoder(), likelihood, x, codes), exact, rtol=1e-11)


def test_constant_is_the_norm_of_the_dense_jacobian_of_autograd():
    net, (x, codes) = decoder(), case(n=2)

    def gradient(code, content):
        parameters = {name: value.detach() for name, value in net.named_parameters()}

        def loss(weights):
            logits = torch.func.functional_call(net, weights, (code,))
            return content.sum() * torch.logsumexp(logits, 0) - logits @ content

        return torch.cat([part.flatten() for part in torch.func.grad(loss)(parameters).values()])

    found = lanczos_gradient_lipschitz(net, "multinomial", x, codes)
    for row in range(2):
        content = torch.tensor(x[row])
        jacobian = torch.func.jacfwd(lambda z, content=content: gradient(z, content))(torch.tensor(codes[row]))
        assert found[row] == pytest.approx(float(torch.linalg.matrix_norm(jacobian, 2)), rel=1e-11)


def test_fewer_steps_stay_below_and_more_steps_never_fall():
    x, codes = case(n=20, d=30)
    exact = local_gradient_lipschitz(decoder(d=30), "multinomial", x, codes)
    by_steps = [
        lanczos_gradient_lipschitz(decoder(d=30), "multinomial", x, codes, steps=steps, tolerance=0)
        for steps in (2, 5, 12)
    ]
    assert (np.diff(np.stack([*by_steps, exact]), axis=0) >= -1e-12).all()
    assert (by_steps[0] < 0.999 * exact).any()


def test_users_without_items_have_constant_zero_and_blocks_change_nothing(monkeypatch):
    x, codes = case()
    x[3] = 0
    whole = lanczos_gradient_lipschitz(decoder(), "multinomial", x, torch.tensor(codes))
    assert float(whole[3]) == 0.0
    monkeypatch.setattr(gradient_jacobian, "_BLOCK_ENTRIES", 60)
    np.testing.assert_allclose(lanczos_gradient_lipschitz(decoder(), "multinomial", x, codes), whole, rtol=1e-12)


def test_bad_arguments_and_overflow_are_refused():
    x, codes = case()
    with pytest.raises(InvalidInput, match="steps must be at least 1"):
        lanczos_gradient_lipschitz(decoder(), "multinomial", x, codes, steps=0)
    with pytest.raises(NumericalFailure, match="code 0 left the finite numbers"):
        lanczos_gradient_lipschitz(nn.Linear(6, 15), "poisson", x, codes * 1e5)
    assert lanczos_gradient_lipschitz(decoder(), "multinomial", x[:0], codes[:0]).shape == (0,)
