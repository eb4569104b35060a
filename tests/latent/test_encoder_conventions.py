"""Both sides of Lemma 2.4 under the three masking conventions, against plain loops over users."""

import itertools

import numpy as np
import pytest
import torch
from flint import arb
from scipy import sparse
from torch import nn

import collabtheory as ct
from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent.encoder_conventions import CONVENTIONS
from collabtheory.models.recommender import EncoderLayers
from collabtheory.rigor.compare import Decision
from collabtheory.rigor.fixed_cases import on_fixed_cases

KEEP = 0.4


def make_layers(n_items=6, hidden=5, d=2, seed=0, activation=nn.Tanh):
    torch.manual_seed(seed)
    trunk = nn.Sequential(nn.Linear(n_items, hidden), activation()).double()
    return EncoderLayers(trunk, nn.Linear(hidden, d).double(), nn.Linear(hidden, d).double(), "mask_only", KEEP)


def all_sets(n_items):
    return sparse.csr_array(np.array(list(itertools.product([0.0, 1.0], repeat=n_items))))


def encoded_by_hand(layers, x, masking, kept):
    """One user at a time, from the formulas of the conventions."""
    x, mask = np.asarray(x, dtype=float), np.ones(len(x)) if kept is None else np.asarray(kept, dtype=float)
    scale = 1.0 if kept is None else 1 / KEEP
    if masking == "normalise_then_mask":
        entries, used = x / max(np.sqrt(x.sum()), 1e-300) * mask * scale, x
    else:
        used = x * mask
        entries = used if masking == "mask_only" else used / max(np.sqrt(used.sum()), 1e-300)
    hidden = layers.trunk(torch.from_numpy(entries))
    mean, log_variance = layers.mean_head(hidden), layers.log_variance_head(hidden)
    return used, np.concatenate([mean.detach().numpy(), np.exp(0.5 * log_variance.detach().numpy())])


@pytest.mark.parametrize("masking", CONVENTIONS)
@pytest.mark.parametrize("kept", [None, (1, 1, 0, 1, 0, 1)])
def test_pairs_of_every_convention_are_those_of_plain_loops_and_within_both_bounds(masking, kept):
    layers = make_layers()
    contents = all_sets(6)
    found = ct.latent.encode_pairs(layers, contents, masking, kept=kept)
    users = [encoded_by_hand(layers, x, masking, kept) for x in contents.toarray()]
    for row in range(0, len(found.first), 17):
        (x, p), (y, q) = users[found.first[row]], users[found.second[row]]
        assert found.flips[row] == np.abs(x - y).sum()
        assert found.distance[row] == pytest.approx(np.linalg.norm(p - q), rel=1e-9, abs=1e-12)
    apart = found.flips > 0
    assert len(found.first) == 64 * 63 // 2
    assert apart.sum() > 1900
    assert (found.distance <= found.group_bound + 1e-12).all()
    # All sets are in the group, and still its constant is the smaller one: boxes of states, not worst cases of weights.
    assert (found.group_bound[apart] <= found.bound[apart] * (1 + 1e-8)).all()
    assert (found.tightness <= found.group_tightness * (1 + 1e-8)).all()
    assert found.group_tightness.max() > 0.2


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_constant_of_a_group_holds_between_its_members_and_not_beyond(activation):
    layers = make_layers(seed=3, activation=activation)
    with torch.no_grad():
        # Saturated where the second item is: members without it see another slope than those with it.
        layers.trunk[0].weight[:, 1] = -6.0
    group = np.array([[1.0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 1]])
    modules = layers.trunk, layers.mean_head, layers.log_variance_head
    bound = ct.latent.encoder_lipschitz_by_size(*modules, [0], normalise=False, group=group)[0]
    everyone = ct.latent.encoder_lipschitz_by_size(*modules, [0], normalise=False)[0]
    found = ct.latent.encode_pairs(layers, sparse.csr_array(group), "mask_only")
    assert (found.distance <= bound * found.flips).all()
    assert bound < 0.5 * everyone
    far = ct.latent.encode_pairs(layers, sparse.csr_array(np.eye(6)[[0, 3]]), "mask_only")
    assert bound * far.flips[0] < far.distance[0] <= everyone * far.flips[0]


def test_constants_by_size_are_those_of_single_calls():
    layers = make_layers()
    modules = layers.trunk, layers.mean_head, layers.log_variance_head
    for normalise in (True, False):
        together = ct.latent.encoder_lipschitz_by_size(*modules, range(4), normalise=normalise, input_scale=1.3)
        single = [
            ct.latent.encoder_lipschitz(*modules, normalise=normalise, n_min=n, input_scale=1.3).upper for n in range(4)
        ]
        np.testing.assert_array_equal(together, single)


def test_misuse_is_refused():
    layers, x = make_layers(), all_sets(6)
    with pytest.raises(InvalidInput, match="masking must be one of"):
        ct.latent.encode_pairs(layers, x, "never")
    with pytest.raises(InvalidInput, match="two or more users"):
        ct.latent.encode_pairs(layers, x[:1], "mask_only")
    with pytest.raises(InvalidInput, match="kept must have shape"):
        ct.latent.encode_pairs(layers, x, "mask_only", kept=[True])
    with pytest.raises(InvalidInput, match="group must have at least one row"):
        ct.latent.encoder_lipschitz_by_size(
            layers.trunk, layers.mean_head, layers.log_variance_head, [1], normalise=True, group=np.zeros((0, 6))
        )
    odd = EncoderLayers(nn.Sequential(nn.LayerNorm(6)), layers.mean_head, layers.log_variance_head, "mask_only", 0.5)
    with pytest.raises(PremiseNotMet, match="LayerNorm"):
        ct.latent.encode_pairs(odd, x, "mask_only")


def test_fixed_cases_name_the_first_that_fails_and_never_guess_a_tie():
    failed = on_fixed_cases(lambda: (np.array([arb(1), arb(3).sqrt(), arb(9)], dtype=object), "<=", arb(1)), "roots")
    assert failed.decision is Decision.FALSE
    assert failed.worst["case"] == 1
    tie = on_fixed_cases(lambda: (arb(3).sqrt() ** 2, "<=", arb(3)), "an equality")
    assert tie.decision is Decision.UNDECIDED
