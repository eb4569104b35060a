"""Whether the L2 option of a training does anything."""

from __future__ import annotations

import numpy as np

from collabtheory.conformance.finding import Outcome, fine, not_checked, wrong
from collabtheory.conformance.under_test import Probe, VaeUnderTest, same, to_array


def weight_decay(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that the L2 option changes what training gives, towards smaller weights."""
    if model.train_with_l2 is None:
        return not_checked("train_with_l2 (the weights after training with an L2 weight) was not given")
    without, again, strong = (to_array(model.train_with_l2(l2)).ravel() for l2 in (0.0, 0.0, 1.0))
    if not same(without, again, 1e-7):
        return not_checked("train_with_l2 gives other weights when called again: fix its start, batches and seeds")
    norms = {"norm_without": float(np.linalg.norm(without)), "norm_with": float(np.linalg.norm(strong))}
    if np.array_equal(without, strong):
        return wrong("the L2 option is accepted and ignored: give it to the optimiser or add it to the loss.", **norms)
    if norms["norm_with"] >= norms["norm_without"]:
        return wrong("the L2 option does not make the weights smaller: look for its sign.", **norms)
    return fine("the L2 option makes the weights smaller", **norms)
