"""The pair table: one row per ordered pair (u, v), what v's SGD step does to u and what the theory says about it.

Built once per model and stage, written in blocks of users; checks, figures and reports read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from collabtheory.data import Interactions, relation
from collabtheory.latent import w1_bounds, w2
from collabtheory.models.recommender import Recommender
from collabtheory.runs.files import write_atomically
from collabtheory.transfer.measured import Measured, measure
from collabtheory.transfer.radii import aligned_radius, sharing_radius
from collabtheory.transfer.users import ChosenUsers

BLOCK_USERS = 64
CODES_FILE = "codes.npy"
"""Beside the table: the codes ``(users, S, d)`` that every expectation in it was taken over."""


def write_pair_table(
    path: Path,
    recommender: Recommender,
    data: Interactions,
    users: ChosenUsers,
    *,
    n_samples: int,
    learning_rate: float,
    rng: np.random.Generator,
    tube_radii: int = 10,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Measure every ordered pair of the chosen users and write the table as Parquet, one row group a block of users.

    Parameters
    ----------
    path
        File to write; appears when complete, and its codes beside it.
    recommender
        The model.
    data
        Interactions with the model's items as columns.
    users
        From :func:`~collabtheory.transfer.users.choose_users`.
    n_samples
        Codes per user ``S``, with noise common to all users. Every expectation over a posterior is the mean over these
        codes, so each statement is checked for the sampled posteriors exactly, without Monte Carlo error.
    learning_rate
        Step size of the measured loss change, for losses in nats per user.
    rng
        Source of the noise.
    tube_radii
        Radii at which Lipschitz constants are certified, see :func:`~collabtheory.transfer.measured.measure`.
    progress
        Called with the share done.
    """
    measured = measure(
        recommender,
        data.matrix[users.rows],
        n_samples=n_samples,
        learning_rate=learning_rate,
        rng=rng,
        tube_radii=tube_radii,
        progress=progress,
    )
    columns = PairColumns(data, users, measured)

    def write(temporary: Path) -> None:
        writer = None
        try:
            for start in range(0, len(users.rows), BLOCK_USERS):
                frame = columns.block(np.arange(start, min(start + BLOCK_USERS, len(users.rows))))
                block = pa.Table.from_pandas(frame, preserve_index=False)
                writer = writer or pq.ParquetWriter(temporary, block.schema)
                writer.write_table(block)
        finally:
            if writer is not None:
                writer.close()

    write_atomically(path, write)
    write_atomically(path.with_name(CODES_FILE), lambda temporary: np.save(temporary, measured.codes))
    progress(1.0)


@dataclass(frozen=True)
class PairColumns:
    """The table's columns for a block of users u and all partners v."""

    data: Interactions
    users: ChosenUsers
    measured: Measured

    def block(self, block: np.ndarray) -> pd.DataFrame:
        """Return the rows of the users at these positions."""
        n_users = len(self.users.rows)
        i = np.repeat(block, n_users)
        j = np.tile(np.arange(n_users), len(block))
        i, j = i[i != j], j[i != j]
        return pd.DataFrame(
            {**self._contents(i, j), **self._distances(i, j), **self._transfer(i, j), **self._radii(i, j)}
        )

    def _contents(self, i: np.ndarray, j: np.ndarray) -> dict[str, np.ndarray]:
        u, v = self.users.rows[i], self.users.rows[j]
        n_u, n_v = self.data.sizes[u].astype(np.int64), self.data.sizes[v].astype(np.int64)
        first = np.unique(u)
        products = (self.data.matrix[first] @ self.data.matrix[self.users.rows].T).toarray()
        shared = products[np.searchsorted(first, u), j].astype(np.int64)
        unknown = np.full(len(u), "", dtype=object)
        return {
            "u": u.astype(np.int64),
            "v": v.astype(np.int64),
            "relation": unknown if self.data.truth is None else relation(self.data.truth, u, v),
            "sampling": np.where(self.users.drawn[i] & self.users.drawn[j], "sampled", "nearest"),
            "n_u": n_u,
            "n_v": n_v,
            "shared_items": shared,
            "input_distance": n_u + n_v - 2 * shared,
            "jaccard": shared / (n_u + n_v - shared),
        }

    def _distances(self, i: np.ndarray, j: np.ndarray) -> dict[str, np.ndarray]:
        p, q = self.measured.posterior[i], self.measured.posterior[j]
        bounds = w1_bounds(p, q)
        return {
            "w1_lower": np.asarray(bounds.lower),
            "w1_upper": np.asarray(bounds.upper),
            "w2": np.asarray(w2(p, q)),
            "transport_cost": self.measured.transport[i, j],
        }

    def _transfer(self, i: np.ndarray, j: np.ndarray) -> dict[str, np.ndarray]:
        m = self.measured
        product = m.norms[i] * m.norms[j]
        return {
            "gradient_norm_u": m.norms[i],
            "gradient_norm_v": m.norms[j],
            "inner_product": m.gram[i, j],
            "cosine": np.divide(m.gram[i, j], product, out=np.zeros(len(i)), where=product > 0),
            "gradient_gap": m.gaps[i, j],
            "content_mismatch": m.mismatch[i, j],
            "alignment": m.alignment[i, j],
            "loss_change": m.loss_change[i, j],
            "learning_rate": np.full(len(i), m.learning_rate),
        }

    def _radii(self, i: np.ndarray, j: np.ndarray) -> dict[str, np.ndarray]:
        m = self.measured
        norm, mismatch, alignment = m.norms[i], m.mismatch[i, j], m.alignment[i, j]
        lower, upper = m.lipschitz_lower[i], m.lipschitz_upper[i, j]
        directional_lower, directional_upper = m.directional_lower[i, j], m.directional_upper[i, j]
        return {
            "lipschitz_lower": lower,
            "lipschitz_upper": upper,
            "directional_lipschitz_lower": directional_lower,
            "directional_lipschitz_upper": directional_upper,
            "sharing_radius": np.asarray(sharing_radius(norm, mismatch, upper)),
            "sharing_radius_heuristic": np.asarray(sharing_radius(norm, mismatch, lower)),
            "aligned_radius": np.asarray(aligned_radius(alignment, directional_upper)),
            "aligned_radius_heuristic": np.asarray(aligned_radius(alignment, directional_lower)),
        }
