"""Decoders without a closed form, and decoders that only look like a chain."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import collabtheory as ct
from collabtheory.errors import PremiseNotMet
from collabtheory.transfer import TransferKernels, kernel_for

LIKELIHOODS = ("multinomial", "bernoulli", "gaussian", "poisson")


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 6)
        self.convolution = nn.Conv1d(1, 2, 3, padding=1)
        self.last = nn.Linear(12, 11)

    def forward(self, z):
        hidden = torch.tanh(self.first(z))
        hidden = torch.tanh(self.convolution(hidden[:, None, :]))
        return self.last(hidden.flatten(1))


class Stubborn(nn.Module):
    """Control flow on values: vmap cannot batch it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 11)

    def forward(self, z):
        scale = 1.0 if float(z.detach().sum()) < 1e9 else 2.0
        return scale * torch.tanh(self.layer(z)) ** 3


def normalised():
    return nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 11))


def all_of(kernels):
    return {
        "gram": kernels.gradient_gram(),
        "unbiased": kernels.gradient_gram(diagonal="unbiased"),
        "same sample": kernels.gradient_gram(pairing="same_sample"),
        "norms": kernels.gradient_norms(),
        "gap": kernels.gradient_gap(),
        "mismatch": kernels.content_mismatch(),
        "alignment": kernels.alignment(),
        "slopes": kernels.directional_slopes(n_samples=2),
        "long steps": kernels.step_loss_change(1e-2),
        "short steps": kernels.step_loss_change(1e-9),
        "pairs": kernels.step_loss_change_pairs([1e-2, 1e-4], [0, 3, 0], [3, 0, 3]),
    }


@pytest.mark.parametrize("scale", ["user", "interaction"])
@pytest.mark.parametrize("widths", [(3, 11), (3, 7, 11), (3, 6, 5, 11)])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_both_paths_agree_on_a_chain(likelihood, widths, scale, make_world, close):
    world = make_world(widths=widths, n_users=5)
    fast, slow = (
        TransferKernels(world.decoder, likelihood, world.x, world.codes, scale=scale, path=path)
        for path in ("outer_product", "torch_func")
    )
    assert (fast.path, slow.path) == ("outer_product", "torch_func")
    expected = all_of(fast)
    for name, values in all_of(slow).items():
        close(values, expected[name])


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("build", [normalised, Convolutional, Stubborn])
def test_other_decoders_equal_autograd(build, likelihood, make_world, make_oracle, close):
    world = make_world(build(), n_users=4, n_samples=2)
    assert kernel_for(world.decoder) == "torch_func"
    oracle = make_oracle(world, likelihood)
    kernels = TransferKernels(world.decoder, likelihood, world.x, world.codes)
    assert kernels.path_reason
    close(kernels.gradient_gram(), oracle.gram())
    close(kernels.content_mismatch(), oracle.mismatch())
    close(kernels.alignment(), oracle.alignment())
    close(kernels.directional_slopes(), oracle.slopes(2))
    close(kernels.step_loss_change(1e-2), oracle.loss_change(1e-2))


def test_small_blocks_change_nothing_on_the_automatic_path(make_world, close):
    world = make_world(normalised(), n_users=5)
    args = (world.decoder, "multinomial", world.x, world.codes)
    expected = all_of(TransferKernels(*args))
    for name, values in all_of(TransferKernels(*args, memory_bytes=1)).items():
        close(values, expected[name])


def test_dropout_is_evaluated_never_sampled(make_world, make_oracle, close):
    world = make_world(nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 11)))
    world.decoder.train()
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    close(kernels.gradient_gram(), make_oracle(world, "multinomial").gram())
    assert world.decoder.training


def test_decoder_that_stays_random_is_refused(make_world):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 11)

        def forward(self, z):
            return self.layer(z) + torch.randn(z.shape[0], 11, dtype=z.dtype)

    world = make_world(Noisy())
    with pytest.raises(PremiseNotMet, match="random in evaluation mode"):
        TransferKernels(world.decoder, "multinomial", world.x, world.codes)


def test_frozen_parameters_belong_to_theta(make_world, make_oracle, close):
    for build in (lambda: None, normalised):
        world = make_world(build())
        expected = make_oracle(world, "multinomial").gram()
        world.decoder.requires_grad_(False)
        close(ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes), expected)
        assert not any(parameter.requires_grad for parameter in world.decoder.parameters())


def test_one_activation_object_used_twice_is_applied_twice(make_world, make_oracle, close):
    act = nn.Tanh()
    world = make_world(nn.Sequential(nn.Linear(3, 5), act, nn.Linear(5, 4), act, nn.Linear(4, 11)))
    gram = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes)
    close(gram, make_oracle(world, "multinomial").gram())


def test_shared_weights_are_one_parameter(make_world, make_oracle, close):
    shared = nn.Linear(3, 3)
    for decoder in (
        nn.Sequential(shared, nn.Tanh(), shared, nn.Tanh(), nn.Linear(3, 11)),
        nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 11)),
    ):
        if decoder[0] is not decoder[2]:
            decoder[2].weight = decoder[0].weight
        world = make_world(decoder)
        kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
        assert kernels.path == "torch_func"
        close(kernels.gradient_gram(), make_oracle(world, "multinomial").gram())


def test_parametrized_weights_differentiate_their_parameters(make_world, make_oracle, close):
    world = make_world(
        nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 7)), nn.Tanh(), nn.Linear(7, 11)), n_users=4
    )
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    assert kernels.path == "torch_func"
    close(kernels.gradient_gram(), make_oracle(world, "multinomial").gram())


def test_unused_parameter_adds_nothing(make_world, make_oracle, close):
    class Extra(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(3, 11))
            self.unused = nn.Parameter(torch.ones(4))

    world = make_world(Extra())
    close(
        ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes),
        make_oracle(world, "multinomial").gram(),
    )


def test_closed_form_can_be_demanded(make_world):
    world = make_world(normalised())
    with pytest.raises(PremiseNotMet, match="LayerNorm"):
        TransferKernels(world.decoder, "multinomial", world.x, world.codes, path="outer_product")


def test_kinked_decoder_takes_exact_steps(make_world, make_oracle, close):
    world = make_world(
        nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 11)), n_users=8, n_samples=4
    )
    for rate in (0.3, 1e-2, 1e-4):
        change = ct.transfer.step_loss_change(world.decoder, "multinomial", world.x, world.codes, rate)
        close(change, make_oracle(world, "multinomial").loss_change(rate), 1e-9)


def test_torch_in_torch_out_on_both_paths(make_world):
    world = make_world()
    for path in ("outer_product", "torch_func"):
        kernels = TransferKernels(world.decoder, "multinomial", world.x, torch.from_numpy(world.codes), path=path)
        for values in all_of(kernels).values():
            assert isinstance(values, torch.Tensor)
            assert values.dtype == torch.float64
            assert not values.requires_grad
        numpy_kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes, path=path)
        assert all(isinstance(values, np.ndarray) for values in all_of(numpy_kernels).values())
