"""Runs with portraits of their models, made of random numbers, for the report and its explorer."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from collabtheory.data import Interactions
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.portraits.setting_portrait import write_portrait
from collabtheory.runs.folder import RunFolder

EVIL = "</script><script>window.broken = true</script><!-- & \u2028"
RADII = ("sharing_radius", "sharing_radius_heuristic", "aligned_radius", "aligned_radius_heuristic")


def portrayed_pairs(rng, users):
    """A pair table of these users: a cosine that falls with distance, radii of which few are positive."""
    u, v = (side.ravel() for side in np.meshgrid(users, users, indexing="ij"))
    u, v = u[u != v], v[u != v]
    distance = rng.gamma(4.0, 1.0, len(u))
    cosine = np.tanh(2.0 - distance + rng.normal(0.0, 0.5, len(u)))
    frame = pd.DataFrame({"u": u, "v": v, "transport_cost": distance, "cosine": cosine, "loss_change": -1e-3 * cosine})
    for name, share in zip(RADII, (0.05, 0.1, 0.1, 0.3), strict=True):
        frame[name] = np.where(rng.random(len(u)) < share, distance * rng.uniform(0.5, 1.5, len(u)), 0.0)
    return frame.assign(learning_rate=1e-4)


def write_portraits(folder, *, n_users=24, settings=("clean", "masked", "pia"), titles=None, themes=False, seed=0):
    """Write the portraits of some settings into a run folder."""
    rng = np.random.default_rng(seed)
    n_items = 60
    dense = rng.random((n_users + 5, n_items)) < 0.3
    dense[:, 0] = True
    titles = np.array([f"Item {i}" for i in range(n_items)] if titles is None else titles, dtype=object)
    truth = pd.DataFrame({"theme": np.arange(len(dense)) % 3}) if themes else None
    data = Interactions(
        csr_array(dense.astype(np.float32)),
        user_ids=1000 + np.arange(len(dense)),
        item_ids=np.arange(n_items),
        item_titles=titles,
        truth=truth,
    )
    users = np.sort(rng.permutation(len(dense))[:n_users])
    for name in settings:
        posterior = DiagonalGaussian(rng.standard_normal((n_users, 4)), rng.uniform(0.2, 0.6, (n_users, 4)))
        place = folder / "portraits" / name
        write_portrait(place, posterior, data, users, rng=np.random.default_rng(1))
        (place / "pairs").mkdir()
        portrayed_pairs(rng, users).to_parquet(place / "pairs" / "pairs.parquet", index=False)
    return data


@pytest.fixture(scope="session")
def make_portrayed_run(make_run):
    """Return a function that writes a run with portraits and opens it."""

    def make(n_pairs=200, **options):
        path = make_run(seeds=(0,), stages=("initial", "trained"), n_pairs=n_pairs).path
        write_portraits(path, **options)
        return RunFolder(path)

    return make


@pytest.fixture(scope="session")
def portrayed(make_portrayed_run):
    """A run with portraits of clean, masked and aligned models; read it, do not change it."""
    return make_portrayed_run(themes=True, titles=[EVIL, *(f"Item {i}" for i in range(1, 60))])


@pytest.fixture
def with_statements():
    """Return a function that copies a run and gives it a ``statements.json``."""

    def copy(run, target, texts):
        shutil.copytree(run.path, target)
        (target / "statements.json").write_text(json.dumps(texts), encoding="utf-8")
        return RunFolder(target)

    return copy
