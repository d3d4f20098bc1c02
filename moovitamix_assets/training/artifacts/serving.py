"""A model as it is served, measured on a training view: its own lists for those it knows, cold lists for the rest.

Candidate, champion and popularity are compared by this, so that what is judged is what people would get. The
lists themselves are made in `recommendations/`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.base import FloatArray
from moovitamix_assets.training.components.genre_popularity import genre_popularity
from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import TrainingView


@dataclass(frozen=True)
class Served:
    """Scores of every track of a view for its users, as the model would serve them.

    Attributes:
        model: Trained on this view, or on an earlier day: then it knows fewer people and tracks.
        user_ids: The view's users, int64 (U,).
        model_columns: Where each track of the model stands in the view; -1 where it has left.
        cold_users: Cold vectors of the view's users, float32 (U, d).
        cold_tracks: Cold vectors of the view's tracks, float32 (T, d).
    """

    model: Recommender
    user_ids: npt.NDArray[np.int64]
    model_columns: npt.NDArray[np.int64]
    cold_users: FloatArray
    cold_tracks: FloatArray

    @classmethod
    def on(cls, model: Recommender, training_set: TrainingSet, view: TrainingView) -> "Served":
        """Serve a model on a view of a training set."""
        users = training_set.users.sort_values(columns.USER_ID, kind="stable")
        tracks = training_set.tracks.sort_values(columns.TRACK_ID, kind="stable")
        cold_users, cold_tracks = genre_popularity(
            users[columns.FAVORITE_GENRES], tracks[columns.GENRES], view.recent_plays
        )
        places = np.searchsorted(view.track_ids, model.track_ids)
        places = np.minimum(places, len(view.track_ids) - 1)
        return cls(
            model=model,
            user_ids=view.user_ids,
            model_columns=np.where(view.track_ids[places] == model.track_ids, places, -1),
            cold_users=cold_users,
            cold_tracks=cold_tracks,
        )

    def scores(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return float32 (n, T); -inf for a track that the model does not know yet, or knows to have been heard.

        The ranking leaves out what the view says was heard. Where the view's history is damaged, the champion would
        pay for it: it likes best what people really heard.
        """
        scores: FloatArray = self.cold_users[users] @ self.cold_tracks.T
        ids = self.user_ids[users]
        known = self.model.coverage(ids) == "plays"
        if known.any():
            of_model = self._without_heard(self.model.scores(ids[known]), ids[known])
            present = self.model_columns >= 0
            by_model = np.full((int(known.sum()), scores.shape[1]), -np.inf, dtype=np.float32)
            by_model[:, self.model_columns[present]] = of_model[:, present]
            scores[known] = by_model
        return scores

    def _without_heard(self, scores: FloatArray, ids: npt.NDArray[np.int64]) -> FloatArray:
        heard = self.model.plays[np.searchsorted(self.model.user_ids, ids)]
        scores = scores.copy()
        scores[np.repeat(np.arange(len(ids)), np.diff(heard.indptr)), heard.indices] = -np.inf
        return scores
