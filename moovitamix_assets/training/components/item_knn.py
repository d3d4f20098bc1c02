"""Item nearest neighbours, by the `implicit` package: a baseline for the benchmark.

Only the baseline belongs here; the product does not blend it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import sparse

from moovitamix_assets.training.components.base import (
    BoolArray,
    Component,
    FloatArray,
    RowArray,
    WeightingName,
    weighted,
)
from moovitamix_assets.training.dataset.training_view import TrainingView


@dataclass(frozen=True)
class FittedItemKNN:
    """Plays (U, T) and the similarities of each track to its neighbours (T, T), both sparse."""

    plays: sparse.csr_matrix
    similarity: sparse.csr_matrix
    covered_users: BoolArray
    covered_tracks: BoolArray

    def scores(self, users: RowArray) -> FloatArray:
        """Return the sum over a user's tracks of their similarity to each track, shape (n, T)."""
        scores: FloatArray = (self.plays[users] @ self.similarity).toarray().astype(np.float32)
        return scores


@dataclass(frozen=True)
class ItemKNN(Component):
    """Hyperparameters of item nearest neighbours.

    Attributes:
        neighbours: Number of neighbours kept per track.
        similarity: Cosine of the rows, after TF-IDF or BM25 weighting if so named.
        weighting: Weight of a play count.
    """

    name: ClassVar[str] = "item_knn"
    stored_type: ClassVar[type[Any] | None] = FittedItemKNN

    neighbours: int = 100
    similarity: Literal["cosine", "tfidf", "bm25"] = "cosine"
    weighting: WeightingName = "log"

    def fit(self, view: TrainingView, seed: int, threads: int) -> FittedItemKNN:
        """Find each track's neighbours."""
        del seed
        from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

        kinds = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}
        plays = weighted(view.plays, self.weighting)
        model = kinds[self.similarity](K=self.neighbours, num_threads=threads)
        model.fit(plays, show_progress=False)
        return FittedItemKNN(
            plays=plays,
            similarity=model.similarity.tocsr().astype(np.float32),
            covered_users=np.diff(plays.indptr) > 0,
            covered_tracks=view.track_plays > 0,
        )
