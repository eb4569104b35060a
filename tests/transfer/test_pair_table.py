"""The pair table against plain autograd, and its certified columns against slopes that were seen."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from collabtheory.data import PlantedWorld, generate
from collabtheory.errors import InvalidInput
from collabtheory.models import ModelSpec, MultVAE
from collabtheory.models.recommender import from_mult_vae
from collabtheory.runs.seeds import derive
from collabtheory.transfer import tube_radius
from collabtheory.transfer.pair_table import CODES_FILE, write_pair_table
from collabtheory.transfer.users import choose_users

RATE = 1e-3


@pytest.fixture(scope="module")
def world():
    return generate(PlantedWorld(n_users=120), 1)


@pytest.fixture(scope="module")
def recommender(world):
    model = MultVAE(ModelSpec(hidden=(12,), latent=3), world.n_items, derive(5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 2.0
    return from_mult_vae(model)


@pytest.fixture(scope="module")
def written(world, recommender, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "pairs.parquet"
    users = choose_users(world, 20, 6, rng=derive(0, "users"))
    write_pair_table(path, recommender, world, users, n_samples=3, learning_rate=RATE, rng=derive(0, "noise"))
    return users, pd.read_parquet(path).set_index(["u", "v"]), np.load(path.with_name(CODES_FILE))


def _gradient(decoder, x, codes):
    """Return the flat gradient of the mean multinomial loss over the codes."""
    parameters = [p.requires_grad_() for p in decoder.parameters()]
    logits = decoder(torch.from_numpy(codes))
    content = torch.from_numpy(x)
    loss = (content.sum() * torch.logsumexp(logits, -1) - logits @ content).mean()
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])
    return float(loss.detach()), gradient.numpy()


def test_every_ordered_pair_is_there_once(written):
    users, table, codes = written
    n = len(users.rows)
    assert len(table) == n * (n - 1) == len(set(table.index))
    assert codes.shape == (n, 3, 3)


def test_gradients_and_loss_changes_equal_autograd(written, world, recommender):
    users, table, codes = written
    x = world.matrix[users.rows].toarray().astype(float)
    for i, j in ((0, 1), (1, 0), (3, 17), (12, 5)):
        row = table.loc[(users.rows[i], users.rows[j])]
        decoder = copy.deepcopy(recommender.decoder)
        before, g_u = _gradient(decoder, x[i], codes[i])
        _, g_v = _gradient(decoder, x[j], codes[j])
        swapped = _gradient(decoder, x[i], codes[j])[1] - g_v
        aligned = g_u @ _gradient(decoder, x[j], codes[i])[1]
        assert row["gradient_norm_u"] == pytest.approx(np.linalg.norm(g_u), rel=1e-10)
        assert row["inner_product"] == pytest.approx(g_u @ g_v, rel=1e-9)
        assert row["gradient_gap"] == pytest.approx(np.linalg.norm(g_u - g_v), rel=1e-9)
        assert row["content_mismatch"] == pytest.approx(np.linalg.norm(swapped), rel=1e-9)
        assert row["alignment"] == pytest.approx(aligned, rel=1e-9)
        step = torch.from_numpy(g_v)
        start = 0
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter -= RATE * step[start : start + parameter.numel()].view_as(parameter)
                start += parameter.numel()
        after = _gradient(decoder, x[i], codes[i])[0]
        assert row["loss_change"] == pytest.approx(after - before, rel=1e-6)


def test_contents_are_counted_right(written, world):
    _, table, _ = written
    for (u, v), row in list(table.iterrows())[::37]:
        mine, other = set(world.matrix[[u]].indices), set(world.matrix[[v]].indices)
        assert row["shared_items"] == len(mine & other)
        assert row["input_distance"] == len(mine ^ other)
        assert row["jaccard"] == pytest.approx(len(mine & other) / len(mine | other))
        assert (row["n_u"], row["n_v"]) == (len(mine), len(other))


def test_certified_constants_bound_every_slope_along_the_tube(written, world, recommender):
    users, table, codes = written
    x = world.matrix[users.rows].toarray().astype(float)
    reach = tube_radius(codes)
    rng = np.random.default_rng(0)
    for i, j in ((0, 1), (2, 9), (7, 3)):
        row = table.loc[(users.rows[i], users.rows[j])]
        assert row["lipschitz_lower"] <= row["lipschitz_upper"]
        for sample in range(3):
            step = rng.standard_normal((2, 3))
            step *= reach[i, j] * rng.random((2, 1)) / np.linalg.norm(step, axis=1, keepdims=True)
            points = codes[i, sample] + step
            g = [_gradient(copy.deepcopy(recommender.decoder), x[i], point[None])[1] for point in points]
            slope = np.linalg.norm(g[0] - g[1]) / np.linalg.norm(points[0] - points[1])
            assert slope <= row["lipschitz_upper"]


def test_the_theorem_holds_on_the_table_as_brute_force_reads_it(written):
    _, table, _ = written
    penalty = table["lipschitz_upper"] * table["transport_cost"] + table["content_mismatch"]
    assert (table["gradient_gap"] <= penalty * (1 + 1e-12)).all()
    inside = table["transport_cost"] < table["aligned_radius"]
    assert inside.any()
    assert (table.loc[inside, "inner_product"] > 0).all()


def test_distances_are_ordered(written):
    _, table, _ = written
    assert (table["w1_lower"] <= table["w1_upper"]).all()
    assert (table["w1_upper"] <= table["w2"] * (1 + 1e-12)).all()


def test_planted_twins_are_found_and_known(written, world):
    users, table, _ = written
    assert users.drawn.sum() == 20
    assert len(users.rows) > 20
    assert set(table["sampling"]) == {"sampled", "nearest"}
    exact = table[table["relation"] == "exact_twin"]
    assert (exact["input_distance"] == 0).all()
    assert (exact["content_mismatch"] == 0).all()


def test_the_nearest_user_is_the_nearest_by_brute_force(world):
    users = choose_users(world, 5, 5, rng=derive(3))
    x = world.matrix.toarray()
    drawn = users.rows[users.drawn]
    for u in drawn:
        distance = np.abs(x - x[u]).sum(1) / (x.sum(1) + x[u].sum())
        distance[u] = np.inf
        assert distance[users.rows[users.rows != u]].min() == pytest.approx(distance.min())


def test_one_user_makes_no_pair(world):
    with pytest.raises(InvalidInput, match="at least two users"):
        choose_users(world.select_users(np.array([3])), 5, 5, rng=derive(0))
