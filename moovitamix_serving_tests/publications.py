"""Small published generations, made of the arrays alone: no warehouse, no training. No assertion belongs here."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from foundation.publishing.generations import Generations
from moovitamix_assets.recommendations.publishing.layout import (
    NO_TRACK,
    REASONS,
    ArmArrays,
    Manifest,
    Publication,
    RankedTracks,
    TrackArrays,
    write_publication,
)

USERS = (7, 12103, 2**40)
TRACKS = (10, 11, 12, 13, 14)
"""The last one came after the model was trained. By plays: 14, 13, 12, 11, 10; by age likewise."""
VERSION = "2026-09-21-aaaaaaaa"
FAR = "2999-01-01T00:00:00Z"
EMBEDDINGS = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0, 0]], np.float32)
BIASES = np.array([0.1, 0.0, 0.3, 0.0, 0.0], np.float32)


def text_of(track: int) -> bytes:
    """What is shown of a track."""
    genres = ["Pop"] if track % 2 == 0 else ["Rock", "Pop"]
    shown = {
        "track_id": track,
        "name": f"Song {track}",
        "artist": "Ätna",
        "genres": genres,
        "created_at": None,
    }
    return json.dumps(shown, ensure_ascii=False).encode()


def publication(
    version: str = VERSION, expires_at: str = FAR, first: int = 0, users: Sequence[int] = USERS
) -> Publication:
    """Each user gets three tracks from row `first` on, but for the second user, who gets two as a cold start."""
    count = len(users)
    positions = np.tile((np.arange(3) + first) % len(TRACKS), (count, 1)).astype(np.int32)
    sources = np.zeros(count, np.uint8)
    reasons = np.zeros((count, 3), np.uint8)
    if count > 1:
        positions[1, 2], sources[1], reasons[1] = NO_TRACK, 1, 2
    texts = [text_of(track) for track in TRACKS]
    rows = np.arange(len(TRACKS), dtype=np.int32)
    return Publication(
        manifest=Manifest(
            model_version=version,
            challenger=None,
            vectors_of=None if version == "popularity" else version,
            generated_for="2026-09-30",
            generated_at="2026-10-01T00:00:00Z",
            expires_at=expires_at,
            users=count,
            tracks=len(TRACKS),
            length=3,
            genres=["pop", "rock"],
            reasons={str(reason): words for reason, words in REASONS.items()},
        ),
        user_ids=np.array(users, np.int64),
        arms={
            "champion": ArmArrays(
                positions, np.tile(np.array([3, 2, 1], np.float32), (count, 1)) / 7, reasons, sources
            )
        },
        tracks=TrackArrays(
            ids=np.array(TRACKS, np.int64),
            texts=np.frombuffer(b"".join(texts), np.uint8),
            text_starts=np.cumsum([0, *map(len, texts)], dtype=np.int64),
            embeddings=EMBEDDINGS,
            biases=BIASES,
            in_model=np.array([True, True, True, True, False]),
        ),
        ranked=RankedTracks(
            popular=rows[::-1].copy(),
            newest=rows[::-1].copy(),
            of_genres=np.array([4, 3, 2, 1, 0, 3, 1], np.int32),
            genre_starts=np.array([0, 5, 7], np.int64),
        ),
        history={
            "model": {"model_version": version, "serving_since": "2026-09-22"},
            "promotions": [{"model_version": version, "decision": "promoted", "reason": "Better."}],
            "quality": [{"day": f"2026-09-{day}", "ndcg_at_10": 0.1} for day in (28, 29, 30)],
            "drift": [{"day": "2026-09-30", "feature": "listen_hour", "value": 0.1}],
            "data_quality": [
                {"day": "2026-09-30", "table_name": "users", "rejected_by_reason": {"no name": 1}}
            ],
        },
    )


def with_challenger(made: Publication, version: str) -> Publication:
    """The same with a challenger that recommends the champion's tracks in reverse."""
    champion = made.arms["champion"]
    challenger = replace(champion, positions=champion.positions[:, ::-1].copy())
    return replace(
        made,
        manifest=replace(made.manifest, challenger=version),
        arms={"champion": champion, "challenger": challenger},
    )


def publish(generations: Generations, made: Publication, kept: int = 3) -> str:
    """Make it current."""

    def write(folder: Path) -> None:
        write_publication(folder, made)

    return generations.publish("2026-09-30-aaaaaaaa", write, kept=kept)
