from pathlib import Path

import numpy as np
import pandas as pd

from collabtheory.claims.discovery import discover, select
from collabtheory.claims.plan import make_plan
from collabtheory.claims.profiles import get_profile
from collabtheory.data import Interactions, load
from collabtheory.portraits.setting_portrait import write_portrait


def plan(ids, **options):
    files = select(discover(None), ids)
    return make_plan(files, get_profile("quick"), (0,), data="d", data_file=Path("d.npz"), portraits=True, **options)


def test_a_run_portrays_three_settings_its_ladders_and_its_laws():
    made = plan(["beta_kl"]).portraits
    assert {f"portraits/{name}" for name in ("masked", "clean", "pia")} < made.keys()
    assert {f"ladders/{name}" for name in ("beta", "alignment", "keep")} < made.keys()
    assert {"laws/masking", "laws/item_weights", "laws/compromise/trained", "laws/compromise/initial"} < made.keys()


def test_the_masked_setting_is_the_model_that_the_checks_see():
    whole = plan(["beta_kl"])
    (_, model), _ = whole.portraits["portraits/masked"].needs
    assert model == whole.models[0]
    (_, clean), _ = whole.portraits["portraits/clean"].needs
    assert clean.spec.model.keep_probability == 1.0
    (_, aligned), _ = whole.portraits["portraits/pia"].needs
    assert aligned.spec.model.alignment_weight > 0


def test_a_model_of_ones_own_is_portrayed_alone(tmp_path):
    checkpoint = tmp_path / "m.safetensors"
    checkpoint.write_bytes(b"weights")
    made = plan(["theorem_2_3"], checkpoint=checkpoint).portraits
    assert "portraits/given" in made
    assert not any("clean" in name or "pia" in name or name.startswith("ladders") for name in made)


def test_a_portrait_names_its_users_and_keeps_their_items_with_titles(tmp_path):
    from collabtheory.models.posterior import DiagonalGaussian

    data = load("davis")
    users = np.array([2, 5, 6, 9, 11])
    rng = np.random.default_rng(0)
    posterior = DiagonalGaussian(rng.standard_normal((5, 3)), np.full((5, 3), 0.5))
    write_portrait(tmp_path, posterior, data, users, rng=rng)
    table = pd.read_parquet(tmp_path / "users.parquet")
    assert table["user"].tolist() == [data.user_ids[row] for row in users]
    assert table["n_items"].tolist() == data.sizes[users].tolist()
    popularity = [data.matrix.toarray().sum(0)[data.matrix.toarray()[row] > 0].mean() for row in users]
    assert np.allclose(table["popularity"], popularity)
    mu, sigma = posterior.numpy()
    assert np.allclose(table["kl"], 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).sum(1))
    kept = Interactions.load(tmp_path / "contents.npz")
    assert (kept.matrix != data.matrix[users]).nnz == 0
    assert kept.item_titles.tolist() == data.item_titles.tolist()
