"""Portraits in a run folder, with the shape of real ones: random by default, or of the numbers that a test gives."""

import json

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from collabtheory.data.interactions import Interactions

SETTINGS = ("clean", "masked", "pia")


def users_frame(n, *, seed=0, **columns):
    """Return a table of users; columns given replace random ones."""
    rng = np.random.default_rng(seed)
    base = {
        "u": 3 * np.arange(n) + 1,
        "user": [f"user {k}" for k in range(n)],
        "n_items": rng.integers(5, 60, n),
        "popularity": rng.uniform(5.0, 90.0, n),
        "kl": rng.uniform(5.0, 30.0, n),
        "hoyer": rng.uniform(0.1, 0.4, n),
        "active_units": np.full(n, 4.0),
        "participation": rng.uniform(1.0, 4.0, n),
        "pca_x": rng.normal(0.0, 2.0, n),
        "pca_y": rng.normal(0.0, 1.0, n),
        "var_x": np.full(n, 0.3),
        "var_y": np.full(n, 0.1),
        "cov_xy": np.full(n, 0.05),
        "tsne_x": rng.normal(0.0, 9.0, n),
        "tsne_y": rng.normal(0.0, 9.0, n),
    }
    return pd.DataFrame({**base, **columns})


def pairs_frame(users, *, seed=0, **columns):
    """Return a row for each ordered pair of these users; columns given replace random ones."""
    rng = np.random.default_rng(seed)
    u, v = (side.ravel() for side in np.meshgrid(users, users, indexing="ij"))
    apart = u != v
    u, v = u[apart], v[apart]
    cosine = np.tanh(rng.normal(0.0, 0.3, len(u)))
    base = {
        "u": u,
        "v": v,
        "relation": "",
        "sampling": "sampled",
        "input_distance": rng.integers(1, 90, len(u)),
        "transport_cost": rng.uniform(0.5, 6.0, len(u)),
        "cosine": cosine,
        "loss_change": -1e-3 * cosine * 6.0,
        "learning_rate": 1e-3,
        "gradient_norm_u": 2.0,
        "gradient_norm_v": 3.0,
        "sharing_radius": 0.0,
        "sharing_radius_heuristic": np.where(rng.random(len(u)) < 0.1, 0.7, 0.0),
        "aligned_radius": 0.0,
        "aligned_radius_heuristic": 0.0,
    }
    return pd.DataFrame({**base, **columns})


def write_setting(path, setting, users, pairs=None, *, truth=None, dimensions=4, codes=None, seed=0):
    """Write one setting's portrait; codes (users, 2 d) are means and deviations side by side."""
    rng = np.random.default_rng(seed)
    folder = path / "portraits" / setting
    (folder / "pairs").mkdir(parents=True, exist_ok=True)
    users.to_parquet(folder / "users.parquet", index=False)
    n = len(users)
    drawn = np.hstack([rng.standard_normal((n, dimensions)), rng.uniform(0.2, 0.6, (n, dimensions))])
    mu, sigma = np.hsplit(drawn if codes is None else np.asarray(codes, dtype=float), 2)
    np.savez(folder / "posteriors.npz", mu=mu, sigma=sigma, explained=np.array([0.6, 0.25]))
    matrix = csr_array((rng.random((n, 20)) < 0.4).astype(np.float32))
    ids = {"user_ids": users["u"].to_numpy(dtype=np.int64), "item_ids": np.arange(20)}
    Interactions(matrix, **ids, truth=truth).save(folder / "contents.npz")
    pairs = pairs_frame(users["u"].to_numpy(), seed=seed) if pairs is None else pairs
    pairs.to_parquet(folder / "pairs" / "pairs.parquet", index=False)


def write_portraits(path, *, n_users=40, settings=SETTINGS, themes=False):
    """Write portraits of random users, the same users in every setting."""
    sizes = np.random.default_rng(5).integers(5, 60, n_users)
    labels = {"user": np.arange(n_users), "community": np.arange(n_users) % 4, "theme": np.arange(n_users) % 2}
    truth = pd.DataFrame(labels) if themes else None
    for k, setting in enumerate(settings):
        write_setting(path, setting, users_frame(n_users, seed=k, n_items=sizes), truth=truth, seed=k)


def write_weights(path, **changes):
    """Write counts of the weights of EASE; fields given replace those that are there."""
    held = {
        "edges": [0.001, 0.01, 0.1, 1.0],
        "positive": [40, 8, 1],
        "negative": [50, 0, 0],
        "below": 3,
        "share_negative": 50 / 102,
        "mass_negative": 0.2,
        "l2": 500.0,
        "n_items": 11,
        "n_items_all": 11,
    }
    folder = path / "laws" / "item_weights"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "item_weights.json").write_text(json.dumps({**held, **changes}), encoding="utf-8")
