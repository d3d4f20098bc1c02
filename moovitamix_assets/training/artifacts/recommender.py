"""The model: a recipe fitted on a training set, its scores, and its artifact of arrays and JSON.

Fitting, scoring, similarity, saving and loading belong here. Ranking for all users is `recommendations/top_n.py`;
users the model does not cover are served by `serving.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from foundation.models.versions import model_version
from moovitamix_assets.setting_groups import TrainingSettings
from moovitamix_assets.training.artifacts import artifact
from moovitamix_assets.training.components.base import Factors, FloatArray
from moovitamix_assets.training.components.blend import Blend, blend
from moovitamix_assets.training.components.registry import BASE
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import Cutoff, TrainingView, positions, split
from moovitamix_assets.training.evaluation.offline import best_positions
from moovitamix_assets.training.selection.recipe import Recipe, recipe_digest

Coverage = Literal["plays", "features", "none"]
"""The model's knowledge of a user: plays, only their own features, or nothing."""

# The words that stored models use.
_STORED_CUTOFFS: Mapping[Cutoff, str] = {
    "before_validation": "validation",
    "before_holdout": "holdout",
    "as_of": "all",
}


@dataclass(frozen=True)
class Recommender:
    """A fitted model.

    Attributes:
        model_version: `<as_of>-<8 hex of manifest, settings and recipe>`.
        as_of: Last day of the training set.
        cutoff: Up to where in the training set it was fitted.
        recipe: The recipe that was fitted.
        user_ids: Ascending, int64 (U,).
        track_ids: Ascending, int64 (T,).
        plays: The plays it was fitted on, float32 CSR (U, T).
        blend: Vectors and blocks that give the scores.
        featured_users: True for users with features of their own, bool (U,).
        lightfm_width: Number of leading columns of the blend's vectors that are LightFM's, bias last.
    """

    model_version: str
    as_of: date
    cutoff: Cutoff
    recipe: Recipe
    user_ids: npt.NDArray[np.int64]
    track_ids: npt.NDArray[np.int64]
    plays: sparse.csr_matrix
    blend: Blend
    featured_users: npt.NDArray[np.bool_]
    lightfm_width: int

    @classmethod
    def fit(
        cls, training_set: TrainingSet, recipe: Recipe, settings: TrainingSettings, cutoff: Cutoff
    ) -> "Recommender":
        """Fit every component of the recipe on the training set up to the cutoff."""
        digest = recipe_digest(training_set.manifest, settings, recipe)
        return cls.fit_view(
            split(training_set, cutoff, since_change=recipe.learns_since is not None),
            recipe,
            seed=settings.seed,
            threads=settings.training_threads,
            model_version=model_version(training_set.as_of, digest),
            as_of=training_set.as_of,
            cutoff=cutoff,
        )

    @classmethod
    def fit_view(
        cls,
        view: TrainingView,
        recipe: Recipe,
        *,
        seed: int,
        threads: int,
        model_version: str,
        as_of: date,
        cutoff: Cutoff,
    ) -> "Recommender":
        """Fit on a view; with a training set, use `fit`.

        Raises:
            ValueError: If LightFM is not the recipe's first component.
        """
        fitted = [weighted.component.fit(view, seed, threads) for weighted in recipe.components]
        first = fitted[0]
        if recipe.components[0].component.name != BASE.name or not isinstance(first, Factors):
            raise ValueError("the first component of a recipe is LightFM")
        return cls(
            model_version=model_version,
            as_of=as_of,
            cutoff=cutoff,
            recipe=recipe,
            user_ids=view.user_ids,
            track_ids=view.track_ids,
            plays=view.plays,
            blend=blend(fitted, [weighted.weight for weighted in recipe.components]),
            featured_users=np.diff(view.user_features.indptr) > 0,
            lightfm_width=first.track_vectors.shape[1],
        )

    @property
    def user_vectors(self) -> FloatArray:
        """One vector per user of `user_ids`, float32 (U, d)."""
        return self.blend.user_vectors

    @property
    def track_vectors(self) -> FloatArray:
        """One vector per track of `track_ids`, float32 (T, d)."""
        return self.blend.track_vectors

    def coverage(self, user_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
        """Return the model's knowledge of each user: `plays`, `features` or `none`, shape (n,).

        Unknown ids give `none`. Only users with `plays` are served better by the model than by the cold start.
        """
        result = np.full(len(user_ids), "none", dtype="<U8")
        rows = np.searchsorted(self.user_ids, user_ids)
        rows = np.minimum(rows, len(self.user_ids) - 1)
        known = self.user_ids[rows] == user_ids
        result[known & self.featured_users[rows]] = "features"
        result[known & (np.diff(self.plays.indptr)[rows] > 0)] = "plays"
        return result

    def scores(self, user_ids: npt.NDArray[np.int64]) -> FloatArray:
        """Return the score of every track of `track_ids` for some users, float32 (n, T).

        Raises:
            ValueError: If an id is not in `user_ids`.
        """
        return self.blend.scores(positions(self.user_ids, user_ids, "user"))

    def recommend_for_session(self, track_ids: npt.NDArray[np.int64], k: int) -> list[tuple[int, float]]:
        """Return the k best other tracks for a user of whom only these plays are known, as (track_id, score).

        Their vector is the mean of those of the tracks played; ids that the model does not know are
        ignored, and without any left the tracks come in the order of their biases.
        """
        embeddings, biases = self.track_embeddings()
        played = np.flatnonzero(np.isin(self.track_ids, track_ids))
        profile = embeddings[played].mean(axis=0) if len(played) else np.zeros(embeddings.shape[1])
        scores = (embeddings @ profile + biases).astype(np.float32)
        return self._best(scores, left_out=played, k=k)

    def newcomer_vectors(self, plays: sparse.csr_matrix) -> FloatArray:
        """Return vectors for users who came after the training, from their plays since then.

        Each is the mean of the vectors of the tracks played, and ranks by the tracks' biases where there are
        none. Multiply them with the first `lightfm_width` columns of `track_vectors`.

        Args:
            plays: Plays, CSR (n, T) over `track_ids`; each track counts once, however often it was played.

        Returns:
            float32 (n, lightfm_width).
        """
        embeddings, _ = self.track_embeddings()
        played = plays.sign()
        counts = np.maximum(np.diff(plays.indptr), 1)[:, None]
        ones = np.ones((plays.shape[0], 1), dtype=np.float32)
        return np.hstack([(played @ embeddings / counts).astype(np.float32), ones])

    def similar_tracks(self, track_id: int, k: int) -> list[tuple[int, float]]:
        """Return the k tracks nearest to one by cosine, as (track_id, cosine), without the track itself.

        Raises:
            ValueError: If the track is not in `track_ids`.
        """
        at = positions(self.track_ids, np.array([track_id]), "track")
        directions = self._directions()
        return self._best(directions @ directions[at[0]], left_out=at, k=k)

    def nearest_of(self, track_id: int, played: npt.NDArray[np.int64]) -> tuple[int, float] | None:
        """Return the nearest to a track among those played, as (track_id, cosine).

        The track itself and ids that the model does not know are ignored; None if none are left.

        Raises:
            ValueError: If the track is not in `track_ids`.
        """
        at = positions(self.track_ids, np.array([track_id]), "track")[0]
        others = np.flatnonzero(np.isin(self.track_ids, played) & (self.track_ids != track_id))
        if not len(others):
            return None
        directions = self._directions()
        cosines = directions[others] @ directions[at]
        nearest = int(cosines.argmax())
        return int(self.track_ids[others[nearest]]), float(cosines[nearest])

    def save(self, directory: Path) -> None:
        """Write arrays (.npy) and `recipe.json` into `directory`; equal models give equal bytes."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("user_ids", "track_ids", "featured_users"):
            artifact.write_array(directory, name, getattr(self, name))
        artifact.write_matrix(directory, "plays", self.plays)
        content = {
            "model_version": self.model_version,
            "as_of": self.as_of.isoformat(),
            "fit_on": _STORED_CUTOFFS[self.cutoff],
            "lightfm_width": self.lightfm_width,
            "recipe": self.recipe.to_json(),
            "blocks": artifact.write_blend(directory, self.blend),
        }
        artifact.write_json(directory, content)

    @classmethod
    def load(cls, directory: Path) -> "Recommender":
        """Read what `save` wrote; nothing is ever unpickled."""
        content = artifact.read_json(directory)
        return cls(
            model_version=content["model_version"],
            as_of=date.fromisoformat(content["as_of"]),
            cutoff=next(cutoff for cutoff, word in _STORED_CUTOFFS.items() if word == content["fit_on"]),
            recipe=Recipe.from_json(content["recipe"]),
            user_ids=artifact.read_array(directory, "user_ids"),
            track_ids=artifact.read_array(directory, "track_ids"),
            plays=artifact.read_matrix(directory, "plays"),
            blend=artifact.read_blend(directory, content["blocks"]),
            featured_users=artifact.read_array(directory, "featured_users"),
            lightfm_width=content["lightfm_width"],
        )

    def track_embeddings(self) -> tuple[FloatArray, FloatArray]:
        """LightFM's vectors of the tracks of `track_ids`, float32 (T, d), and their biases, float32 (T,)."""
        vectors = self.track_vectors[:, : self.lightfm_width]
        return vectors[:, :-1], vectors[:, -1]

    def _directions(self) -> FloatArray:
        embeddings, _ = self.track_embeddings()
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        directions: FloatArray = np.divide(
            embeddings, lengths, out=np.zeros_like(embeddings), where=lengths > 0
        )
        return directions

    def _best(self, scores: FloatArray, left_out: npt.NDArray[np.int64], k: int) -> list[tuple[int, float]]:
        allowed = scores.copy()
        allowed[left_out] = -np.inf
        best = best_positions(allowed[None, :], k)[0]
        return [(int(self.track_ids[at]), float(scores[at])) for at in best[best >= 0]]
