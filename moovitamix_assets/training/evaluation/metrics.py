"""Ranking metrics of each list, from where in it something relevant stands. Nothing but NumPy and SciPy.

The formulas belong here, with the definitions of RecTools 0.19, to whose figures the tests pin them; which metrics
at which lengths are measured, for whom and on what is decided in `offline.py`. Relevance is binary: every stored
entry of the matrix counts, whatever its value.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """Where relevant tracks stand in some lists.

    Attributes:
        found: Whether the track at each place is relevant, bool (length, n).
        relevant: Relevant tracks of each list's user, recommended or not, int64 (n,).
    """

    found: npt.NDArray[np.bool_]
    relevant: npt.NDArray[np.int64]

    def counted(self, k: int) -> Values:
        """Return the number of relevant tracks among each list's first k, shape (n,)."""
        count: Values = self.found[:k].sum(axis=0, dtype=np.float64)
        return count


def hits(lists: npt.NDArray[np.int32], relevant: sparse.csr_matrix) -> Hits:
    """Look up every place of every list.

    Args:
        lists: Track positions, int32 (n, length), best first, no track twice in a list; -1 is a place left empty,
            at the end or in between.
        relevant: The tracks that count, CSR (n, T) without duplicate entries, one row per list.

    Raises:
        ValueError: If there is not one row of `relevant` for each list.
    """
    users, tracks = relevant.shape
    if len(lists) != users:
        raise ValueError(
            f"{len(lists)} lists, but relevant tracks of {users} users: give one row for each list"
        )
    counts = np.diff(relevant.indptr).astype(np.int64)
    wanted = np.repeat(np.arange(users, dtype=np.int64), counts) * tracks + relevant.indices
    shown = np.arange(users, dtype=np.int64) * tracks + lists.T
    return Hits(np.isin(shown, wanted) & (lists.T >= 0), counts)


def ndcg(found: Hits, k: int) -> Values:
    """Return the discounted gain of the first k places by the greatest that the user's relevant tracks allow.

    A hit at place i (from 1) gains 1 / log2(i + 1); the ideal list starts with min(k, relevant) hits. NaN where
    nothing is relevant. Järvelin and Kekäläinen 2002, normalised per user. Shape (n,).
    """
    discounts = 1 / (np.log(np.arange(2, k + 2)) / np.log(2))
    ideal = np.concatenate([[np.nan], np.cumsum(discounts)])
    places = found.found[:k]
    gains = _exact_sum(places * discounts[: len(places), None])
    reached: Values = gains / ideal[np.minimum(found.relevant, k)]
    return reached


def recall(found: Hits, k: int) -> Values:
    """Return the share of a user's relevant tracks that are among the first k; NaN where there is none. Shape (n,)."""
    return found.counted(k) / _or_nan(found.relevant)


def precision(found: Hits, k: int) -> Values:
    """Return the share of k places with a hit; an empty place counts as one without. Shape (n,)."""
    return found.counted(k) / k


def average_precision(found: Hits, k: int) -> Values:
    """Return the sum of the precisions at each hit among the first k, by all relevant tracks, even if more than k.

    NaN where nothing is relevant. Shape (n,).
    """
    places = found.found[:k]
    precisions = np.cumsum(places, axis=0) / np.arange(1, len(places) + 1)[:, None]
    return _exact_sum(precisions * places) / _or_nan(found.relevant)


def hit_rate(found: Hits, k: int) -> Values:
    """Return 1 where any of the first k is relevant, else 0. Shape (n,)."""
    return (found.counted(k) > 0).astype(np.float64)


def _exact_sum(places: Values) -> Values:
    """Sum over the first axis with Kahan's compensation.

    A plain sum's last bit depends on the order in which NumPy adds, and that on the array's layout; equal lists
    would then differ with the number of users measured together.
    """
    total = np.zeros(places.shape[1])
    lost = np.zeros(places.shape[1])
    for place in places:
        term = place - lost
        grown = total + term
        lost = (grown - total) - term
        total = grown
    return total


def _or_nan(counts: npt.NDArray[np.int64]) -> Values:
    divisors: Values = np.where(counts > 0, counts, np.nan)
    return divisors
