r"""A self-test of the evaluator: popularity on three users, with every metric worked out by hand.

Popularity needs no training and no draw, so a wrong value means a wrong evaluator. Its order is 0, 1, 2, 3, 4, 5: items
1 and 2 tie and go by number. With :math:`d = 1/\log_2 3 = .63092975` and :math:`e = 1/\log_2 5 = .43067656`, the gains
of 1, 2, 3 and 4 hits on top are :math:`1,\ 1 + d,\ 1.5 + d,\ 1.5 + d + e`. At k = 3:

- user 11 has seen 0 and gets 1, 2, 3; of the held-out 1 and 4 the first place hits: gain 1;
- user 12 has seen 1 and gets 0, 2, 3; of the held-out 0, 2, 3 and 5 all three places hit: gain 1.5 + d;
- user 13 has seen 0 to 3 and gets 4, 5 and nothing more; of the held-out 5 the second place hits: gain d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.errors import NumericalFailure
from collabtheory.ranking.evaluation import Scorer, evaluate

POPULARITY = (5.0, 4.0, 4.0, 2.0, 1.0, 0.0)
ROWS = (11, 12, 13)
FOLD_IN = ((0,), (1,), (0, 1, 2, 3))
HELD_OUT = ((1, 4), (0, 2, 3, 5), (5,))

EXPECTED = {
    "recall@3": (1 / 2, 1.0, 1.0),
    "recall@3/n": (1 / 2, 3 / 4, 1.0),
    "ndcg@3": (0.61314719, 1.0, 0.63092975),  # 1 / (1 + d), 1, d
    "ndcg@3/n": (0.61314719, 0.83187246, 0.63092975),  # 1 / (1 + d), (1.5 + d) / (1.5 + d + e), d
    "ndcg@3/k": (0.46927873, 1.0, 0.29608191),  # 1 / (1.5 + d), 1, d / (1.5 + d)
}
EXPECTED_COUNTS = {1: (1, 1, 0, 0, 1, 0), 3: (1, 1, 2, 2, 1, 1)}

_TOLERANCE = 1e-7


@dataclass(frozen=True)
class SelfTest:
    """What was compared.

    Parameters
    ----------
    n_values
        Values worked out by hand that the evaluator reproduced.
    largest_error
        Largest difference; the values by hand have eight digits.
    """

    n_values: int
    largest_error: float

    def __str__(self) -> str:
        return f"{self.n_values} values by hand, largest difference {self.largest_error:.0e}"


def self_test(scorer: Scorer | None = None) -> SelfTest:
    """Evaluate popularity on the users above and compare each value with the one by hand.

    Parameters
    ----------
    scorer
        Another implementation of popularity to test, which knows :data:`POPULARITY`; the built-in one if None.

    Raises
    ------
    NumericalFailure
        If a value differs; the message names the metric, the user and both values.

    Examples
    --------
    >>> print(self_test())  # doctest: +ELLIPSIS
    27 values by hand, largest difference ...
    """
    from collabtheory.data.split import FoldIn

    users = FoldIn(np.array(ROWS), _matrix(FOLD_IN), _matrix(HELD_OUT), np.array([], dtype=np.int64))
    reached = evaluate(scorer or _popularity, users, metrics=tuple(EXPECTED), count_at=tuple(EXPECTED_COUNTS))
    comparisons = [
        (f"{name} of user {row}", expected, float(found))
        for name, by_hand in EXPECTED.items()
        for row, expected, found in zip(ROWS, by_hand, reached[name], strict=True)
    ] + [
        (f"recommendations of item {item} at k = {k}", float(expected), float(found))
        for k, by_hand in EXPECTED_COUNTS.items()
        for item, (expected, found) in enumerate(zip(by_hand, reached.recommended[k], strict=True))
    ]
    for what, expected, found in comparisons:
        if not abs(found - expected) <= _TOLERANCE:
            raise NumericalFailure(f"the evaluator is wrong: {what} is {found:.8f}, and {expected:.8f} by hand")
    return SelfTest(len(comparisons), max(abs(found - expected) for _, expected, found in comparisons))


def _popularity(contents: sparse.csr_array) -> np.ndarray:
    return np.tile(POPULARITY, (contents.shape[0], 1))


def _matrix(items: tuple[tuple[int, ...], ...]) -> sparse.csr_array:
    dense = np.zeros((len(items), len(POPULARITY)))
    for row, columns in enumerate(items):
        dense[row, list(columns)] = 1.0
    return sparse.csr_array(dense)
