"""Theorem 2.3: whoever is within the latent sharing radius of a user helps that user by an SGD step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from collabtheory.claims import Evidence, Part, Statement, Subject, at_most, check, negative_control
from collabtheory.claims.pair_checks import SMALLEST, lipschitz_term, pair_cases, pairs_at_shared_codes, radius_parts
from collabtheory.claims.pair_statistics import decay_numbers, radius_numbers, spread
from collabtheory.latent import local_gradient_lipschitz
from collabtheory.transfer import TransferKernels, sharing_radius, transport_cost

THEOREM_2_3 = Statement(
    identifier="theorem_2_3",
    position=1,
    title="Inside the latent sharing radius, v's SGD step helps u",
    source="arXiv:2511.06781, Theorem 2.3",
    text=(
        "With g_u = grad L_u, content mismatch Dx = ||E_{q_v}[G(x_u,z) - G(x_v,z)]|| and D = L W_1(q_u,q_v) + Dx:\n"
        "(1) ||g_u - g_v|| <= D   (2) <g_u,g_v> >= ||g_u|| (||g_u|| - D)\n"
        "(3) L_u(theta - eta g_v) - L_u(theta) = -eta <g_u,g_v> + O(eta^2)\n"
        "(4) W_1(q_u,q_v) < r_share = max(0, ||g_u|| - Dx)/L implies that v's step lowers u's loss for small eta."
    ),
    assumptions=(
        "A1 on the tube: z -> G(x_u,z) is L-Lipschitz on each ball around a code of u that reaches the matching code of v; "
        "L is certified there. It is not assumed on the whole latent space, where it is false (see assumption_a1).",
        "Posteriors are the sampled ones: S codes a user with common noise. W_1 is bounded above by the cost of that coupling.",
    ),
    proof=(
        "g_u - g_v = (E_{q_u} - E_{q_v}) G(x_u,.) + E_{q_v}[G(x_u,.) - G(x_v,.)]; the first is at most L W_1 (Kantorovich-Rubinstein).",
        "<g_u,g_v> = ||g_u||^2 - <g_u, g_u - g_v> >= ||g_u||^2 - ||g_u|| D (Cauchy-Schwarz).",
        "Taylor's theorem along the step.",
        "Inside the radius D < ||g_u||, so <g_u,g_v> > 0, and the first-order term decides for small eta.",
    ),
    limits=(
        "Sufficient, not necessary: almost all pairs that help each other are outside the radius.",
        "Outside the radius it says nothing, in particular not that v harms u.",
        "One plain SGD step on the decoder alone; not Adam, not the encoder, not many steps.",
        "Checked for the sampled posteriors, exactly those that an SGD step sees. For the Gaussians themselves every expectation "
        "has Monte Carlo error, and A1 needs a tail term for the mass outside the tube.",
    ),
)

LADDER = 1e-4 * 0.5 ** np.arange(5)
LADDER_PAIRS = 96
MOVED_PAIRS = 96
ADVERSARIAL_DECODERS, LINE_POINTS = 8, 60


@check(THEOREM_2_3, stages="every")
def sharing(subject: Subject) -> Evidence:
    """Check (1) to (4) on every pair of the table, and (3) by its order of convergence."""
    pairs = subject.pairs
    slopes, first_order = _first_order(subject, factor=1.0)
    ratio = (pairs["lipschitz_upper"] / pairs["lipschitz_lower"]).to_numpy()
    return Evidence(
        parts=(
            *_penalty_parts(pairs),
            _moved_codes(subject),
            first_order,
            *radius_parts(pairs, "sharing_radius", subject),
        ),
        numbers={
            **radius_numbers(pairs, "sharing_radius"),
            **decay_numbers(pairs),
            "first_order_slope": spread(slopes, "order of convergence of the first-order term (2 expected)"),
            "certified_lipschitz_ratio": spread(ratio, "certified L / largest slope seen"),
        },
        notes=(
            f"About the sampled posteriors, {subject.codes.shape[1]} codes a user with common noise: L is certified on the tubes "
            "around these codes, which hold their whole mass. About the Gaussian posteriors themselves nothing is certified: "
            "almost none of their mass lies in the tubes.",
        ),
        principal="radius",
    )


@negative_control(THEOREM_2_3, "drop_content_mismatch", "the penalty without Dx", stages="none")
def drop_content_mismatch(subject: Subject) -> Evidence:
    """Refute ||g_u - g_v|| <= L W_1 where users of opposed contents share one user's codes, so that W_1 = 0."""
    pairs = pairs_at_shared_codes(subject.rng("shared codes"))
    return Evidence(parts=_penalty_parts(pairs.assign(content_mismatch=0.0, lipschitz_upper=1.0)))


@negative_control(THEOREM_2_3, "wrong_first_order_term", "nine tenths of the first-order term", stages="every")
def wrong_first_order_term(subject: Subject) -> Evidence:
    """Refute second-order convergence to 0.9 times the true first-order term."""
    return Evidence(parts=(_first_order(subject, factor=0.9)[1],))


@negative_control(
    THEOREM_2_3, "radius_from_lower_bound", "the slope at u's code in place of an upper bound of L", stages="none"
)
def radius_from_lower_bound(subject: Subject) -> Evidence:
    """Refute the heuristic radius on codes chosen against it: flat where u is, steep on the way to v."""
    rng = subject.rng("adversarial codes")
    pairs = pd.concat([_codes_along_a_line(rng) for _ in range(ADVERSARIAL_DECODERS)], ignore_index=True)
    return Evidence(parts=radius_parts(pairs, "sharing_radius"))


def _penalty_parts(pairs: pd.DataFrame) -> tuple[Part, Part]:
    """Return (1) and (2) on the columns of a pair table."""
    cases = pair_cases(pairs)
    norm, product = pairs["gradient_norm_u"].to_numpy(), pairs["inner_product"].to_numpy()
    penalty = lipschitz_term(pairs, "lipschitz_upper") + pairs["content_mismatch"].to_numpy()
    size = np.maximum(norm, pairs["gradient_norm_v"].to_numpy())
    least = norm * (norm - penalty)
    gap = pairs["gradient_gap"].to_numpy()
    return (
        at_most("gradient_gap", "(1) ||g_u - g_v|| <= D", gap, penalty, cases=cases, scale=size),
        at_most("inner_product", "(2) ||g_u|| (||g_u|| - D) <= <g_u,g_v>", least, product, cases=cases, scale=size**2),
    )


def _moved_codes(subject: Subject) -> Part:
    """Check the first term of the proof alone: u's content at u's codes and at v's, against L W_1, on a few pairs."""
    n_users = len(subject.users)
    i, j = np.divmod(subject.rng("moved").permutation(n_users * n_users)[:MOVED_PAIRS], n_users)
    i, j = i[i != j], j[i != j]
    contents = subject.interactions.matrix[subject.users[np.concatenate([i, i])]]
    codes = subject.codes[np.concatenate([i, j])]
    kernels = TransferKernels(subject.recommender.decoder, subject.recommender.likelihood, contents, codes)
    rows = np.arange(len(i))
    moved = np.asarray(kernels.gradient_gap())[rows, rows + len(i)]
    table = subject.pairs.set_index(["u", "v"]).loc[list(zip(subject.users[i], subject.users[j], strict=True))]
    return at_most(
        "moved_codes",
        "||(E_{q_u} - E_{q_v}) G(x_u,.)|| <= L W_1",
        moved,
        lipschitz_term(table, "lipschitz_upper"),
        cases={"u": subject.users[i], "v": subject.users[j]},
        scale=table["gradient_norm_u"].to_numpy(),
    )


def _first_order(subject: Subject, *, factor: float) -> tuple[np.ndarray, Part]:
    """Return the slopes of log |L_u(theta - eta g_v) - L_u(theta) + eta <g_u,g_v>| in log eta, and their check."""
    n_users = len(subject.users)
    chosen = subject.rng("ladder").choice(n_users * n_users, size=min(LADDER_PAIRS, n_users * n_users), replace=False)
    i, j = np.divmod(chosen, n_users)
    product = factor * np.asarray(subject.kernels.gradient_gram())[i, j]
    change = np.asarray(subject.kernels.step_loss_change_pairs(LADDER.tolist(), i, j))
    rest = np.abs(change + LADDER[:, None] * product)
    # A remainder below the rounding of the change itself shows no order.
    resolved = (rest > 1e-11 * np.abs(change)).all(0)
    centred = np.log(LADDER) - np.log(LADDER).mean()
    slopes = centred @ np.log(np.maximum(rest, SMALLEST)) / (centred @ centred)
    part = at_most(
        "first_order",
        "(3) the remainder falls at least with order 2 (slope > 1.9)",
        np.full(len(slopes), 1.9),
        slopes,
        cases={"u": subject.users[i], "v": subject.users[j]},
        premise=resolved,
    )
    return slopes[resolved], part


def _codes_along_a_line(rng: np.random.Generator) -> pd.DataFrame:
    """Place users with one content along a line of codes of a small random decoder, and measure all pairs of them."""
    decoder = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 4)).double()
    for parameter in decoder.parameters():
        parameter.data = torch.from_numpy(2.0 * rng.standard_normal(tuple(parameter.shape)))
    codes = np.linspace(-6.0, 6.0, LINE_POINTS)[:, None, None]
    contents = np.tile([[1.0, 0.0, 1.0, 0.0]], (LINE_POINTS, 1))
    kernels = TransferKernels(decoder, "multinomial", contents, codes)
    slope = np.asarray(local_gradient_lipschitz(decoder, "multinomial", contents, codes[:, 0]))
    norms = np.asarray(kernels.gradient_norms())
    i, j = np.nonzero(~np.eye(LINE_POINTS, dtype=bool))
    return pd.DataFrame(
        {
            "u": i,
            "v": j,
            "input_distance": 1,  # one content, but the point of this control is the codes
            "gradient_norm_u": norms[i],
            "gradient_norm_v": norms[j],
            "inner_product": np.asarray(kernels.gradient_gram())[i, j],
            "loss_change": np.asarray(kernels.step_loss_change(1e-6))[i, j],
            "learning_rate": 1e-6,
            "transport_cost": np.asarray(transport_cost(codes))[i, j],
            "sharing_radius": np.asarray(sharing_radius(norms[i], 0.0, slope[i])),
        }
    )
