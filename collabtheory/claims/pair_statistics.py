"""What statements about sharing radii count on a pair table: helping, positive radius, inside, precision, recall."""

from __future__ import annotations

import numpy as np
import pandas as pd

from collabtheory.claims.evidence import Number
from collabtheory.stats import Estimate, grouped_jackknife, partial_spearman, spearman


def drawn_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of users drawn at random whose contents differ: an honest sample of all pairs.

    Users with equal contents have equal posteriors and equal gradients; counting them would make any radius look alive.
    """
    return pairs[(pairs["sampling"] == "sampled") & (pairs["input_distance"] > 0)]


def inside(pairs: pd.DataFrame, radius: str) -> np.ndarray:
    """Return which pairs are within the radius, by an upper bound of the Wasserstein distance."""
    selected: np.ndarray = (pairs["transport_cost"] < pairs[radius]).to_numpy()
    return selected


def helps(pairs: pd.DataFrame) -> np.ndarray:
    """Return which pairs' measured loss falls."""
    selected: np.ndarray = (pairs["loss_change"] < 0).to_numpy()
    return selected


def radius_numbers(pairs: pd.DataFrame, radius: str) -> dict[str, Number]:
    """Return coverage, precision and recall of a radius and of its heuristic version, over pairs drawn at random."""
    drawn = drawn_pairs(pairs)
    n, helped = len(drawn), helps(drawn)
    numbers = {
        "share_helping": Number(share_of(helped), "pairs where v's step lowers u's loss", n=n),
        "share_positive_radius": Number(share_of((drawn[radius] > 0).to_numpy()), "pairs with a positive radius", n=n),
    }
    for suffix, column, kind in (
        ("", radius, "certified"),
        ("_heuristic", f"{radius}_heuristic", "heuristic, not a bound"),
    ):
        within = inside(drawn, column)
        numbers[f"share_inside{suffix}"] = Number(share_of(within), f"pairs inside the radius ({kind})", n=n)
        numbers[f"precision{suffix}"] = Number(
            share_of(helped[within]), f"of those inside, the share that helps ({kind})", n=int(within.sum())
        )
        numbers[f"recall{suffix}"] = Number(
            share_of(within[helped]), f"of those that help, the share inside ({kind})", n=int(helped.sum())
        )
    within, same = inside(pairs, radius), (pairs["input_distance"] == 0).to_numpy()
    numbers["inside_any_sampling"] = Number(
        float((within & ~same).sum()), "pairs inside (certified), near ones included", unit="pairs", n=len(pairs)
    )
    numbers["inside_same_contents"] = Number(
        float((within & same).sum()), "and inside with equal contents (trivial)", unit="pairs", n=len(pairs)
    )
    return numbers


def decay_numbers(pairs: pd.DataFrame) -> dict[str, Number]:
    """Return the rank correlation of influence (cosine of gradients) with latent distance, plain and given overlap."""
    drawn = drawn_pairs(pairs)
    cosine, distance, jaccard = (drawn[name].to_numpy() for name in ("cosine", "w2", "jaccard"))
    users = drawn["u"].to_numpy(), drawn["v"].to_numpy()
    plain = grouped_jackknife(lambda chosen: spearman(cosine[chosen], distance[chosen]), *users)
    given = grouped_jackknife(
        lambda chosen: partial_spearman(cosine[chosen], distance[chosen], jaccard[chosen]), *users
    )
    return {
        "spearman_cosine_w2": _number(plain, "Spearman correlation of influence with latent distance"),
        "partial_spearman_given_jaccard": _number(given, "the same at fixed overlap of contents (given Jaccard)"),
    }


def _number(estimate: Estimate, label: str) -> Number:
    return Number(estimate.value, label, low=estimate.low, high=estimate.high, n=estimate.n)


def share_of(selected: np.ndarray) -> float:
    """Return the share of true entries; NaN of none."""
    return float(np.mean(selected)) if len(selected) else float("nan")


def spread(values: np.ndarray, label: str) -> Number:
    """Return the median with the interval that holds 90 % of the values."""
    if len(values) == 0:
        return Number(float("nan"), label, n=0)
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    return Number(float(median), label, low=float(low), high=float(high), n=len(values))
