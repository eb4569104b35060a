"""The three forms of the content mismatch against loops of autograd."""

import numpy as np
import pytest
import torch
from torch import nn

from collabtheory.errors import InvalidInput
from collabtheory.transfer import content_mismatch
from collabtheory.transfer.mismatch_forms import content_mismatch_forms

from .conftest import Oracle, World


def world(seed, hidden=5, n_samples=3):
    torch.manual_seed(seed)
    decoder = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 6)).double()
    rng = np.random.default_rng(seed)
    x = (rng.random((4, 6)) < 0.5).astype(float)
    x[1] = x[0]
    return World(decoder, x, rng.normal(size=(4, n_samples, 2)))


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian"])
@pytest.mark.parametrize("scale", ["user", "interaction"])
def test_every_form_matches_autograd(likelihood, scale):
    given = world(0)
    oracle = Oracle(given, likelihood, scale)
    forms = content_mismatch_forms(given.decoder, likelihood, given.x, given.codes, scale=scale)
    for u in range(4):
        for v in range(4):
            differences = [
                oracle.gradient(u, oracle.codes[v, s : s + 1]) - oracle.gradient(v, oracle.codes[v, s : s + 1])
                for s in range(3)
            ]
            norms = [float(one.norm()) for one in differences]
            assert forms.tight[u, v] == pytest.approx(float(torch.stack(differences).mean(0).norm()), abs=1e-10)
            assert forms.mean_norm[u, v] == pytest.approx(np.mean(norms), abs=1e-10)
            assert forms.largest[u, v] == pytest.approx(max(norms), abs=1e-10)


def test_forms_are_ordered_zero_for_equal_contents_and_equal_for_one_sample():
    given = world(1)
    forms = content_mismatch_forms(given.decoder, "multinomial", given.x, given.codes)
    assert (forms.tight <= forms.mean_norm * (1 + 1e-12)).all()
    assert (forms.mean_norm <= forms.largest * (1 + 1e-12)).all()
    assert forms.tight[0, 1] == forms.mean_norm[0, 1] == forms.largest[0, 1] == 0
    assert forms.tight[0, 2] < forms.mean_norm[0, 2] < forms.largest[0, 2]
    one = content_mismatch_forms(given.decoder, "multinomial", given.x, given.codes[:, :1])
    assert np.array_equal(one.tight, one.mean_norm)
    assert np.array_equal(one.tight, one.largest)


def test_the_tight_form_is_the_content_mismatch_and_results_follow_the_input():
    given = world(2)
    forms = content_mismatch_forms(given.decoder, "multinomial", torch.from_numpy(given.x), given.codes)
    assert all(isinstance(form, torch.Tensor) for form in (forms.tight, forms.mean_norm, forms.largest))
    expected = content_mismatch(given.decoder, "multinomial", given.x, given.codes)
    assert np.allclose(forms.tight, expected, rtol=1e-14)


def test_a_decoder_without_closed_form_gives_the_same():
    given = world(3)

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = given.decoder

        def forward(self, z):
            return self.inner(z)

    expected = content_mismatch_forms(given.decoder, "bernoulli", given.x, given.codes)
    found = content_mismatch_forms(Wrapped(), "bernoulli", given.x, given.codes)
    assert np.allclose(found.mean_norm, expected.mean_norm, atol=1e-10)
    assert np.allclose(found.largest, expected.largest, atol=1e-10)


def test_codes_of_other_users_are_refused():
    given = world(4)
    with pytest.raises(InvalidInput, match="one row per user"):
        content_mismatch_forms(given.decoder, "multinomial", given.x[:2], given.codes)
