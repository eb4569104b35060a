r"""Item-based nearest neighbours: cosine similarity with shrinkage, in sparse blocks of bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field
from scipy import sparse

from collabtheory.models.item_gram import MAX_BLOCK_ENTRIES, check_binary, co_occurrence_blocks
from collabtheory.models.linear import check_contents
from collabtheory.runs.frozen import Frozen


class ItemKnnSpec(Frozen):
    """What an item-kNN model is."""

    k: int = Field(100, ge=1)
    """Neighbours kept per scored item."""
    shrinkage: float = Field(10.0, ge=0, allow_inf_nan=False)
    """Added to the denominator, so that two rare items that share one user are not as similar as can be."""


@dataclass(frozen=True, eq=False)
class ItemKnnModel:
    """Scores ``x_u W`` for sparse similarities.

    Parameters
    ----------
    similarities
        ``(items, items)`` CSR, float64; column ``j`` holds the neighbours of item ``j``, at most ``k``.
    """

    similarities: sparse.csr_array

    @property
    def n_items(self) -> int:
        """Items that can be scored."""
        return int(self.similarities.shape[0])

    def scores(self, contents: sparse.csr_array) -> np.ndarray:
        """Return the scores ``(users, items)``, float64, seen items too; InvalidInput if the columns do not fit."""
        check_contents(contents, self.n_items)
        return np.asarray((contents.astype(np.float64) @ self.similarities).toarray())


def fit_item_knn(
    matrix: sparse.csr_array, spec: ItemKnnSpec | None = None, *, max_entries: int = MAX_BLOCK_ENTRIES
) -> ItemKnnModel:
    r"""Find each item's ``k`` most similar items.

    .. math:: s_{ij} = \frac{|U_i \cap U_j|}{\sqrt{|U_i||U_j|} + h}, \quad i \ne j

    with :math:`U_i` the users of item :math:`i` and :math:`h` the shrinkage.

    Parameters
    ----------
    matrix
        Binary ``(users, items)``.
    spec
        ``k`` and ``h``; the defaults if None.
    max_entries
        Similarities held at a time; memory is about 100 bytes each, beside the result (16 bytes per neighbour).

    Raises
    ------
    InvalidInput
        If ``matrix`` is not binary CSR.

    Notes
    -----
    Items that share no user are never neighbours. Equal similarities go to the smaller item number.

    Examples
    --------
    >>> x = sparse.csr_array([[1, 1, 0], [1, 1, 1], [0, 0, 1]])
    >>> model = fit_item_knn(x, ItemKnnSpec(k=1, shrinkage=0))
    >>> model.similarities.toarray().round(3).tolist()
    [[0.0, 1.0, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    spec = ItemKnnSpec() if spec is None else spec
    check_binary(matrix)
    norms = np.sqrt(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    nearest = [_nearest(rows, counts, norms, spec) for rows, counts in co_occurrence_blocks(matrix, max_entries)]
    by_scored_item = sparse.vstack(nearest, format="csr")
    return ItemKnnModel(sparse.csr_array(by_scored_item.T))


def _nearest(rows: slice, counts: sparse.csr_array, norms: np.ndarray, spec: ItemKnnSpec) -> sparse.csr_array:
    """Return the ``k`` largest similarities of each row of a block, as CSR."""
    row = np.repeat(np.arange(rows.start, rows.stop), np.diff(counts.indptr))
    off_diagonal = row != counts.indices
    row, column, count = row[off_diagonal], counts.indices[off_diagonal], counts.data[off_diagonal]
    similarity = count / (norms[row] * norms[column] + spec.shrinkage)
    order = np.lexsort((column, -similarity, row))
    row = row[order] - rows.start
    n_rows = rows.stop - rows.start
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n_rows))])
    kept = np.arange(len(row)) - starts[row] < spec.k
    order, row = order[kept], row[kept]
    return sparse.csr_array((similarity[order], (row, column[order])), shape=(n_rows, counts.shape[1]))
