"""Bad input gets one line that names the argument."""

import numpy as np
import pytest
import torch
from torch import nn

import collabtheory as ct
from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.models.likelihoods import Gaussian
from collabtheory.transfer import TransferKernels


def refuses(match, function, *args, error=InvalidInput, **kwargs):
    with pytest.raises(error, match=match) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)


@pytest.fixture(params=["outer_product", "torch_func"])
def path(request):
    return request.param


@pytest.fixture
def world(make_world):
    return make_world()


def test_codes_must_be_finite_and_three_dimensional(world, path):
    bad = world.codes.copy()
    bad[3, 1, 2] = np.nan
    build = TransferKernels
    refuses(r"codes\[3, 1, 2\] is nan", build, world.decoder, "multinomial", world.x, bad, path=path)
    refuses("3-D", build, world.decoder, "multinomial", world.x, world.codes[:, 0], path=path)
    refuses("at least one", build, world.decoder, "multinomial", world.x, world.codes[:, :0], path=path)
    refuses("at least one", build, world.decoder, "multinomial", world.x[:0], world.codes[:0], path=path)
    refuses("real numbers", build, world.decoder, "multinomial", world.x, [[["a"]]], path=path)
    refuses("real numbers", build, world.decoder, "multinomial", world.x, [[[1.0], [1.0, 2.0]]], path=path)
    refuses("real numbers", build, world.decoder, "multinomial", world.x, world.codes + 1j, path=path)


def test_contents_must_be_nonnegative_finite_and_match_the_codes(world, path):
    build, codes = TransferKernels, world.codes
    for value in (-1.0, np.nan, np.inf):
        bad = world.x.copy()
        bad[4, 7] = value
        refuses(r"x\[4, 7\]", build, world.decoder, "multinomial", bad, codes, path=path)
    refuses("x has 5 rows, codes have 6", build, world.decoder, "multinomial", world.x[:5], codes, path=path)
    refuses("2-D", build, world.decoder, "multinomial", world.x[0], codes, path=path)
    refuses("item", build, world.decoder, "multinomial", world.x[:, :10], codes, path=path)
    refuses("real", build, world.decoder, "multinomial", world.x + 0j, codes, path=path)
    refuses("array of numbers", build, world.decoder, "multinomial", [["a"]], codes, path=path)


def test_decoder_must_fit(world, path):
    args = ("multinomial", world.x, world.codes)
    refuses("torch.nn.Module", TransferKernels, lambda z: z, *args, path=path)
    refuses("no parameter", TransferKernels, nn.Identity(), *args, path=path)
    refuses("3", TransferKernels, nn.Linear(5, 11), *args, path=path)
    broken = nn.Linear(3, 11)
    with torch.no_grad():
        broken.weight[0, 0] = np.nan
    refuses("weight has an entry that is not finite", TransferKernels, broken, *args, path=path)


def test_options_must_be_known(world):
    args = (world.decoder, "multinomial", world.x, world.codes)
    refuses("'user', 'interaction'", TransferKernels, *args, scale="item")
    refuses("path must be one of", TransferKernels, *args, path="fast")
    refuses("dtype must be", TransferKernels, *args, dtype=torch.float16)
    refuses("choose one of", TransferKernels, world.decoder, "cauchy", world.x, world.codes)
    refuses("diagonal must be", ct.transfer.gradient_gram, *args, diagonal="exact")
    refuses("pairing must be", ct.transfer.gradient_gram, *args, pairing="none")
    refuses("n_samples", ct.transfer.directional_slopes, *args, n_samples=9)
    one = (world.decoder, "multinomial", world.x, world.codes[:, :1])
    refuses("two samples", ct.transfer.gradient_gram, *one, diagonal="unbiased")
    refuses("two samples", ct.transfer.gradient_gram_standard_error, *one)


def test_learning_rates_and_rows_must_make_sense(world):
    change = TransferKernels(world.decoder, "multinomial", world.x, world.codes).step_loss_change
    pairs = TransferKernels(world.decoder, "multinomial", world.x, world.codes).step_loss_change_pairs
    for rate in (-1e-3, np.nan, np.inf, [1e-3, -1.0]):
        refuses("learning_rate must be finite and nonnegative", change, rate)
    refuses("learning_rate must be a number", change, "fast")
    refuses("1-D", change, [[1e-3]])
    refuses("users has 6", change, 0.1, users=[0, 6])
    refuses("sources must be a list of row numbers", change, 0.1, sources=[0.5])
    refuses("equally long", pairs, 0.1, [0, 1], [0])


def test_likelihood_whose_mean_is_not_affine_in_the_size_is_refused(world):
    class Odd(Gaussian):
        name = "odd"

        def mean(self, logits, n):
            return n[..., None] ** 2 * logits

    refuses("not affine", TransferKernels, world.decoder, Odd(), world.x, world.codes, error=PremiseNotMet)
