"""One trained model as a picture sees it: every chosen user's place, ellipse, code and history, ready to be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from collabtheory.data import Interactions
from collabtheory.latent.code_sparsity import code_sparsity
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.portraits.user_map import map_users
from collabtheory.runs.files import write_atomically

USERS_FILE, POSTERIORS_FILE, CONTENTS_FILE = "users.parquet", "posteriors.npz", "contents.npz"


def write_portrait(
    folder: Path, posterior: DiagonalGaussian, data: Interactions, users: np.ndarray, *, rng: np.random.Generator
) -> None:
    """Write what pictures of some users need.

    Parameters
    ----------
    folder
        Gets ``users.parquet`` (one row a user, see :func:`user_table`), ``posteriors.npz`` (``mu`` and ``sigma``,
        ``(users, d)``, and ``explained``, ``(2,)``) and ``contents.npz`` (their interactions, with items' titles).
    posterior
        Posteriors of these users.
    data
        Interactions with the model's items as columns.
    users
        Row numbers of the users in ``data``, in the order of ``posterior``.
    rng
        Source of what t-SNE draws.
    """
    found = map_users(posterior, rng=rng)
    frame = user_table(posterior, data, users)
    frame["pca_x"], frame["pca_y"] = found.principal.T
    frame["var_x"], frame["var_y"], frame["cov_xy"] = (
        found.covariance[:, 0, 0],
        found.covariance[:, 1, 1],
        found.covariance[:, 0, 1],
    )
    frame["tsne_x"], frame["tsne_y"] = found.neighbourly.T
    write_atomically(folder / USERS_FILE, lambda path: frame.to_parquet(path, index=False))
    mu, sigma = posterior.numpy()

    def write_arrays(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, mu=mu, sigma=sigma, explained=found.explained)

    write_atomically(folder / POSTERIORS_FILE, write_arrays)
    data.select_users(users).save(folder / CONTENTS_FILE)


def user_table(posterior: DiagonalGaussian, data: Interactions, users: np.ndarray) -> pd.DataFrame:
    """Return a row for each user: ``u`` (row in the data), its name, history and code.

    ``n_items``; ``popularity``, the mean number of users of its items; ``kl`` (nats), ``hoyer`` (sparsity of the mean),
    ``active_units`` and ``participation``, see :func:`~collabtheory.latent.code_sparsity.code_sparsity`.
    """
    code = code_sparsity(posterior)
    counts, sizes = np.bincount(data.matrix.indices, minlength=data.n_items), data.sizes[users].astype(np.int64)
    return pd.DataFrame(
        {
            "u": np.asarray(users, dtype=np.int64),
            "user": [str(name) for name in data.user_ids[users]],
            "n_items": sizes,
            "popularity": (data.matrix[users] @ counts) / np.maximum(sizes, 1),
            "kl": code.kl,
            "hoyer": code.hoyer_mean,
            "active_units": code.active_units.astype(np.float64),
            "participation": code.participation,
        }
    )
