"""Features of users and tracks, as sparse rows that sum to one.

Only columns of the training set are read here; identity features and their weight belong to LightFM
(`components/lightfm.py`). Rows are normalised because raw multi-hot rows made the model worse than no features at all:
a track with ten tags then weighs ten times its own identity.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from moovitamix_assets.training.dataset import columns

MINIMUM_ROWS = 2
"""A word in only one row adds nothing to that row's identity, so it is left out."""


def user_features(users: pd.DataFrame) -> sparse.csr_matrix:
    """Return favourite genres and gender of each user, float32 CSR (U, features), rows summing to 1 or 0."""
    return row_normalised(_one_hot(users, multiple=[columns.FAVORITE_GENRES], single=[columns.GENDER]))


def track_features(tracks: pd.DataFrame) -> sparse.csr_matrix:
    """Return genres, artist, songwriters and album of each track, float32 CSR (T, features), rows summing to 1 or 0."""
    single = [columns.ARTIST, columns.SONGWRITERS, columns.ALBUM]
    return row_normalised(_one_hot(tracks, multiple=[columns.GENRES], single=single))


def row_normalised(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Divide each row by its sum; empty rows stay empty."""
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    factors = np.divide(1.0, sums, out=np.zeros_like(sums, dtype=np.float64), where=sums > 0)
    result = sparse.diags(factors).dot(matrix).tocsr().astype(np.float32)
    result.sort_indices()
    return result


def _one_hot(frame: pd.DataFrame, multiple: list[str], single: list[str]) -> sparse.csr_matrix:
    blocks = [_word_block([[word] for word in frame[name]]) for name in single]
    blocks += [
        _word_block([row if isinstance(row, Iterable) else [] for row in frame[name]]) for name in multiple
    ]
    return sparse.hstack(blocks, format="csr", dtype=np.float32)


def _word_block(rows_of_words: list[Iterable[str]]) -> sparse.csr_matrix:
    words = pd.Series([list(words) for words in rows_of_words], dtype=object).explode().dropna()
    codes, vocabulary = pd.factorize(words.to_numpy(object), sort=True)
    rows: npt.NDArray[np.int64] = words.index.to_numpy(np.int64)
    ones = np.ones(len(codes), dtype=np.float32)
    block = sparse.csr_matrix((ones, (rows, codes)), shape=(len(rows_of_words), len(vocabulary)))
    block.data[:] = 1.0  # a genre named twice counts once
    frequent = np.bincount(block.indices, minlength=block.shape[1]) >= MINIMUM_ROWS
    return block[:, np.flatnonzero(frequent)]
