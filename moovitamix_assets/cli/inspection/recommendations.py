"""`moovitamix recommend`: a user's recommendations with a reason per track, similar tracks, tracks for a session.

Reading and printing only; recommendations are computed in `recommendations/`. A user is an id here: no name, no email.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import numpy as np
from rich.console import Console

from foundation.counting import counted
from foundation.models.decisions import Champion
from foundation.models.promotions import current_champion, serving_decision, standing
from foundation.warehouse.rows import first_row
from moovitamix_assets.cli.inspection.tracks import NothingToShow, Track, read_known_tracks, read_tracks
from moovitamix_assets.clock import last_ended_day
from moovitamix_assets.clock import now as present
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.warehouse.connection import read_warehouse

_POPULARITY_DAYS = 30
_UNTIL = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True)
class Shown:
    """An answer of `moovitamix recommend`.

    Attributes:
        heading: Its first lines.
        facts: What the heading says, as plain values.
        tracks: The tracks, the best first, with score and reason; the reason is None where the heading gives it.
    """

    heading: tuple[str, ...]
    facts: dict[str, Any]
    tracks: tuple[tuple[Track, float, str | None], ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            **self.facts,
            "tracks": [
                {"rank": rank, **track.to_json(), "score": score, **({"reason": reason} if reason else {})}
                for rank, (track, score, reason) in enumerate(self.tracks, start=1)
            ],
        }


def print_shown(console: Console, shown: Shown) -> None:
    """Print an answer for a terminal."""
    for line in shown.heading:
        _say(console, line)
    for rank, (track, score, reason) in enumerate(shown.tracks, start=1):
        _say(console, f"{rank:>3}. {track.with_genres}  {score:.3f}  track {track.track_id}")
        if reason:
            _say(console, f"     {reason}")


def read_recommendations(
    settings: Settings, user_id: int, day: date | None, now: datetime | None = None
) -> Shown:
    """A user's recommendations of a day, with the reason for each track.

    Args:
        settings: Where the warehouse and the models are.
        user_id: The user.
        day: The partition; None for the newest.
        now: UTC; if given, expired recommendations are marked.

    Raises:
        NothingToShow: If there is no such user, no such day, or no recommendation.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        as_of = _day(connection, day, last_ended_day(present(settings)))
        rows = connection.execute(
            """SELECT track_id, score, source, model_version, expires_at FROM recommendations
               WHERE user_id = ? AND generated_for = ? ORDER BY rank""",
            [user_id, as_of],
        ).fetchall()
        if not rows:
            raise NothingToShow(_why_none(connection, user_id, as_of))
        played = _plays(connection, user_id, as_of)
        tracks = read_tracks(connection, [*played, *(row[0] for row in rows)])
        favorites = _favorite_genres(connection, user_id, as_of)
        versions = standing(connection, as_of)
        decided = serving_decision(connection, as_of)
    *_, source, version, expires_at = rows[0]
    until = "expired on" if now and now >= expires_at else "to be shown until"
    heading = (
        f"User {user_id} on {as_of}: {counted(len(rows), 'track')} from {source} "
        f"(version {version}), {until} {expires_at.strftime(_UNTIL)}"
    )
    fallback = versions.fallback if source != "model" else None
    reasons = _Reasons(
        _model(settings, version) if source == "model" else None,
        played,
        tracks,
        favorites,
        fallback.popularity_days if fallback else _POPULARITY_DAYS,
    )
    facts = {
        "user_id": user_id,
        "day": as_of.isoformat(),
        "source": source,
        "model_version": version,
        "expires_at": expires_at.isoformat(),
    }
    shown = ((tracks[track_id], score, reasons.of(track_id, of)) for track_id, score, of, *_ in rows)
    if fallback is None or decided is None:
        return Shown((heading,), facts, tuple(shown))
    why = (
        f"Popular tracks serve all users since {fallback.since}, instead of the champion {versions.champion}. "
        f"{decided.reason}"
    )
    facts |= {"fallback_since": fallback.since.isoformat(), "fallback_reason": decided.reason}
    return Shown((heading, why), facts, tuple(shown))


def read_similar(settings: Settings, track_id: int, day: date | None) -> Shown:
    """The tracks most similar to one, by the champion (as of a day).

    Raises:
        NothingToShow: If there is no champion, or the track is unknown to the catalogue or to the version.
        ModelMissing: If the version's folder is gone.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        champion = _champion(connection, settings, day)
        (track,) = read_known_tracks(connection, [track_id])
    version = champion.model_version
    model = model_store(settings.models_dir, champion.previous_version).load(version)
    if track_id not in model.track_ids:
        raise NothingToShow(f"Track {track_id} is newer than {version}; the next training will know it.")
    found = model.similar_tracks(track_id, settings.recommendations.recommendations_per_user)
    heading = f"Similar to {track.with_genres}, by version {version}:"
    facts = {"similar_to": track.to_json(), "model_version": version}
    return Shown((heading,), facts, _scored(settings, found))


def read_session(settings: Settings, track_ids: Sequence[int], day: date | None) -> Shown:
    """Recommendations for a user of whom only these plays are known, by the champion (as of a day).

    Raises:
        NothingToShow: If there is no champion, or a track is unknown to the catalogue.
        ModelMissing: If the version's folder is gone.
    """
    with read_warehouse(settings.warehouse_path) as connection:
        champion = _champion(connection, settings, day)
        played = read_known_tracks(connection, track_ids)
    version = champion.model_version
    model = model_store(settings.models_dir, champion.previous_version).load(version)
    session = np.array(track_ids, dtype=np.int64)
    found = model.recommend_for_session(session, settings.recommendations.recommendations_per_user)
    used = [track.track_id in model.track_ids for track in played]
    heading = [f"After these, by version {version}:"]
    for track, is_used in zip(played, used, strict=True):
        heading.append(f"     {track.with_genres}{'' if is_used else ' (unknown to this version: ignored)'}")
    session_facts = [{**track.to_json(), "used": known} for track, known in zip(played, used, strict=True)]
    return Shown(
        tuple(heading), {"session": session_facts, "model_version": version}, _scored(settings, found)
    )


class _Reasons:
    """The reason for each recommended track, in one line."""

    def __init__(
        self,
        model: Recommender | None,
        played: Mapping[int, int],
        tracks: Mapping[int, Track],
        favorites: frozenset[str],
        popularity_days: int,
    ) -> None:
        self._model = model
        self._played = played
        self._tracks = tracks
        self._favorites = favorites
        self._popularity_days = popularity_days

    def of(self, track_id: int, source: str) -> str:
        if source == "model":
            return self._by_model(track_id)
        shared = sorted(self._favorites & self._tracks[track_id].genres)
        if source == "cold_start" and shared:
            return f"popular in {', '.join(shared)}"
        return f"popular in the last {self._popularity_days} days"

    def _by_model(self, track_id: int) -> str:
        if self._model is None:
            return "its model is no longer kept, so the reason is unknown"
        if track_id not in self._model.track_ids:
            return "it came after the model's training, and its artist, genres or album fit your profile"
        nearest = self._model.nearest_of(track_id, np.array(list(self._played), dtype=np.int64))
        if nearest is None:
            return "no single track that you played explains it; it fits your profile"
        times = self._played[nearest[0]]
        return f"because you played {self._tracks[nearest[0]].title} {counted(times, 'time')}"


def _day(connection: duckdb.DuckDBPyConnection, day: date | None, until: date) -> date:
    """The requested day, or the newest one that has ended: later ones come from a clock that was ahead."""
    first, last = first_row(
        connection,
        "SELECT min(generated_for), max(generated_for) FROM recommendations WHERE generated_for <= ?",
        [until],
    ) or (None, None)
    if last is None:
        raise NothingToShow("There are no recommendations yet: moovitamix run computes them.")
    if day is None:
        return last  # type: ignore[no-any-return]
    if day > until or not first_row(
        connection, "SELECT 1 FROM recommendations WHERE generated_for = ? LIMIT 1", [day]
    ):
        raise NothingToShow(
            f"There are no recommendations for {day}. Days kept lie between {first} and {last}: choose one of "
            f"them, or materialize recommendations for {day}."
        )
    return day


def _why_none(connection: duckdb.DuckDBPyConnection, user_id: int, day: date) -> str:
    known = first_row(connection, "SELECT min(changed_on) FROM users WHERE user_id = ?", [user_id])
    since = known[0] if known else None
    if since is None:
        return f"There is no user {user_id}. Ids are those of the source: SELECT user_id FROM dim_users."
    if since > day:
        return f"User {user_id} is known since {since}, after {day}: choose a later day."
    return (
        f"User {user_id}, known since {since}, has no recommendations for {day}: materialize recommendations "
        f"for {day} again."
    )


def _plays(connection: duckdb.DuckDBPyConnection, user_id: int, day: date) -> dict[int, int]:
    """The number of plays of each track by a user, as known on the day."""
    rows = connection.execute(
        """SELECT track_id, count(*) FROM (
               SELECT track_id FROM listens WHERE user_id = ? AND changed_on <= ?
               QUALIFY changed_on = max(changed_on) OVER (PARTITION BY listened_at)
           ) GROUP BY track_id ORDER BY track_id""",
        [user_id, day],
    ).fetchall()
    return dict(rows)


def _favorite_genres(connection: duckdb.DuckDBPyConnection, user_id: int, day: date) -> frozenset[str]:
    row = first_row(
        connection,
        """SELECT favorite_genres FROM users WHERE user_id = ? AND changed_on <= ?
           ORDER BY changed_on DESC LIMIT 1""",
        [user_id, day],
    )
    return frozenset(row[0] or ()) if row else frozenset()


def _model(settings: Settings, version: str) -> Recommender | None:
    """The model of a version; None if its folder is no longer kept."""
    models = model_store(settings.models_dir)
    return models.load(version) if models.has(version) else None


def _champion(connection: duckdb.DuckDBPyConnection, settings: Settings, day: date | None) -> Champion:
    until = last_ended_day(present(settings))
    champion = current_champion(connection, min(day or until, until))
    if champion is None:
        when = f"as of {day}" if day else "yet"
        raise NothingToShow(
            f"No model has passed the gate {when}, so there are popular tracks only. The reasons are in the table "
            "promotions; moovitamix run trains as of the newest day."
        )
    return champion


def _scored(
    settings: Settings, found: list[tuple[int, float]]
) -> tuple[tuple[Track, float, str | None], ...]:
    with read_warehouse(settings.warehouse_path) as connection:
        tracks = read_tracks(connection, [track_id for track_id, _ in found])
    return tuple((tracks[track_id], score, None) for track_id, score in found)


def _say(console: Console, line: str) -> None:
    # Titles come from outside: brackets in them are no markup, and nothing in them steers the terminal.
    printable = "".join(letter if letter.isprintable() else " " for letter in line)
    console.print(printable, markup=False, highlight=False, soft_wrap=True)
