"""Answers as bytes: rankings of a snapshot written as JSON, without building what is only written.

The same form is documented for readers of the OpenAPI document in `routes/documented.py`; a test compares them.
"""

from collections.abc import Sequence

import orjson

from moovitamix_assets.recommendations.publishing.layout import REASON_CODES, REASONS
from moovitamix_serving.generation.snapshot import Ranking, Snapshot

_REASONS = [
    b',"reason":' + orjson.dumps(reason) + b',"because":' + orjson.dumps(REASONS[reason])
    for reason in REASON_CODES
]


def tracks_json(snapshot: Snapshot, ranking: Ranking, *, reasons: bool) -> bytes:
    """The tracks of a ranking as a JSON array: rank, score, track, and if wanted the reason."""
    texts = [snapshot.track_text(row) for row in ranking.positions]
    if reasons:
        items = [
            b'{"rank":%d,"score":%.6g%b,"track":%b}' % (rank, score, _REASONS[reason], text)
            for rank, (score, reason, text) in enumerate(
                zip(ranking.scores, ranking.reasons, texts, strict=True), start=1
            )
        ]
    else:
        items = [
            b'{"rank":%d,"score":%.6g,"track":%b}' % (rank, score, text)
            for rank, (score, text) in enumerate(zip(ranking.scores, texts, strict=True), start=1)
        ]
    return b"[%b]" % b",".join(items)


def origin_json(snapshot: Snapshot) -> bytes:
    """The members that every answer has, without braces: from which model and generation it is, and until when."""
    manifest = snapshot.manifest
    return orjson.dumps(
        {
            "model_version": manifest.model_version,
            "generation": snapshot.name,
            "generated_for": manifest.generated_for,
            "expires_at": manifest.expires_at,
        }
    )[1:-1]


def user_json(snapshot: Snapshot, user_id: int, ranking: Ranking, *, reasons: bool) -> bytes:
    """The members of one user's recommendations, without braces."""
    return b'"user_id":%d,%b' % (user_id, ranking_json(snapshot, ranking, reasons=reasons))


def ranking_json(snapshot: Snapshot, ranking: Ranking, *, reasons: bool) -> bytes:
    """The members of a ranking, without braces."""
    return b'"source":"%b","stale":%b,"recommendations":%b' % (
        ranking.source.encode(),
        b"true" if ranking.stale else b"false",
        tracks_json(snapshot, ranking, reasons=reasons),
    )


def objects(members: Sequence[bytes]) -> bytes:
    """A JSON array of objects, from the members of each."""
    return b"[%b]" % b",".join(b"{%b}" % each for each in members)
