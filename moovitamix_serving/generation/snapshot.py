"""One published generation, mapped and ready to answer: which tracks, in which order, for whom.

No HTTP here. The files are described in `moovitamix_assets/recommendations/publishing/layout.py`; when one snapshot
replaces another is decided in `watching.py`, and how an answer is written in `answers.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import orjson

from foundation.models.decisions import POPULARITY
from moovitamix_assets.recommendations.publishing.layout import (
    NO_TRACK,
    REASON_CODES,
    SOURCES,
    ArmName,
    Publication,
    Source,
)

_POPULAR_REASON = REASON_CODES.index("popular")
_TASTE_REASON = REASON_CODES.index("taste")


@dataclass(frozen=True)
class Ranking:
    """Tracks in the order in which they are shown.

    Attributes:
        source: How they were chosen.
        positions: Rows of the catalogue.
        scores: One per track; comparable within this ranking.
        reasons: One per track, as places in `REASON_CODES`.
        stale: Whether the recommendations had expired, so that these are popular tracks.
    """

    source: Source
    positions: list[int]
    scores: list[float]
    reasons: list[int]
    stale: bool = False


class Snapshot:
    """The answers of a generation; safe to use from many threads, as nothing in it changes."""

    def __init__(self, name: str, publication: Publication) -> None:
        """Map nothing more: what is needed again and again is taken out of the arrays once.

        Args:
            name: Of the generation.
            publication: Its arrays.
        """
        self.name = name
        self.publication = publication
        self.manifest = publication.manifest
        self.generated_at = _seconds(self.manifest.generated_at)
        self.expires_at = _seconds(self.manifest.expires_at)
        tracks = publication.tracks
        self._lengths = np.linalg.norm(tracks.embeddings, axis=1)
        self._texts: list[bytes | None] = [None] * len(tracks.ids)
        self._places = {genre: place for place, genre in enumerate(self.manifest.genres)}

    def recommend(self, user_id: int, k: int, now: float, arm: ArmName = "champion") -> Ranking:
        """The recommendations of a user: popular tracks for one who is not known, and for all once these expired.

        Args:
            user_id: Any number.
            k: As many tracks at most; no more than were published.
            now: Seconds since 1970.
            arm: Whose; the champion's where there is no challenger.
        """
        if now >= self.expires_at:
            return self.popular(k, stale=True)
        users = self.publication.user_ids
        row = int(users.searchsorted(user_id))
        if row == len(users) or users[row] != user_id:
            return self.popular(k, source="cold_start")
        arrays = self.publication.arms.get(arm) or self.publication.arms["champion"]
        positions = arrays.positions[row, :k].tolist()
        if positions and positions[-1] == NO_TRACK:
            positions = positions[: positions.index(NO_TRACK)]
        return Ranking(
            source=SOURCES[arrays.sources[row]],
            positions=positions,
            scores=arrays.scores[row, : len(positions)].tolist(),
            reasons=arrays.reasons[row, : len(positions)].tolist(),
        )

    def recommend_for_session(self, track_ids: Sequence[int], k: int, now: float) -> Ranking:
        """The tracks that suit what was just played, without those; popular ones where the model knows none of them.

        The arithmetic is that of users who came after the training: the mean of the vectors played, and the biases.
        """
        tracks = self.publication.tracks
        played = np.flatnonzero(np.isin(tracks.ids, np.array(track_ids, np.int64)))
        known = played[tracks.in_model[played]]
        stale = now >= self.expires_at
        if stale or self.manifest.model_version == POPULARITY or not len(known):
            source: Source = "popular" if stale or self.manifest.model_version == POPULARITY else "cold_start"
            return self.popular(k, source=source, stale=stale, left_out=played)
        scores = tracks.embeddings @ tracks.embeddings[known].mean(axis=0) + tracks.biases
        scores[~tracks.in_model] = -np.inf
        scores[played] = -np.inf
        return _best(scores, k)

    def similar(self, track_id: int, k: int) -> Ranking | None:
        """The tracks nearest to one by the cosine of their vectors; None for an id that is not in the catalogue.

        A track that came after the training has no vector: it gets popular tracks of its first genre.
        """
        tracks = self.publication.tracks
        row = self._row_of(track_id)
        if row is None:
            return None
        if not tracks.in_model[row] or not self._lengths[row]:
            genres = orjson.loads(self.track_text(row))["genres"]
            return self.popular(k, genre=genres[0] if genres else None, left_out=np.array([row]))
        lengths = np.maximum(self._lengths * self._lengths[row], np.finfo(np.float32).tiny)
        cosines = (tracks.embeddings @ tracks.embeddings[row]) / lengths
        cosines[~tracks.in_model] = -np.inf
        cosines[row] = -np.inf
        return _best(cosines, k)

    def popular(
        self,
        k: int,
        genre: str | None = None,
        *,
        source: Source = "popular",
        stale: bool = False,
        left_out: npt.NDArray[np.int64] | None = None,
    ) -> Ranking:
        """The most played tracks, of all or of a genre, without some; of an unknown genre there are none."""
        ranked = self.publication.ranked
        positions = ranked.popular
        if genre is not None:
            place = self._places.get(genre.casefold())
            if place is None:
                positions = positions[:0]
            else:
                positions = ranked.of_genres[ranked.genre_starts[place] : ranked.genre_starts[place + 1]]
        some = 0 if left_out is None else len(left_out)
        chosen = positions[: k + some]
        if left_out is not None:
            chosen = chosen[~np.isin(chosen, left_out)]
        return self._in_order(chosen[:k].tolist(), len(positions), source, stale=stale)

    def newest(self, k: int) -> Ranking:
        """The tracks that came last, newest first."""
        newest = self.publication.ranked.newest
        return self._in_order(newest[:k].tolist(), len(newest), "popular")

    def knows_genre(self, genre: str) -> bool:
        """Return whether any track is of a genre, in whatever case it is written."""
        return genre.casefold() in self._places

    def track_text(self, row: int) -> bytes:
        """The JSON object of a track; kept once it was asked for, as few tracks make up most answers."""
        text = self._texts[row]
        if text is None:
            tracks = self.publication.tracks
            text = tracks.texts[tracks.text_starts[row] : tracks.text_starts[row + 1]].tobytes()
            self._texts[row] = text
        return text

    def _row_of(self, track_id: int) -> int | None:
        ids = self.publication.tracks.ids
        row = int(ids.searchsorted(track_id))
        return row if row < len(ids) and ids[row] == track_id else None

    def _in_order(self, positions: list[int], total: int, source: Source, *, stale: bool = False) -> Ranking:
        scores = [1.0 - place / total for place in range(len(positions))]
        return Ranking(source, positions, scores, [_POPULAR_REASON] * len(positions), stale)


def _best(scores: npt.NDArray[np.float32], k: int) -> Ranking:
    """The k best that are not -inf; of equal ones, the lower row first."""
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        rows = np.flatnonzero(scores >= least)
    else:
        rows = np.arange(len(scores))
    rows = rows[np.isfinite(scores[rows])]
    rows = rows[np.argsort(-scores[rows], kind="stable")][:k]
    return Ranking("model", rows.tolist(), scores[rows].tolist(), [_TASTE_REASON] * len(rows))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
