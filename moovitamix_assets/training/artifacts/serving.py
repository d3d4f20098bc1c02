"""How each user is served: one decision among the ways, and the vectors and scores that follow from it.

Batch recommendations rank these vectors and the gate measures these scores, so that what is measured is what users
get. The ranking itself belongs to `recommendations/top_n.py` and `training/evaluation/offline.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.base import FloatArray
from moovitamix_assets.training.components.genre_popularity import genre_popularity
from moovitamix_assets.training.components.new_tracks import (
    FeatureMeans,
    NewTrackCalibration,
    block_weight,
    extended_scores,
    extended_vectors,
    popularity_evidence,
)
from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import TrainingView

Way = Literal["trained", "newcomer", "cold_start", "popular"]
"""The model was trained on the user's plays; the user came later and is represented by the tracks they played; the
model knows nothing of them and they get popular tracks, those of their favorite genres first; there is no model."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ServingContext:
    """The users, the catalogue and the plays known when users are served.

    Attributes:
        user_ids: Ascending, int64 (U,).
        track_ids: The catalogue, ascending, int64 (T,).
        favorite_genres: Of each user, a list of words or nothing.
        genres: Of each track, likewise.
        recent_plays: Plays of each track that popularity goes by, float64 (T,).
        plays: Tracks played by each user, CSR (U, T); only which counts, not how often.
        track_features: Features of each track, rows summing to one or zero, CSR (T, F).
        track_ages: Days from the one on which each track came to the day it is recommended for, float64 (T,): 1 for a
            track of the day before, NaN where unknown.
    """

    user_ids: Ids
    track_ids: Ids
    favorite_genres: Sequence[object]
    genres: Sequence[object]
    recent_plays: npt.NDArray[np.float64]
    plays: sparse.csr_matrix
    track_features: sparse.csr_matrix
    track_ages: npt.NDArray[np.float64]

    @classmethod
    def of_view(cls, training_set: TrainingSet, view: TrainingView) -> "ServingContext":
        """The context at the cut of a view of a training set."""
        users = training_set.users.sort_values(columns.USER_ID, kind="stable")
        tracks = training_set.tracks.sort_values(columns.TRACK_ID, kind="stable")
        return cls(
            user_ids=view.user_ids,
            track_ids=view.track_ids,
            favorite_genres=list(users[columns.FAVORITE_GENRES]),
            genres=list(tracks[columns.GENRES]),
            recent_plays=view.recent_plays,
            plays=view.plays,
            track_features=view.track_features,
            track_ages=np.full(len(tracks), np.nan) if view.track_ages is None else view.track_ages,
        )


@dataclass(frozen=True)
class ScoredGroup:
    """The users served in one way, with the vectors whose product, plus extra scores, gives their scores.

    Attributes:
        way: How they are served.
        users: Rows of the context's users, ascending, int64 (n,).
        tracks: Rows of the catalogue that get a score, ascending, int64 (m,); the others are never recommended.
        user_vectors: float32 (n, d).
        track_vectors: float32 (m, d).
        extra_scores: Added to the product: rows of this group to float32 (rows, m); None adds nothing.
    """

    way: Way
    users: Ids
    tracks: Ids
    user_vectors: FloatArray
    track_vectors: FloatArray
    extra_scores: Callable[[Ids], FloatArray] | None = None

    def scores(self, rows: Ids) -> FloatArray:
        """Return the scores of some rows of the group, float32 (len(rows), m)."""
        scores: FloatArray = self.user_vectors[rows] @ self.track_vectors.T
        if self.extra_scores is not None:
            scores += self.extra_scores(rows)
        return scores


def ways_of_serving(model: Recommender | None, context: ServingContext) -> npt.NDArray[np.str_]:
    """Decide the `Way` in which each user is served, shape (U,)."""
    if model is None:
        return np.full(len(context.user_ids), "popular", dtype="<U10")
    trained = model.coverage(context.user_ids) == "plays"
    has_plays = np.diff(context.plays.indptr) > 0
    return np.where(trained, "trained", np.where(has_plays, "newcomer", "cold_start"))


@dataclass(frozen=True)
class _Catalogue:
    """The catalogue as a model knows it: tracks with plays in training, and new ones that their features place.

    Attributes:
        of_model: Rows, in the model, of the tracks with plays, ascending, int64 (K,).
        known: Their rows in the catalogue, ascending, int64 (K,).
        new: The other rows of the catalogue, ascending, int64 (N,).
        means: From the known to the new ones.
        evidence: Of the new ones, see `popularity_evidence`.
    """

    of_model: Ids
    known: Ids
    new: Ids
    means: FeatureMeans
    evidence: npt.NDArray[np.float64]

    @classmethod
    def of(cls, model: Recommender, context: ServingContext) -> "_Catalogue":
        played = np.bincount(model.plays.indices, minlength=len(model.track_ids)) > 0
        of_model = np.flatnonzero(played & np.isin(model.track_ids, context.track_ids))
        known = np.searchsorted(context.track_ids, model.track_ids[of_model])
        new = np.setdiff1d(np.arange(len(context.track_ids)), known)
        listeners = np.bincount(context.plays.indices, minlength=len(context.track_ids))
        return cls(
            of_model=of_model,
            known=known,
            new=new,
            means=FeatureMeans.of(context.track_features, known, new),
            evidence=popularity_evidence(listeners, context.track_ages, new),
        )

    def vectors(
        self,
        users: FloatArray,
        of_known: FloatArray,
        calibration: NewTrackCalibration,
        further_spread: float = 0.0,
    ) -> tuple[FloatArray, FloatArray]:
        """Return vectors of the users and of the whole catalogue, from those of the users and the known tracks."""
        offsets = calibration.offsets(self.evidence)
        user_vectors, known, new = extended_vectors(
            users, of_known, self.means, calibration.scale, offsets, further_spread
        )
        tracks = np.empty((len(self.known) + len(self.new), known.shape[1]), dtype=np.float32)
        tracks[self.known], tracks[self.new] = known, new
        return user_vectors, tracks

    def scores(self, of_known: FloatArray, calibration: NewTrackCalibration) -> FloatArray:
        """Return scores of the whole catalogue, (n, T), from those of the known tracks, (n, K)."""
        scores = np.empty((len(of_known), len(self.known) + len(self.new)), dtype=np.float32)
        scores[:, self.known] = of_known
        scores[:, self.new] = extended_scores(of_known, self.means, calibration.scale)
        return scores


class Serving:
    """A model, or none, serving the users of a context."""

    def __init__(self, model: Recommender | None, context: ServingContext) -> None:
        """Decide how each user is served; vectors are made when first asked for."""
        self.model = model
        self.context = context
        self.ways = ways_of_serving(model, context)

    @cached_property
    def groups(self) -> list[ScoredGroup]:
        """The users by the way they are served in; every user is in exactly one group."""
        if self.model is None:
            return [self._popular("popular")]
        return [self._trained(self.model), self._newcomers(self.model), self._popular("cold_start")]

    def _served(self, way: Way) -> Ids:
        return np.flatnonzero(self.ways == way)

    def _trained(self, model: Recommender) -> ScoredGroup:
        users = self._served("trained")
        rows = np.searchsorted(model.user_ids, self.context.user_ids[users])
        blend, catalogue = model.blend, self._catalogue
        user_vectors, track_vectors = catalogue.vectors(
            model.user_vectors[rows],
            model.track_vectors[catalogue.of_model],
            model.recipe.new_tracks,
            block_weight(blend),
        )

        def block_scores(some: Ids) -> FloatArray:
            of_known = blend.block_scores(rows[some])[:, catalogue.of_model]
            return catalogue.scores(of_known, model.recipe.new_tracks)

        return ScoredGroup(
            way="trained",
            users=users,
            tracks=np.arange(len(self.context.track_ids)),
            user_vectors=user_vectors,
            track_vectors=track_vectors,
            extra_scores=block_scores if blend.blocks else None,
        )

    def _newcomers(self, model: Recommender) -> ScoredGroup:
        users, catalogue = self._served("newcomer"), self._catalogue
        user_vectors, track_vectors = catalogue.vectors(
            model.newcomer_vectors(self._plays_in_model(model, users)),
            model.track_vectors[catalogue.of_model, : model.lightfm_width],
            model.recipe.new_tracks,
        )
        return ScoredGroup(
            "newcomer", users, np.arange(len(self.context.track_ids)), user_vectors, track_vectors
        )

    def _plays_in_model(self, model: Recommender, users: Ids) -> sparse.csr_matrix:
        """The plays of some users with the model's tracks as columns; those of other tracks are left out."""
        of_model = np.flatnonzero(np.isin(model.track_ids, self.context.track_ids))
        in_catalogue = np.searchsorted(self.context.track_ids, model.track_ids[of_model])
        played = self.context.plays[users][:, in_catalogue].tocsr()
        played.sort_indices()
        return sparse.csr_matrix(
            (np.ones(played.nnz, dtype=np.float32), of_model[played.indices], played.indptr),
            shape=(len(users), len(model.track_ids)),
        )

    def _popular(self, way: Literal["cold_start", "popular"]) -> ScoredGroup:
        users, context = self._served(way), self.context
        favorites = [context.favorite_genres[row] if way == "cold_start" else None for row in users]
        user_vectors, track_vectors = genre_popularity(favorites, context.genres, context.recent_plays)
        return ScoredGroup(way, users, np.arange(len(context.track_ids)), user_vectors, track_vectors)

    @cached_property
    def _catalogue(self) -> "_Catalogue":
        if self.model is None:
            raise ValueError("without a model no track is known or new to it")
        return _Catalogue.of(self.model, self.context)


@dataclass(frozen=True)
class ServedScorer:
    """The scores of every track for users as they are served; what the gate measures."""

    serving: Serving

    @classmethod
    def on(cls, model: Recommender, training_set: TrainingSet, view: TrainingView) -> "ServedScorer":
        """Serve the users of a view of a training set; the model may know fewer users and tracks."""
        return cls(Serving(model, ServingContext.of_view(training_set, view)))

    def scores(self, users: Ids) -> FloatArray:
        """Return float32 (n, T); -inf for a track that is never recommended, or that the model has seen played.

        The ranking filters what the view says was played. Where the view's history is damaged the champion would
        pay for it, as it ranks first what users really played; so what the model itself knows is filtered too.
        """
        serving = self.serving
        scores = np.full((len(users), len(serving.context.track_ids)), -np.inf, dtype=np.float32)
        ways = serving.ways[users]
        for group in serving.groups:
            asked = np.flatnonzero(ways == group.way)
            if len(asked):
                of_group = group.scores(np.searchsorted(group.users, users[asked]))
                scores[np.ix_(asked, group.tracks)] = of_group
        self._filter_seen_in_training(scores, users)
        return scores

    def _filter_seen_in_training(self, scores: FloatArray, users: Ids) -> None:
        model, context = self.serving.model, self.serving.context
        trained = np.flatnonzero(self.serving.ways[users] == "trained")
        if model is None or not len(trained):
            return
        seen = model.plays[np.searchsorted(model.user_ids, context.user_ids[users[trained]])]
        rows = np.repeat(trained, np.diff(seen.indptr))
        tracks = model.track_ids[seen.indices]
        in_catalogue = np.isin(tracks, context.track_ids)
        columns_seen = np.searchsorted(context.track_ids, tracks[in_catalogue])
        scores[rows[in_catalogue], columns_seen] = -np.inf
