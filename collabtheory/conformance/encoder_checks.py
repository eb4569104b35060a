"""Checks of the encoder: evaluation mode, independence of the batch, normalisation, short histories."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from torch import nn

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.under_test import (
    Probe,
    VaeUnderTest,
    decode_as_is,
    posterior,
    same,
    to_array,
)

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def evaluation_mode(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that encoder and decoder give the same answer twice."""
    if not probe.repeatable:
        return wrong(
            "encode gives other means when called again: dropout, masking or sampling is on at test time. Call "
            "model.eval(), and encode without masking."
        )
    if not same(decode_as_is(model, probe.mu), decode_as_is(model, probe.mu)):
        return wrong("the decoder gives other logits when called again: dropout is on. Call decoder.eval().")
    idle = [m for m in model.decoder.modules() if isinstance(m, _DROPOUT) and m.p > 0 and m.training]
    if idle:
        return suspicious("the decoder has dropout in training mode that had no effect here: call decoder.eval().")
    return fine("encoder and decoder repeat themselves")


def batch_independence(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that a user's posterior is the same alone and among others."""
    if not (probe.repeatable and np.isfinite(probe.sigma).all()):
        return not_checked(probe.trouble)
    if probe.independent:
        return fine("a user's posterior does not depend on who else is in the batch")
    return wrong(
        "a user's posterior depends on who else is in the batch: batch normalisation in training mode, or a "
        "normalisation over the wrong axis (it must be over items)."
    )


def input_normalisation(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Find out whether each user's input is divided by a norm: twice the contents then give the same posterior."""
    if probe.trouble:
        return not_checked(probe.trouble)
    claimed = model.masking
    if same(probe.mu, np.broadcast_to(probe.mu[:1], probe.mu.shape)):
        return not_checked("the code does not depend on the contents")
    doubled, weighted = probe.contents * 2.0, probe.contents.copy()
    weighted.data = weighted.data * rng.uniform(0.5, 1.5, weighted.nnz)
    if same(posterior(model, sparse.csr_array(weighted))[0], probe.mu):
        return not_checked("the encoder reads contents as sets, so that no norm can be seen from outside")
    normalised = same(posterior(model, sparse.csr_array(doubled))[0], probe.mu)
    words = "input is divided by each user's norm" if normalised else "input is not normalised"
    if claimed is None or normalised == (claimed != "mask_only"):
        return fine(f"{words}{'' if claimed else ' (no convention was claimed)'}")
    return wrong(f"{words}, against the claimed convention {claimed}.")


def short_histories(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that users with no item, one item and all items have finite posteriors and scores."""
    if not np.isfinite(probe.sigma).all():
        return not_checked("sigma is not finite for others either")
    n_items = probe.contents.shape[1]
    rows = {
        "no item": np.zeros(n_items),
        "one item": np.eye(1, n_items)[0],
        "all items": np.ones(n_items),
    }
    for who, row in rows.items():
        contents = sparse.csr_array(row[None, :])
        parts = {"posterior": np.concatenate(posterior(model, contents))}
        if model.scores is not None:
            parts["scores"] = to_array(model.scores(contents))
        for what, values in parts.items():
            if not np.isfinite(values).all():
                return wrong(f"the {what} of a user with {who} is not finite: take 0/0 as 0 in the normalisation.")
    return fine("finite for users with no item, one item and all items")
