"""The conformance check of a VAE: every check, in order, and the table of what they found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from collabtheory.conformance import (
    encoder_checks,
    kl_checks,
    loss_balance,
    masking_convention,
    metric_checks,
    posterior_checks,
    reconstruction_check,
    score_checks,
    weight_decay,
)
from collabtheory.conformance.finding import Finding, Outcome, Status, wrong
from collabtheory.conformance.under_test import Probe, VaeUnderTest, make_probe
from collabtheory.errors import InvalidInput
from collabtheory.report.formats import count
from collabtheory.report.table import Column, Table

Check = Callable[[VaeUnderTest, Probe, np.random.Generator], Outcome]

CHECKS: dict[str, Check] = {
    "standard_deviation": posterior_checks.standard_deviation,
    "latent_size": posterior_checks.latent_size,
    "posterior_spread": posterior_checks.posterior_spread,
    "code_noise": posterior_checks.code_noise,
    "kl_form": kl_checks.kl_form,
    "kl_annealing": kl_checks.kl_annealing,
    "reconstruction": reconstruction_check.reconstruction,
    "loss_balance": loss_balance.loss_balance,
    "weight_decay": weight_decay.weight_decay,
    "input_normalisation": encoder_checks.input_normalisation,
    "input_masking": masking_convention.input_masking,
    "short_histories": encoder_checks.short_histories,
    "batch_independence": encoder_checks.batch_independence,
    "evaluation_mode": encoder_checks.evaluation_mode,
    "test_time_scores": score_checks.test_time_scores,
    "seen_items": score_checks.seen_items,
    "metrics": metric_checks.metrics,
    "users_without_held_out": metric_checks.users_without_held_out,
}


def check_vae(model: VaeUnderTest, contents: sparse.csr_array, *, rng: np.random.Generator) -> tuple[Finding, ...]:
    """Look for the errors known from public VAE recommenders.

    Parameters
    ----------
    model
        The model as callables; what is not given is reported as not checked.
    contents
        Binary, ``(users, items)``, of users to probe it with, best of those it was trained on.
    rng
        Source of every draw.

    Returns
    -------
    tuple of Finding
        One a check, in the order of :data:`CHECKS`. A callable that fails makes its check ``wrong``. The only check
        that is a statistical test of the model's own draws, ``code_noise``, calls correct noise wrong with
        probability 1e-3, and so does ``input_masking`` with a correct keep probability.

    Raises
    ------
    InvalidInput
        If ``encode`` does not give two finite ``(users, d)`` arrays, or fewer than two users have items.

    Examples
    --------
    >>> import torch
    >>> from collabtheory.conformance.under_test import random_contents
    >>> into = np.random.default_rng(0).standard_normal((30, 2))
    >>> decoder = torch.nn.Linear(2, 30)
    >>> mine = VaeUnderTest(lambda x: (x @ into, np.full((x.shape[0], 2), -0.5)), decoder)
    >>> found = check_vae(mine, random_contents(30, 20, np.random.default_rng(1)), rng=np.random.default_rng(2))
    >>> [finding.name for finding in found if finding.status == "wrong"]
    ['standard_deviation']
    """
    probe = make_probe(model, contents, rng)
    return tuple(_run(name, check, model, probe, rng) for name, check in CHECKS.items())


def _run(name: str, check: Check, model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Finding:
    try:
        with np.errstate(all="ignore"):
            return check(model, probe, rng).named(name)
    except InvalidInput as error:
        return wrong(str(error)).named(name)
    except Exception as error:
        # Whatever the model's own code raises is the finding.
        return wrong(f"could not be run: {type(error).__name__}: {error}").named(name)


def to_table(findings: tuple[Finding, ...]) -> Table:
    """Return findings as a table, worst first.

    Examples
    --------
    >>> print(to_table((wrong("the noise is small.", sd=0.01).named("code_noise"),)).grid())
    (('code_noise', 'wrong', 'the noise is small.', 'sd 0.01000'),)
    """
    order = list(Status)
    rows = [
        (finding.name, finding.status.value, finding.words, _evidence(finding))
        for finding in sorted(findings, key=lambda finding: order.index(finding.status))
    ]
    counts = ", ".join(f"{sum(f.status is status for f in findings)} {status.value}" for status in order)
    columns = (Column("check"), Column("status"), Column("what was found"), Column("evidence", spare=True))
    return Table("Conformance", columns, tuple(rows), caption=f"{counts}. What is not checked has not passed.")


def _evidence(finding: Finding) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count(value)}" for name, value in finding.numbers.items())
