"""The aligned sharing radius: a second sufficient condition for v's step to help u, from v's content at u's own codes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from collabtheory.claims import Evidence, Number, Part, Statement, Subject, at_most, check, negative_control
from collabtheory.claims.pair_checks import lipschitz_term, pair_cases, pairs_at_shared_codes, radius_parts
from collabtheory.claims.pair_statistics import drawn_pairs, radius_numbers, share_of
from collabtheory.transfer import sharing_radius

ALIGNED_RADIUS = Statement(
    identifier="aligned_radius",
    position=2,
    title="Inside the aligned radius, v's SGD step helps u",
    source="collabtheory (new)",
    text=(
        "With a(u,v) = <g_u, E_{q_u} G(x_v,z)>, what v's content would do at u's own codes, and L_dir a Lipschitz constant\n"
        "of the scalar z -> <g_u, G(x_v,z)>:\n"
        "(1) <g_u,g_v> >= a - L_dir W_1(q_u,q_v)   (2) W_1(q_u,q_v) < r_align = max(0, a)/L_dir implies that v helps u\n"
        "(3) r_align(u,v) >= r_share(u,v) with the roles of the two contents exchanged."
    ),
    assumptions=(
        "A1 for the scalar on the tube around v's codes that reaches u's; L_dir <= ||g_u|| L is certified there.",
        "Posteriors are the sampled ones, as in theorem_2_3.",
    ),
    proof=(
        "<g_u,g_v> - a is the difference of the expectations of one scalar under q_v and q_u (Kantorovich-Rubinstein).",
        "Inside the radius the right side of (1) is positive.",
        "a >= ||g_u||^2 - ||g_u|| Dx' (Cauchy-Schwarz) and L_dir <= ||g_u|| L'.",
    ),
    limits=(
        "Sufficient, not necessary.",
        "The certified L_dir is a product of norms; the heuristic radius is not a bound.",
    ),
)


@check(ALIGNED_RADIUS, stages="every")
def aligned(subject: Subject) -> Evidence:
    """Check (1) to (3) on every pair of the table."""
    pairs = subject.pairs
    drawn = drawn_pairs(pairs)
    agreement = share_of((np.sign(drawn["alignment"]) == np.sign(drawn["inner_product"])).to_numpy())
    shared = drawn[drawn["sharing_radius"] > 0]
    smaller = share_of((shared["aligned_radius"] < shared["sharing_radius"]).to_numpy())
    return Evidence(
        parts=(_lower_bound(pairs), _domination(pairs), *radius_parts(pairs, "aligned_radius", subject)),
        numbers={
            **radius_numbers(pairs, "aligned_radius"),
            "share_sign_agreement": Number(agreement, "pairs where a and <g_u,g_v> have one sign", n=len(drawn)),
            "share_smaller": Number(
                smaller, "of pairs with a sharing radius, those whose aligned radius is smaller", n=len(shared)
            ),
        },
        notes=("Domination is checked against the certified sharing radius with the contents' roles exchanged.",),
        principal="radius",
    )


@negative_control(
    ALIGNED_RADIUS, "norms_for_alignment", "the product of norms in place of the inner product a", stages="none"
)
def norms_for_alignment(subject: Subject) -> Evidence:
    """Refute the radius with ||g_u|| ||E G(x_v,.)|| where users of opposed contents share one user's codes."""
    pairs = pairs_at_shared_codes(subject.rng("shared codes"))
    return Evidence(parts=radius_parts(pairs.assign(aligned_radius=pairs["gradient_norm_v"]), "aligned_radius"))


@negative_control(ALIGNED_RADIUS, "own_content", "u's own content in place of v's in the alignment", stages="none")
def own_content(subject: Subject) -> Evidence:
    """Refute <g_u,g_v> >= ||g_u||^2 - L_dir W_1, which forgets that the contents differ, at shared codes."""
    pairs = pairs_at_shared_codes(subject.rng("shared codes"))
    forgetful = pairs.assign(alignment=pairs["gradient_norm_u"] ** 2, directional_lipschitz_upper=1.0)
    return Evidence(parts=(_lower_bound(forgetful),))


def _lower_bound(pairs: pd.DataFrame) -> Part:
    size = pairs["gradient_norm_u"] * pairs[["gradient_norm_u", "gradient_norm_v"]].max(axis=1)
    bound = pairs["alignment"].to_numpy() - lipschitz_term(pairs, "directional_lipschitz_upper")
    return at_most(
        "inner_product",
        "(1) a - L_dir W_1 <= <g_u,g_v>",
        bound,
        pairs["inner_product"].to_numpy(),
        cases=pair_cases(pairs),
        scale=size.to_numpy(),
    )


def _domination(pairs: pd.DataFrame) -> Part:
    """Check (3): the mismatch of the exchanged roles stands in the row of (v, u)."""
    swapped = pairs[["u", "v", "content_mismatch"]].rename(columns={"u": "v", "v": "u", "content_mismatch": "swapped"})
    joined = pairs.merge(swapped, on=["u", "v"], validate="one_to_one")
    norm = joined["gradient_norm_u"].to_numpy()
    constant = joined["directional_lipschitz_upper"].to_numpy() / norm
    share = np.asarray(sharing_radius(norm, joined["swapped"].to_numpy(), constant))
    return at_most(
        "domination",
        "(3) r_share' <= r_align",
        share,
        joined["aligned_radius"].to_numpy(),
        cases=pair_cases(joined),
        premise=share > 0,
        scale=norm / constant,
    )
