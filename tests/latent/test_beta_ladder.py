"""What the ladder check of beta_kl says of models whose distances are known to fall, rise, stay, or be gone."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

import collabtheory as ct
from collabtheory.claims import Rigor, Verdict
from collabtheory.claims.discovery import load_statement
from collabtheory.errors import PremiseNotMet

FILE = Path(__file__).parents[2] / "proofs_checks" / "beta_kl_contraction.py"
N_USERS, D = 60, 4


def ladder_check(control=None):
    return next(c for c in load_statement(FILE).checks if c.stages == "ladder" and c.control == control)


def subject_with(posteriors):
    """A subject whose ladder holds these posteriors by beta."""
    models = {beta: SimpleNamespace(posterior=lambda matrix, q=q: q) for beta, q in posteriors.items()}
    return SimpleNamespace(
        ladder=lambda setting: models,
        users=np.arange(N_USERS),
        interactions=SimpleNamespace(matrix=sparse.csr_array((N_USERS, 3))),
        rng=lambda *words: np.random.default_rng(len(str(words))),
    )


def users(scale, seed=0):
    rng = np.random.default_rng(seed)
    return ct.DiagonalGaussian(scale * rng.standard_normal((N_USERS, D)), np.full((N_USERS, D), 0.5))


def verdicts(posteriors):
    return {part.name: part.verdict for part in ladder_check()(subject_with(posteriors)).parts}


def test_uniform_contraction_holds_with_its_ratio_and_no_variation():
    evidence = ladder_check()(subject_with({0.1: users(1.0), 1.0: users(0.5), 5.0: users(0.25)}))
    assert [part.verdict for part in evidence.parts] == [Verdict.HOLDS] * 3
    assert {part.rigor for part in evidence.parts} == {Rigor.STATISTICAL}
    assert evidence.numbers["contraction_5"].value == pytest.approx(0.25)
    assert evidence.numbers["variation_5"].value == pytest.approx(0.0, abs=1e-12)
    assert evidence.numbers["active_units_0.1"].value == D
    low, high = evidence.numbers["mean_w2_1"].low, evidence.numbers["mean_w2_1"].high
    assert low < np.mean(ct.latent.contraction(users(0.5), users(0.5)).after) < high


def test_expansion_on_one_rung_shows_even_if_the_whole_ladder_contracts():
    found = verdicts({0.1: users(1.0), 1.0: users(1.5), 5.0: users(0.5)})
    assert found == {
        "from_0.1_to_1": Verdict.VIOLATED,
        "from_1_to_5": Verdict.HOLDS,
        "contraction": Verdict.HOLDS,
    }


def test_unrelated_latent_spaces_of_one_size_are_inconclusive():
    assert verdicts({0.1: users(1.0), 1.0: users(1.0, seed=7)})["contraction"] is Verdict.INCONCLUSIVE


def test_collapsed_models_are_named_and_leave_nothing_to_contract():
    evidence = ladder_check()(subject_with({0.1: users(1.0), 1.0: users(1e-4), 5.0: users(1e-5)}))
    assert {part.name: part.verdict for part in evidence.parts}["from_1_to_5"] is Verdict.VACUOUS
    assert any("Collapsed at beta 1:" in note for note in evidence.notes)
    assert evidence.numbers["active_units_1"].value == 0
    assert evidence.numbers["information_1"].value == pytest.approx(0.0, abs=1e-3)


def test_control_is_refuted_even_by_collapsed_models_and_a_ladder_needs_two_rungs():
    for posteriors in ({0.1: users(1.0), 1.0: users(0.5)}, {0.1: users(0.0), 1.0: users(0.0)}):
        assert ladder_check("same_model_twice")(subject_with(posteriors)).verdict is Verdict.VIOLATED
    with pytest.raises(PremiseNotMet, match="at least two positive"):
        ladder_check()(subject_with({0.0: users(1.0), 1.0: users(0.5)}))
