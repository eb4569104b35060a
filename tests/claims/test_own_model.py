"""A model of the user's own, as two callables: what can be checked is checked, what cannot be is said."""

import json
import runpy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import collabtheory as ct
from collabtheory.claims import Subject, discover, verify_model
from collabtheory.claims.discovery import bundled_folder, select
from collabtheory.claims.profiles import PairSpec
from collabtheory.models import Recommender

PAIRS = PairSpec(random_users=12, near_users=4, samples=2)


@pytest.fixture(scope="module")
def data():
    return ct.load("davis")


def encoder(n_items, d=3):
    weights = np.random.default_rng(0).standard_normal((n_items, d)) / 4

    def encode(contents):
        return contents @ weights, np.full((contents.shape[0], d), 0.3)

    return encode


def _decoder(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers)


def _by_id(outcome):
    return {record["id"]: record for record in outcome.records if not record["control"] and record["stage"]}


def test_a_chain_decoder_is_checked_like_the_built_in_model(data, tmp_path):
    decoder = _decoder(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, data.n_items))
    outcome = verify_model(Recommender(encoder(data.n_items), decoder, "bernoulli"), data, tmp_path, pairs=PAIRS)
    found = _by_id(outcome)
    assert outcome.exit_code() == 0
    assert found["theorem_2_3"]["verdict"] in ("holds", "vacuous")
    assert found["aligned_radius"]["verdict"] in ("holds", "vacuous")
    assert found["proposition_3_1"]["verdict"] == "holds"
    assert found["lemma_2_4"]["verdict"] == "assumption_fails"
    assert "layers are not known" in found["lemma_2_4"]["notes"][0]
    assert [json.loads(line) for line in (tmp_path / "claims.jsonl").read_text().splitlines()] == list(outcome.records)


def test_infinite_radii_are_compared_as_equal(data, tmp_path):
    """Nothing depends on the code: posteriors are one, Lipschitz constants 0, radii infinite."""
    decoder = _decoder(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, data.n_items))
    for parameter in decoder.parameters():
        parameter.data.zero_()
    model = Recommender(lambda x: (np.full((x.shape[0], 3), 0.1), np.ones((x.shape[0], 3))), decoder, "multinomial")
    files = select(discover(), ["aligned_radius"])
    outcome = verify_model(model, data, tmp_path, files=files, pairs=PAIRS)
    parts = {part["name"]: part for part in _by_id(outcome)["aligned_radius"]["parts"]}
    assert parts["domination"]["verdict"] == "holds"
    assert parts["domination"]["worst"]["left"] == "inf"


def test_the_variance_of_optima_that_no_mask_moves_is_rounding():
    module = runpy.run_path(str(bundled_folder("proofs_checks") / "proposition_3_2_stabilisation.py"))
    rng = np.random.default_rng(0)
    means, centroids = np.tile(rng.standard_normal((1, 50, 8)), (20, 1, 1)), rng.standard_normal((50, 8))
    subject = SimpleNamespace(rng=lambda *names: np.random.default_rng(1))
    *_, after, rounding = module["_in_float64"](subject, means, centroids, 1e6)
    assert after.max() > 0
    assert (after < 1e-9 * rounding).all()


def test_a_decoder_without_certificate_claims_no_radius(data, tmp_path):
    decoder = _decoder(nn.Linear(3, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, data.n_items))
    outcome = verify_model(Recommender(encoder(data.n_items), decoder, "multinomial"), data, tmp_path, pairs=PAIRS)
    theorem = _by_id(outcome)["theorem_2_3"]
    assert theorem["verdict"] == "vacuous"
    assert theorem["numbers"]["share_positive_radius"]["value"] == 0
    assert theorem["numbers"]["share_helping"]["value"] > 0
    assert theorem["numbers"]["first_order_slope"]["value"] == pytest.approx(2, abs=0.05)
    assert _by_id(outcome)["assumption_a1"]["verdict"] == "assumption_fails"
    assert not outcome.uncaught
    assert outcome.exit_code() == 0


def test_another_model_in_the_same_folder_replaces_the_results(data, tmp_path):
    files = select(discover(), ["theorem_2_3", "proposition_3_1"])
    for width in (4, 5):
        decoder = _decoder(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, data.n_items))
        model = Recommender(encoder(data.n_items), decoder, "multinomial")
        outcome = verify_model(model, data, tmp_path, files=files, pairs=PAIRS)
    models = {record["model"] for record in outcome.records if record["model"]}
    assert len(models) == 1
    ct.report.write_report(tmp_path, figures=())
    assert (tmp_path / "report.html").exists()


def test_a_decoder_that_is_no_module_is_refused(data):
    with pytest.raises(ct.errors.InvalidInput, match="must be a torch"):
        Recommender(encoder(data.n_items), lambda z: z, "multinomial")


def test_controls_are_caught_whatever_the_data_and_the_seed():
    free = [check for file in discover() for check in file.checks if check.control and check.stages == "none"]
    assert len(free) >= 8
    for check in free:
        for seed in range(3):
            assert check(Subject(seed)).verdict.is_refutation, (check.control, seed)
