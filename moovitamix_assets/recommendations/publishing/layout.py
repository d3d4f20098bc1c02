"""The files of a published generation: names, forms and meanings of its arrays, for their writer and every reader.

Plain arrays (.npy, to be mapped) and JSON, nothing else. How they are filled is in `arrays.py` and `publication.py`;
writing whole and verifying is in `foundation/publishing/generations.py`. Readers import this module, so it imports
nothing but NumPy.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

FORMAT = 1
"""Raised when a reader of the form before would misread the files."""

MANIFEST_FILE, HISTORY_FILE = "manifest.json", "history.json"

Source = Literal["model", "cold_start", "popular"]
SOURCES: tuple[Source, ...] = get_args(Source)
"""How a user is served, as in the table `recommendations`; `sources` of an arm holds places in this tuple."""

Reason = Literal["taste", "new_track", "favorite_genre", "popular"]
REASONS: Mapping[Reason, str] = {
    "taste": "Fits what you have played.",
    "new_track": "New in the catalogue, and like what you have played.",
    "favorite_genre": "Popular in one of your favorite genres.",
    "popular": "Popular with all users.",
}
REASON_CODES: tuple[Reason, ...] = tuple(REASONS)
"""`reasons` of an arm holds places in this tuple; the texts are in the manifest as well."""

NO_TRACK = -1
"""In `positions`, after the last track of a user with fewer than the full number."""

ArmName = Literal["champion", "challenger"]
ARMS: tuple[ArmName, ...] = get_args(ArmName)
"""The recommendations users get, and those of the challenger in shadow. During a fallback `champion` holds popular
tracks, as these are what users get."""


@dataclass(frozen=True)
class Manifest:
    """The description of a generation, readable without its arrays.

    Attributes:
        model_version: The version whose recommendations users get, or `popularity`.
        challenger: The version of the arm `challenger`; None without one.
        vectors_of: The champion, whose vectors `tracks` holds; None without one.
        generated_for: The day as of which the recommendations were made.
        generated_at: The end of that day, UTC.
        expires_at: From then on the recommendations must not be shown, UTC.
        users: Users with recommendations (U).
        tracks: Tracks of the catalogue (T).
        length: Most recommendations of a user (K).
        genres: The genres of the catalogue, casefolded, ascending (G).
        reasons: Texts by reason, in the order of their codes.
        format: See `FORMAT`.
    """

    model_version: str
    challenger: str | None
    vectors_of: str | None
    generated_for: str
    generated_at: str
    expires_at: str
    users: int
    tracks: int
    length: int
    genres: list[str]
    reasons: dict[str, str]
    format: int = FORMAT


@dataclass(frozen=True)
class ArmArrays:
    """The recommendations of one arm, a row per user.

    Attributes:
        positions: Rows of the tracks, best first, `NO_TRACK` after the last, int32 (U, K).
        scores: Comparable within a user, 0 after the last, float32 (U, K).
        reasons: Places in `REASON_CODES`, uint8 (U, K).
        sources: Places in `SOURCES`, uint8 (U,).
    """

    positions: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    reasons: npt.NDArray[np.uint8]
    sources: npt.NDArray[np.uint8]

    def users_by_source(self) -> dict[str, int]:
        """The number of users served in each way."""
        return dict(zip(SOURCES, np.bincount(self.sources, minlength=len(SOURCES)).tolist(), strict=True))

    def recommendations_by_reason(self) -> dict[str, int]:
        """The number of recommendations with each reason."""
        given = self.reasons[self.positions != NO_TRACK]
        return dict(zip(REASON_CODES, np.bincount(given, minlength=len(REASON_CODES)).tolist(), strict=True))


@dataclass(frozen=True)
class TrackArrays:
    """The catalogue, a row per track.

    Attributes:
        ids: Ascending, int64 (T,).
        texts: What is shown of each track as one JSON object (track_id, name, artist, genres, created_at), one behind
            the other, UTF-8, uint8 (B,).
        text_starts: Where each object starts, and the end of the last one, int64 (T + 1,).
        embeddings: The champion's vectors, float32 (T, d); zeros for tracks it does not know.
        biases: The champion's biases, float32 (T,).
        in_model: Whether the champion knows the track, bool (T,).
    """

    ids: npt.NDArray[np.int64]
    texts: npt.NDArray[np.uint8]
    text_starts: npt.NDArray[np.int64]
    embeddings: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    in_model: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RankedTracks:
    """Rows of tracks in an order that is the same for all users.

    Attributes:
        popular: All tracks, most played first, int32 (T,).
        newest: The tracks that came last, newest first, int32 (N,).
        of_genres: The tracks of each genre, most played first, one genre behind the other, int32 (S,).
        genre_starts: Where each genre starts in `of_genres`, and the end of the last one, int64 (G + 1,).
    """

    popular: npt.NDArray[np.int32]
    newest: npt.NDArray[np.int32]
    of_genres: npt.NDArray[np.int32]
    genre_starts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Publication:
    """Everything in a generation.

    Attributes:
        manifest: What it is.
        user_ids: Ascending, int64 (U,).
        arms: By name; `challenger` only where there is one.
        tracks: The catalogue.
        ranked: The catalogue in common orders.
        history: `model`, `promotions`, `quality`, `drift` and `data_quality`, as JSON values.
    """

    manifest: Manifest
    user_ids: npt.NDArray[np.int64]
    arms: Mapping[ArmName, ArmArrays]
    tracks: TrackArrays
    ranked: RankedTracks
    history: Mapping[str, Any]


class UnknownFormat(ValueError):
    """A generation of another form than this module reads."""


def write_publication(folder: Path, publication: Publication) -> None:
    """Write the files of a generation into an empty folder; equal publications give equal bytes."""
    np.save(folder / "user_ids.npy", publication.user_ids, allow_pickle=False)
    _write_arrays(folder, "tracks", publication.tracks)
    _write_arrays(folder, "ranked", publication.ranked)
    for name, arm in publication.arms.items():
        _write_arrays(folder, name, arm)
    _write_json(folder / HISTORY_FILE, publication.history)
    _write_json(folder / MANIFEST_FILE, asdict(publication.manifest))


def read_publication(folder: Path) -> Publication:
    """Map the files of a generation; only what is used is read from the disk.

    Raises:
        UnknownFormat: If it is of another form.
    """
    content = json.loads((folder / MANIFEST_FILE).read_bytes())
    if content["format"] != FORMAT:
        raise UnknownFormat(f"{folder} is of format {content['format']}, and format {FORMAT} is read")
    manifest = Manifest(**content)
    arms: tuple[ArmName, ...] = ARMS if manifest.challenger else ("champion",)
    return Publication(
        manifest=manifest,
        user_ids=_mapped(folder, "user_ids"),
        arms={name: ArmArrays(**_read_arrays(folder, name, ArmArrays)) for name in arms},
        tracks=TrackArrays(**_read_arrays(folder, "tracks", TrackArrays)),
        ranked=RankedTracks(**_read_arrays(folder, "ranked", RankedTracks)),
        history=json.loads((folder / HISTORY_FILE).read_bytes()),
    )


def _write_arrays(folder: Path, group: str, arrays: ArmArrays | TrackArrays | RankedTracks) -> None:
    for field in fields(arrays):
        np.save(folder / f"{group}_{field.name}.npy", getattr(arrays, field.name), allow_pickle=False)


def _read_arrays(folder: Path, group: str, kind: type) -> dict[str, npt.NDArray[Any]]:
    return {field.name: _mapped(folder, f"{group}_{field.name}") for field in fields(kind)}


def _mapped(folder: Path, name: str) -> npt.NDArray[Any]:
    # A plain view of the mapped file: indexing NumPy's memmap class takes several times as long.
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    # NaN is no JSON: whoever fills the history has None for what is not known.
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
