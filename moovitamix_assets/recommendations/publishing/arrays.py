"""The arrays of a generation, made of the rows of tables and of a model: reshaped and ordered, nothing recomputed.

No loop over users here, and none over rows of recommendations. Reading the rows is in `reading.py`; what each array
means is in `layout.py`.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from moovitamix_assets.recommendations.publishing.layout import (
    NO_TRACK,
    REASON_CODES,
    SOURCES,
    ArmArrays,
    RankedTracks,
    TrackArrays,
)
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.genre_popularity import shares_genre

_NEWEST = 1000
_UNKNOWN = -1

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RecommendedRows:
    """Rows of `recommendations` or of one version of `shadow_recommendations`, for one day, as columns of (n,).

    Attributes:
        users: Ids, ascending.
        ranks: From 1.
        tracks: Ids.
        scores: Comparable within a user.
        sources: Places in `SOURCES`.
    """

    users: Ids
    ranks: npt.NDArray[np.int16]
    tracks: Ids
    scores: npt.NDArray[np.float32]
    sources: npt.NDArray[np.uint8]

    @property
    def user_ids(self) -> Ids:
        """Each user once, ascending, (U,)."""
        return (
            self.users[np.append(True, self.users[1:] != self.users[:-1])] if len(self.users) else self.users
        )

    @property
    def length(self) -> int:
        """Recommendations of the user who has most of them."""
        return int(self.ranks.max(initial=0))


def arm_arrays(
    rows: RecommendedRows,
    user_ids: Ids,
    track_ids: Ids,
    new_tracks: npt.NDArray[np.bool_],
    length: int,
    otherwise: ArmArrays | None = None,
) -> ArmArrays:
    """One arm, a row per user.

    Args:
        rows: Recommendations.
        user_ids: Of all users, ascending, (U,).
        track_ids: Of the catalogue, ascending, (T,).
        new_tracks: Whether each track came after the arm's model was trained, (T,).
        length: Columns (K).
        otherwise: What users without rows get; None where all have some.

    Raises:
        ValueError: If a row is of a user or a track that is not among the ids.
    """
    user, track = _places(user_ids, rows.users, "user"), _places(track_ids, rows.tracks, "track")
    column = rows.ranks.astype(np.int64) - 1
    shape = (len(user_ids), length)
    if otherwise is None:
        arm = ArmArrays(
            positions=np.full(shape, NO_TRACK, np.int32),
            scores=np.zeros(shape, np.float32),
            reasons=np.zeros(shape, np.uint8),
            sources=np.zeros(len(user_ids), np.uint8),
        )
    else:
        arm = ArmArrays(
            otherwise.positions.copy(),
            otherwise.scores.copy(),
            otherwise.reasons.copy(),
            otherwise.sources.copy(),
        )
        arm.positions[user], arm.scores[user], arm.reasons[user] = NO_TRACK, 0.0, 0
    arm.positions[user, column] = track
    arm.scores[user, column] = rows.scores
    arm.reasons[user, column] = _reasons(rows, new_tracks[track])
    arm.sources[user] = rows.sources
    return arm


def track_arrays(tracks: pd.DataFrame, model: Recommender | None) -> TrackArrays:
    """The catalogue, with the vectors of a model.

    Args:
        tracks: track_id, name, artist, genres, created_at; one row per track, by track_id.
        model: None leaves all vectors empty.
    """
    ids = tracks["track_id"].to_numpy(np.int64)
    texts = [
        _text(*row)
        for row in tracks[["track_id", "name", "artist", "genres", "created_at"]].itertuples(index=False)
    ]
    embeddings, biases = (
        model.track_embeddings() if model else (np.empty((0, 0), np.float32), np.empty(0, np.float32))
    )
    of_model = np.flatnonzero(np.isin(model.track_ids, ids)) if model else np.empty(0, np.int64)
    at = np.searchsorted(ids, model.track_ids[of_model]) if model else of_model
    arrays = TrackArrays(
        ids=ids,
        texts=np.frombuffer(b"".join(texts), np.uint8),
        text_starts=np.cumsum([0, *map(len, texts)], dtype=np.int64),
        embeddings=np.zeros((len(ids), embeddings.shape[1]), np.float32),
        biases=np.zeros(len(ids), np.float32),
        in_model=np.zeros(len(ids), np.bool_),
    )
    arrays.embeddings[at], arrays.biases[at], arrays.in_model[at] = (
        embeddings[of_model],
        biases[of_model],
        True,
    )
    return arrays


def ranked_tracks(tracks: pd.DataFrame, plays: npt.NDArray[Any]) -> tuple[RankedTracks, list[str]]:
    """The catalogue in common orders, and its genres, casefolded and ascending.

    Args:
        tracks: genres, created_at; one row per track, by track_id.
        plays: Recent plays of each track, (T,); where they are equal, the lower id comes first, as for cold starts.
    """
    popular = np.argsort(-plays.astype(np.float64), kind="stable")
    rank = np.empty(len(popular), np.int64)
    rank[popular] = np.arange(len(popular))
    words = pd.Series(list(tracks["genres"]), dtype=object).explode().dropna().astype("str").str.casefold()
    of_tracks = pd.DataFrame({"row": words.index, "genre": words.to_numpy()}).drop_duplicates()
    codes, genres = pd.factorize(of_tracks["genre"], sort=True)
    rows = of_tracks["row"].to_numpy(np.int64)
    order = np.lexsort((rank[rows], codes))
    created = tracks["created_at"].to_numpy("datetime64[us]")
    known = np.flatnonzero(~np.isnat(created))
    newest = known[np.argsort(-created[known].astype(np.int64), kind="stable")][:_NEWEST]
    ranked = RankedTracks(
        popular=popular.astype(np.int32),
        newest=newest.astype(np.int32),
        of_genres=rows[order].astype(np.int32),
        genre_starts=np.searchsorted(codes[order], np.arange(len(genres) + 1)).astype(np.int64),
    )
    return ranked, [str(genre) for genre in genres]


def _reasons(rows: RecommendedRows, is_new: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Why each row is recommended, as places in `REASON_CODES`, (n,)."""
    taste, new_track, favorite_genre, popular = (
        REASON_CODES.index(reason) for reason in ("taste", "new_track", "favorite_genre", "popular")
    )
    by_model = rows.sources == SOURCES.index("model")
    cold = rows.sources == SOURCES.index("cold_start")
    return np.select(
        [by_model & is_new, by_model, cold & shares_genre(rows.scores)],
        [np.uint8(new_track), np.uint8(taste), np.uint8(favorite_genre)],
        np.uint8(popular),
    )


def _places(ids: Ids, wanted: Ids, kind: str) -> Ids:
    """The place of each wanted id among the ids, ascending, (n,)."""
    if not len(wanted):
        return np.empty(0, np.int64)
    lowest, span = (int(ids[0]), int(ids[-1]) - int(ids[0]) + 1) if len(ids) else (0, 0)
    if (wanted.min() < lowest) or (wanted.max() >= lowest + span):
        unknown = (wanted < lowest) | (wanted >= lowest + span)
    elif span <= len(wanted):
        # A table costs no more memory than the answer, and takes a fraction of the time of a search.
        table = np.full(span, _UNKNOWN, np.int64)
        table[ids - lowest] = np.arange(len(ids))
        places = table[wanted - lowest]
        unknown = places == _UNKNOWN
    else:
        places = np.searchsorted(ids, wanted)
        unknown = ids[places] != wanted
    if unknown.any():
        raise ValueError(f"{kind} {wanted[unknown][0]} is recommended and not known")
    return places


def _text(track_id: int, name: object, artist: object, genres: object, created_at: object) -> bytes:
    shown = {
        "track_id": int(track_id),
        "name": name if isinstance(name, str) else None,
        "artist": artist if isinstance(artist, str) else None,
        "genres": [str(genre) for genre in genres] if isinstance(genres, list | tuple | np.ndarray) else [],
        "created_at": f"{created_at.isoformat()}Z" if isinstance(created_at, pd.Timestamp) else None,
    }
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
