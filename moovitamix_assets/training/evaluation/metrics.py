"""Ranking metrics of each ranked list, from the ranks of its relevant tracks. Nothing but NumPy and SciPy.

The formulas belong here, with the definitions of RecTools 0.19, to whose figures the tests pin them. Which metrics are
measured, at which ranks and for which users, is decided in `offline.py`. Relevance is binary: every stored entry of the
matrix counts, whatever its value.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """The ranks of relevant tracks in ranked lists.

    Attributes:
        found: True at each rank with a relevant track, bool (length, n).
        relevant: Number of relevant tracks of each user, recommended or not, int64 (n,).
    """

    found: npt.NDArray[np.bool_]
    relevant: npt.NDArray[np.int64]

    def counted(self, k: int) -> Values:
        """Return the number of relevant tracks among the first k of each ranked list, shape (n,)."""
        count: Values = self.found[:k].sum(axis=0, dtype=np.float64)
        return count


def hits(ranked: npt.NDArray[np.int32], relevant: sparse.csr_matrix) -> Hits:
    """Look up every rank of every ranked list.

    Args:
        ranked: Track positions, int32 (n, length), best first, no track twice in one row; -1 is an empty rank,
            at the end or in between.
        relevant: The relevant tracks, CSR (n, T) without duplicate entries, one row per row of `ranked`.

    Raises:
        ValueError: If there is not one row of `relevant` for each row of `ranked`.
    """
    users, tracks = relevant.shape
    if len(ranked) != users:
        raise ValueError(
            f"{len(ranked)} ranked lists, but relevant tracks of {users} users: give one row for each"
        )
    counts = np.diff(relevant.indptr).astype(np.int64)
    wanted = np.repeat(np.arange(users, dtype=np.int64), counts) * tracks + relevant.indices
    shown = np.arange(users, dtype=np.int64) * tracks + ranked.T
    return Hits(np.isin(shown, wanted) & (ranked.T >= 0), counts)


def ndcg(found: Hits, k: int) -> Values:
    """Return the discounted gain of the first k ranks, divided by the greatest that the relevant tracks allow.

    A hit at rank i (from 1) gains 1 / log2(i + 1); the ideal ranking starts with min(k, relevant) hits. NaN where
    nothing is relevant. Järvelin and Kekäläinen 2002, normalised per user. Shape (n,).
    """
    discounts = 1 / (np.log(np.arange(2, k + 2)) / np.log(2))
    ideal = np.concatenate([[np.nan], np.cumsum(discounts)])
    ranks = found.found[:k]
    gains = _exact_sum(ranks * discounts[: len(ranks), None])
    reached: Values = gains / ideal[np.minimum(found.relevant, k)]
    return reached


def recall(found: Hits, k: int) -> Values:
    """Return the share of a user's relevant tracks that are among the first k; NaN where there is none. Shape (n,)."""
    return found.counted(k) / _or_nan(found.relevant)


def precision(found: Hits, k: int) -> Values:
    """Return the share of k ranks with a hit; an empty rank counts as one without. Shape (n,)."""
    return found.counted(k) / k


def average_precision(found: Hits, k: int) -> Values:
    """Return the sum of the precisions at each hit among the first k, divided by the number of relevant tracks.

    That number is not capped at k. NaN where nothing is relevant. Shape (n,).
    """
    ranks = found.found[:k]
    precisions = np.cumsum(ranks, axis=0) / np.arange(1, len(ranks) + 1)[:, None]
    return _exact_sum(precisions * ranks) / _or_nan(found.relevant)


def hit_rate(found: Hits, k: int) -> Values:
    """Return 1 where any of the first k is relevant, else 0. Shape (n,)."""
    return (found.counted(k) > 0).astype(np.float64)


def _exact_sum(ranks: Values) -> Values:
    """Sum over the first axis with Kahan's compensation.

    A plain sum's last bit depends on the order in which NumPy adds, and that on the array's layout; equal
    rankings would then differ with the number of users measured together.
    """
    total = np.zeros(ranks.shape[1])
    lost = np.zeros(ranks.shape[1])
    for term_of_rank in ranks:
        term = term_of_rank - lost
        grown = total + term
        lost = (grown - total) - term
        total = grown
    return total


def _or_nan(counts: npt.NDArray[np.int64]) -> Values:
    divisors: Values = np.where(counts > 0, counts, np.nan)
    return divisors
