"""What statements about pairs have in common: the radius implication on a pair table, and pairs on small decoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from collabtheory.claims.evidence import Part, at_most
from collabtheory.claims.inequality import Variable
from collabtheory.claims.pair_statistics import inside
from collabtheory.claims.subject import Subject
from collabtheory.rigor.compare import Comparison
from collabtheory.rigor.small_decoders import FAMILIES, SmallDecoder
from collabtheory.rigor.small_pairs import SmallPair

SMALLEST = np.nextafter(0.0, 1.0)
"""The smallest positive float: `x >= SMALLEST` says that x is positive."""
SMALLER_STEPS = tuple(0.25**power for power in range(1, 9))


def pair_cases(pairs: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns that name a pair."""
    return {"u": pairs["u"].to_numpy(), "v": pairs["v"].to_numpy()}


def lipschitz_term(pairs: pd.DataFrame, constant: str) -> np.ndarray:
    """Return ``L W_1`` with the upper bound of W_1; 0 at distance 0 even where no finite constant is known."""
    cost = pairs["transport_cost"].to_numpy()
    term: np.ndarray = np.multiply(pairs[constant].to_numpy(), cost, out=np.zeros(len(cost)), where=cost > 0)
    return term


def radius_parts(pairs: pd.DataFrame, radius: str, subject: Subject | None = None) -> tuple[Part, Part, Part]:
    """Check that inside a radius the inner product is positive and u's measured loss falls, both strictly.

    Parameters
    ----------
    pairs
        A pair table.
    radius
        Its column with the radius.
    subject
        Where given, a pair inside whose loss does not fall at the table's learning rate is measured again at smaller
        ones, as the statement speaks of small enough steps.

    Returns
    -------
    tuple of Part
        ``radius_same_contents`` (users with equal contents, where the statement is trivial), ``radius_inner_product``
        and ``radius`` (users with different contents). The margin of the last is the smallest fall of the loss in units
        of ``learning_rate ||g_u|| ||g_v||``, the most that a small step can give.
    """
    within, same = inside(pairs, radius), (pairs["input_distance"] == 0).to_numpy()
    change = pairs["loss_change"].to_numpy() if subject is None else _change_at_small_enough_steps(subject, within)
    cases, least = pair_cases(pairs), np.full(len(pairs), SMALLEST)
    product = pairs["inner_product"].to_numpy()
    size = np.maximum((pairs["gradient_norm_u"] * pairs["gradient_norm_v"]).to_numpy(), SMALLEST)
    most = np.maximum(size * pairs["learning_rate"].to_numpy(), SMALLEST)
    falls = "inside implies that u's measured loss falls"
    return (
        at_most(
            "radius_same_contents", f"{falls}, users with equal contents (trivial)", change, -least,
            cases=cases, premise=within & same, tolerance=0.0, scale=most,
        ),
        at_most(
            "radius_inner_product", "inside implies <g_u,g_v> > 0, users with different contents", least, product,
            cases=cases, premise=within & ~same, tolerance=0.0, scale=size,
        ),
        at_most(
            "radius", f"{falls}, users with different contents", change, -least,
            cases=cases, premise=within & ~same, tolerance=0.0, scale=most,
        ),
    )  # fmt: skip


def _change_at_small_enough_steps(subject: Subject, within: np.ndarray) -> np.ndarray:
    pairs = subject.pairs
    change: np.ndarray = pairs["loss_change"].to_numpy().copy()
    unsettled = np.flatnonzero(within & (change >= 0))
    if unsettled.size:
        i, j = (np.searchsorted(subject.users, pairs[name].to_numpy()[unsettled]) for name in ("u", "v"))
        rates = [float(pairs["learning_rate"].iloc[0]) * factor for factor in SMALLER_STEPS]
        change[unsettled] = np.asarray(subject.kernels.step_loss_change_pairs(rates, i, j)).min(0)
    return change


PAIR_VARIABLES = {
    "likelihood": Variable(low=0, high=len(FAMILIES) - 1, kind="integer"),
    "first": Variable(("hidden", "latent")),
    "first_bias": Variable(("hidden",), low=-1.0, high=1.0),
    "second": Variable(("item", "hidden")),
    "second_bias": Variable(("item",)),
    "content_u": Variable(("item",), kind="binary"),
    "content_v": Variable(("item",), kind="binary"),
    "codes": Variable(("sample", "latent")),
    "shift": Variable(("sample", "latent"), low=-1.0, high=1.0),
    "distance": Variable(low=1e-6, high=2.0, kind="positive"),
}
"""Two users on a small decoder, u at the codes and v at the codes shifted by a distance; see :func:`small_pair`."""
PAIR_AXES = {"latent": (1, 2), "hidden": (1, 2), "item": (1, 2), "sample": (1, 2)}


def small_pair(
    *,
    likelihood: Any,
    first: Any,
    first_bias: Any,
    second: Any,
    second_bias: Any,
    content_u: Any,
    content_v: Any,
    codes: Any,
    shift: Any,
    distance: Any,
) -> SmallPair:
    """Return the two users of a case of :data:`PAIR_VARIABLES`; ``likelihood`` is a position in ``FAMILIES``."""
    decoder = SmallDecoder(first, first_bias, second, second_bias)
    name = FAMILIES[int(float(likelihood))]
    return SmallPair(decoder, name, content_u, content_v, codes, codes + distance * shift)


def helps(pair: SmallPair) -> Comparison:
    """Claim ``<g_u, g_v> > 0``, with ``||g_u|| ||g_v||`` added to both sides: the relative slack is then the cosine.

    A comparison with 0 has no scale: its slack is 1 until it is violated, and has no slope to search along.
    """
    product = pair.norm_u * pair.norm_v
    return product - pair.inner_product, "<", product


def pairs_at_shared_codes(rng: np.random.Generator, n_users: int = 12) -> pd.DataFrame:
    """Measure users of opposed contents on a small random decoder with one set of codes: W_1 = 0, contents differ.

    Here the transfer penalty is the content mismatch alone, so a statement that forgets contents is false, whatever
    data the run is about.
    """
    import torch
    from torch import nn

    from collabtheory.transfer import TransferKernels, transport_cost

    decoder = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 8)).double()
    for parameter in decoder.parameters():
        # Small weights, near-equal probabilities: opposed contents then pull in opposite directions.
        parameter.data = torch.from_numpy(0.2 * rng.standard_normal(tuple(parameter.shape)))
    contents = np.kron(np.eye(2), np.ones((n_users // 2, 4)))
    contents[np.arange(n_users), rng.integers(0, 8, n_users)] = 1.0
    codes = np.repeat(rng.standard_normal((1, 3, 2)), n_users, axis=0)
    kernels = TransferKernels(decoder, "multinomial", contents, codes)
    i, j = np.nonzero(~np.eye(n_users, dtype=bool))
    norms = np.asarray(kernels.gradient_norms())
    return pd.DataFrame(
        {
            "u": i,
            "v": j,
            "input_distance": np.abs(contents[i] - contents[j]).sum(1),
            "gradient_norm_u": norms[i],
            "gradient_norm_v": norms[j],
            "inner_product": np.asarray(kernels.gradient_gram())[i, j],
            "gradient_gap": np.asarray(kernels.gradient_gap())[i, j],
            "loss_change": np.asarray(kernels.step_loss_change(1e-4))[i, j],
            "learning_rate": 1e-4,
            "transport_cost": np.asarray(transport_cost(codes))[i, j],
        }
    )
