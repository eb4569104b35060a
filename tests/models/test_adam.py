"""Adam: every weight and moment bit for bit that of torch's optimiser classes, and no compiler imported for it."""

import subprocess
import sys

import pytest
import torch

from collabtheory.models.adam import Adam


def weights():
    generator = torch.Generator().manual_seed(1)
    shapes = [(5, 7), (7,), (3, 5)]
    drawn = [torch.randn(shape, generator=generator) for shape in shapes]
    drawn[0] = drawn[0].t().contiguous().t()  # as the first layer lies in memory
    return [torch.nn.Parameter(one) for one in drawn]


def gradients(step):
    generator = torch.Generator().manual_seed(step)
    return [torch.randn((5, 7), generator=generator), torch.randn((7,), generator=generator), None]


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
def test_steps_are_those_of_torchs_optimisers(decoupled, decay):
    ours, theirs = weights(), weights()
    optimiser = Adam(ours, 0.01, weight_decay=decay, decoupled=decoupled)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    oracle = kind(theirs, lr=0.01, weight_decay=decay, fused=True)
    for step in range(5):
        optimiser.learning_rate = oracle.param_groups[0]["lr"] = 0.01 * 0.7**step
        for one, other, gradient in zip(ours, theirs, gradients(step), strict=True):
            one.grad, other.grad = gradient, None if gradient is None else gradient.clone()
        optimiser.step()
        oracle.step()
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    held = oracle.state_dict()["state"]
    assert optimiser.moments.keys() == held.keys() == {0, 1}
    assert all(torch.equal(optimiser.moments[k][name], held[k][name]) for k in held for name in held[k])


def test_moments_from_a_file_lie_in_memory_as_their_parameter():
    whole, resumed = weights(), weights()
    first, second = Adam(whole, 0.01), Adam(resumed, 0.01)
    for step in range(4):
        if step == 2:
            saved = {
                k: {name: v.clone(memory_format=torch.contiguous_format) for name, v in one.items()}
                for k, one in first.moments.items()
            }
            for one, other in zip(whole, resumed, strict=True):
                other.data.copy_(one.data)
            second.restore(saved)
        for optimiser, parameters in ((first, whole), (second, resumed)):
            if optimiser is first or step >= 2:
                for parameter, gradient in zip(parameters, gradients(step), strict=True):
                    parameter.grad = gradient
                optimiser.step()
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_training_imports_no_compiler():
    code = (
        "import sys, torch; from collabtheory.models.adam import Adam; w = torch.nn.Parameter(torch.ones(2));"
        "w.grad = torch.ones(2); o = Adam([w], 0.1); o.step(); o.zero_grad(); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
