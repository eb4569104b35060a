"""Assumption A1 of Theorem 2.3: is the decoder's gradient Lipschitz in the code? On the region in use yes, globally no."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from collabtheory.claims import (
    Coverage,
    Evidence,
    Number,
    Part,
    Rigor,
    Statement,
    Subject,
    Verdict,
    at_most,
    check,
    negative_control,
)
from collabtheory.latent import gradient_growth, gradient_lipschitz_on_balls, local_gradient_lipschitz

ASSUMPTION_A1 = Statement(
    identifier="assumption_a1",
    position=3,
    title="The decoder gradient is Lipschitz in the code: true where it is used, false on the whole latent space",
    source="arXiv:2511.06781, assumption of Theorem 2.3",
    text=(
        "z -> G(x, z) = grad_theta l(theta; x, z) is Lipschitz (1) on balls around the codes in use, with a certified constant,\n"
        "(2) on the whole latent space."
    ),
    assumptions=("theta is every parameter of the decoder, the first layer included",),
    proof=(
        "On a ball every factor of the Jacobian of G is bounded: activations, sensitivities, the softmax Jacobian, and ||z|| itself.",
        "Globally the first layer's block is delta_1 z': along a direction that leaves one hidden unit unsaturated, delta_1 keeps "
        "changing with z while ||z|| grows, and the local constant grows with it.",
    ),
    limits=(
        "That (2) fails does not refute Theorem 2.3; it says that the constant L must come from a region, and which.",
        "With theta = last layer alone (2) would hold; that is a different step.",
    ),
)

CODES, STEPS, RADII = 8, 24, (0.0, 0.1, 0.5, 2.0)
SATURATED = 8
LENGTHS = tuple(10.0**power for power in range(7))
GROWS = 0.5
"""An exponent of growth above this is taken as unbounded growth (linear growth has 1, a bounded constant 0)."""


@check(ASSUMPTION_A1, stages="every")
def on_region_and_globally(subject: Subject) -> Evidence:
    """Compare measured slopes with the certified constant on balls, and follow the local constant along a ray."""
    lower, upper, cases = _slopes_and_certificates(subject)
    growth = gradient_growth(
        subject.recommender.decoder, subject.recommender.likelihood, _contents(subject)[:1], lengths=LENGTHS
    )
    return Evidence(
        parts=(
            at_most(
                "region", "(1) every slope seen in a ball is at most the certified constant", lower, upper, cases=cases
            ),
            _global_part(growth.exponent, growth.lengths, growth.constants),
        ),
        numbers={
            "growth_exponent": Number(
                float(growth.exponent), "growth of the local constant along the ray: constant ~ length^exponent"
            ),
            "certified_over_seen": Number(
                float(np.median(upper / lower)), "median of certified constant / largest slope seen", n=len(lower)
            ),
        },
        notes=(
            "The direction that shows the growth leaves one hidden unit's pre-activation unchanged: "
            + ", ".join(f"{value:.3f}" for value in np.asarray(growth.direction)[:6])
            + (", ..." if len(growth.direction) > 6 else ""),
        ),
    )


@negative_control(ASSUMPTION_A1, "half_the_certificate", "half of the certified constant", stages="every")
def half_the_certificate(subject: Subject) -> Evidence:
    """Refute half of the certificate, which at radius 0 is the local constant itself; a looser one would get away."""
    lower, upper, cases = _slopes_and_certificates(subject)
    text = "every slope seen in a ball is at most half of the certified constant"
    return Evidence(parts=(at_most("region", text, lower, upper / 2, cases=cases),))


@negative_control(
    ASSUMPTION_A1, "constant_at_the_centre", "the constant at the centre as bound on a whole ball", stages="none"
)
def constant_at_the_centre(subject: Subject) -> Evidence:
    """Refute the constant at a centre where units are saturated, on balls that reach unsaturated codes."""
    rng = subject.rng("saturated centres")
    seen, at_centre = zip(*(_constants_towards_zero(rng) for _ in range(SATURATED)), strict=True)
    text = "every slope in the ball is at most the one at its centre"
    cases = {"decoder": np.repeat(np.arange(SATURATED), STEPS)}
    return Evidence(parts=(at_most("region", text, np.concatenate(seen), np.repeat(at_centre, STEPS), cases=cases),))


def _constants_towards_zero(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the local constants of a small random decoder on the way from a far code to 0, and the first of them."""
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 5)).double()
    for parameter in decoder.parameters():
        parameter.data = torch.from_numpy(rng.standard_normal(tuple(parameter.shape)))
    codes = 8.0 * rng.standard_normal((1, 2)) * np.linspace(1.0, 0.0, STEPS)[:, None]
    contents = np.tile([[1.0, 0.0, 1.0, 0.0, 0.0]], (STEPS, 1))
    constants = np.asarray(local_gradient_lipschitz(decoder, "multinomial", contents, codes))
    return constants, float(constants[0])


def _contents(subject: Subject) -> np.ndarray:
    rows = subject.users[np.linspace(0, len(subject.users) - 1, CODES).astype(int)]
    contents: np.ndarray = subject.interactions.matrix[rows].toarray().astype(np.float64)
    return contents


def _slopes_and_certificates(subject: Subject) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return, for balls of several radii around a few codes, the largest local constant seen inside and the certified one."""
    model = subject.recommender.decoder, subject.recommender.likelihood
    contents = _contents(subject)
    positions = np.linspace(0, len(subject.users) - 1, CODES).astype(int)
    centres = subject.codes[positions, 0]
    radii = np.array(RADII)
    upper = np.asarray(gradient_lipschitz_on_balls(*model, contents, centres, radii[:, None]))
    directions = subject.rng("inside").standard_normal((STEPS, *centres.shape))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    lower = np.zeros_like(upper)
    for number, radius in enumerate(radii):
        points = (centres + radius * directions).reshape(-1, centres.shape[1])
        slopes = np.asarray(local_gradient_lipschitz(*model, np.tile(contents, (STEPS, 1)), points))
        lower[number] = slopes.reshape(STEPS, CODES).max(0)
    users = np.tile(subject.users[positions], (len(radii), 1))
    cases = {"user": users.ravel(), "radius": np.repeat(radii, CODES)}
    return lower.ravel(), upper.ravel(), cases


def _global_part(exponent: float, lengths: np.ndarray, constants: np.ndarray) -> Part:
    """Return the verdict on (2): the assumption fails where the local constant keeps growing along the ray."""
    grows = exponent > GROWS
    worst = {f"constant_at_{length:g}": float(constant) for length, constant in zip(lengths, constants, strict=True)}
    return Part(
        "global",
        f"(2) the local constant stays bounded along the steepest ray found (growth exponent at most {GROWS})",
        Verdict.ASSUMPTION_FAILS if grows else Verdict.HOLDS,
        Rigor.CHECKED,
        Coverage(1, 1),
        margin=GROWS - float(exponent),
        worst=worst,
    )
