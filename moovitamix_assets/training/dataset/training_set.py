"""The training set: users, tracks and who played what, as known on one day, and its views for fitting.

How the set is stored and how it is cut in time belongs here. The SQL that makes it is in `warehouse/as_of.py`;
what a model makes of it is in `components/`.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from foundation.artifact_folder import damage_in
from foundation.durable import Damaged
from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.features import track_features, user_features
from moovitamix_assets.training.dataset.reference_profile import Profile, from_json, to_json

FitOn = Literal["validation", "holdout", "all"]
"""Up to which day a model may know: before the validation days, before the hold-out days, or all of it."""

MANIFEST_FILE = "manifest.json"

_TIMESTAMP = pa.timestamp("us")
_SCHEMAS: dict[str, pa.Schema] = {
    "users": pa.schema(
        [
            (columns.USER_ID, pa.int64()),
            (columns.FAVORITE_GENRES, pa.list_(pa.string())),
            (columns.GENDER, pa.string()),
            (columns.CREATED_AT, _TIMESTAMP),
        ]
    ),
    "tracks": pa.schema(
        [
            (columns.TRACK_ID, pa.int64()),
            (columns.ARTIST, pa.string()),
            (columns.SONGWRITERS, pa.string()),
            (columns.GENRES, pa.list_(pa.string())),
            (columns.ALBUM, pa.string()),
            (columns.DURATION_SECONDS, pa.float64()),
            (columns.PLAYS_LAST_30_DAYS, pa.int64()),
            (columns.PLAYS_LAST_30_DAYS_BEFORE_HOLDOUT, pa.int64()),
            (columns.PLAYS_LAST_30_DAYS_BEFORE_VALIDATION, pa.int64()),
        ]
    ),
    "interactions": pa.schema(
        [
            (columns.USER_ID, pa.int64()),
            (columns.TRACK_ID, pa.int64()),
            (columns.PLAYS, pa.int64()),
            (columns.PLAYS_BEFORE_HOLDOUT, pa.int64()),
            (columns.PLAYS_BEFORE_VALIDATION, pa.int64()),
            (columns.FADED_PLAYS, pa.int64()),
            (columns.FADED_PLAYS_BEFORE_HOLDOUT, pa.int64()),
            (columns.FADED_PLAYS_BEFORE_VALIDATION, pa.int64()),
            (columns.FIRST_LISTENED_AT, _TIMESTAMP),
            (columns.LAST_LISTENED_AT, _TIMESTAMP),
        ]
    ),
}
# Left out where it is not known when pairs were played.
_OPTIONAL = {
    columns.FADED_PLAYS,
    columns.FADED_PLAYS_BEFORE_HOLDOUT,
    columns.FADED_PLAYS_BEFORE_VALIDATION,
}
_FADED_UNIT = 1000.0
_KEYS = {
    "users": [columns.USER_ID],
    "tracks": [columns.TRACK_ID],
    "interactions": [columns.USER_ID, columns.TRACK_ID],
}


class TrainingSetDamaged(Damaged):
    """A training set whose files are not those that were written."""

    def __init__(self, folder: Path, found: str) -> None:
        """Name the folder, `found` in it, what is lost and the remedy."""
        super().__init__(
            f"The training set {folder} is damaged: {found}. Lost is the snapshot of {folder.name} and nothing else: "
            "the warehouse gives it again with `dagster asset materialize --select training_set "
            f"--partition {folder.name} -m moovitamix_assets.definitions`."
        )


@dataclass(frozen=True)
class TrainingSet:
    """Everything that a model may learn from as of one day; no name and no email is in it.

    Attributes:
        as_of: The last day that is included.
        users: One row per user: user_id, favorite_genres (list of str), gender (str or None), created_at.
        tracks: One row per track: track_id, artist, songwriters, genres (list of str), album,
            duration_seconds, and the plays of the last 30 days up to `as_of` and to each of the two cuts.
        interactions: One row per (user, track) pair: plays up to `as_of` and to each of the two cuts, the same
            faded (thousandths, halved each week of age at the cut; may be left out), first and last time listened.
        reference: What listens, people and tracks were like, for drift; nothing is learned from it.
    """

    as_of: date
    users: pd.DataFrame
    tracks: pd.DataFrame
    interactions: pd.DataFrame
    reference: Profile = field(default_factory=dict)

    def manifest(self) -> dict[str, Any]:
        """Return what identifies the set: its day, the rows and the SHA-256 of each file, and the reference."""
        return self._manifest({name: self._parquet(name) for name in _SCHEMAS})

    def write(self, directory: Path) -> dict[str, Any]:
        """Write three Parquet files and `manifest.json` into `directory`; the same set gives the same bytes.

        Returns:
            The manifest that was written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        files = {name: self._parquet(name) for name in _SCHEMAS}
        manifest = self._manifest(files)
        for name, content in files.items():
            (directory / f"{name}.parquet").write_bytes(content)
        (directory / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        return manifest

    @classmethod
    def read(cls, directory: Path) -> "TrainingSet":
        """Read what `write` wrote.

        Raises:
            TrainingSetDamaged: If a file is not the one that was written.
        """
        manifest = verified_manifest(directory)
        frames = {}
        for name, schema in _SCHEMAS.items():
            content = (directory / f"{name}.parquet").read_bytes()
            if hashlib.sha256(content).hexdigest() != manifest["files"][name]["sha256"]:
                raise TrainingSetDamaged(directory, f"{name}.parquet differs from its manifest")
            known = pq.read_schema(io.BytesIO(content)).names
            frames[name] = pq.read_table(io.BytesIO(content), schema=_of(schema, known)).to_pandas()
        reference = from_json(manifest.get("reference", {}))
        return cls(as_of=date.fromisoformat(manifest["as_of"]), reference=reference, **frames)

    def _manifest(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        return {
            "as_of": self.as_of.isoformat(),
            "files": {
                name: {"rows": len(getattr(self, name)), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in files.items()
            },
            "reference": to_json(self.reference),
        }

    def _parquet(self, name: str) -> bytes:
        frame: pd.DataFrame = getattr(self, name).sort_values(_KEYS[name], kind="stable")
        schema = _of(_SCHEMAS[name], frame.columns)
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        buffer = io.BytesIO()
        # The frame's own metadata names library versions, which would change the bytes of equal sets.
        pq.write_table(table.replace_schema_metadata(None), buffer, compression="zstd")
        return buffer.getvalue()


def verified_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a training set, once every file of its folder was compared with its hash.

    Raises:
        TrainingSetDamaged: If a file is not the one that was written.
    """
    try:
        found = damage_in(directory)
        if found is None:
            manifest: dict[str, Any] = json.loads((directory / MANIFEST_FILE).read_text())
            return manifest
    except (OSError, ValueError) as error:
        raise TrainingSetDamaged(directory, str(error)) from error
    raise TrainingSetDamaged(directory, found)


@dataclass(frozen=True)
class TrainingView:
    """What a model may know before a cut, and what it is measured on after it.

    Rows of every matrix are users in the order of `user_ids`; columns are tracks in the order of `track_ids`.

    Attributes:
        user_ids: Every user of the set, ascending, shape (U,).
        track_ids: Every track of the set, new ones included, ascending, shape (T,).
        plays: Plays before the cut, float32 CSR (U, T) without explicit zeros.
        recent_plays: Plays of each track in the 30 days before the cut, float64 (T,).
        test: The pairs first heard between this cut and the next, as ones, float32 CSR (U, T).
        user_features: Features of the users without identity, rows summing to one or zero, CSR (U, F).
        track_features: Features of the tracks without identity, rows summing to one or zero, CSR (T, G).
        freshness: What is left of a pair's plays after fading, from above 0 to 1, float32 CSR (U, T) with the
            entries of `plays`; None where it is not known when they were played.
    """

    user_ids: npt.NDArray[np.int64]
    track_ids: npt.NDArray[np.int64]
    plays: sparse.csr_matrix
    recent_plays: npt.NDArray[np.float64]
    test: sparse.csr_matrix
    user_features: sparse.csr_matrix
    track_features: sparse.csr_matrix
    freshness: sparse.csr_matrix | None = None

    def decayed_plays(self, time_decay: float) -> sparse.csr_matrix:
        """Return the plays with time decay: `plays` times `freshness` to the power of `time_decay`.

        0 leaves them as they are; 1 halves them with each week of age, 2 with each half week. Their sum stays the
        same, so that a penalty keeps its weight against them.
        """
        if not time_decay or self.freshness is None:
            return self.plays
        decayed = self.plays.copy()
        decayed.data *= self.freshness.data ** np.float32(time_decay)
        decayed.data *= np.float32(self.plays.sum(dtype=np.float64) / decayed.sum(dtype=np.float64))
        return decayed

    @property
    def user_plays(self) -> npt.NDArray[np.float64]:
        """Plays of each user before the cut, shape (U,)."""
        return np.asarray(self.plays.sum(axis=1, dtype=np.float64)).ravel()

    @property
    def track_plays(self) -> npt.NDArray[np.float64]:
        """Plays of each track before the cut, shape (T,)."""
        return np.asarray(self.plays.sum(axis=0, dtype=np.float64)).ravel()

    @property
    def test_users(self) -> npt.NDArray[np.int64]:
        """Rows of the users with at least one test pair, ascending."""
        return np.flatnonzero(np.diff(self.test.indptr))


# Plays a model may know, plays up to the end of the test days, recent plays before the cut, faded plays before it.
_CUTS: dict[FitOn, tuple[str, str | None, str, str]] = {
    "validation": (
        columns.PLAYS_BEFORE_VALIDATION,
        columns.PLAYS_BEFORE_HOLDOUT,
        columns.PLAYS_LAST_30_DAYS_BEFORE_VALIDATION,
        columns.FADED_PLAYS_BEFORE_VALIDATION,
    ),
    "holdout": (
        columns.PLAYS_BEFORE_HOLDOUT,
        columns.PLAYS,
        columns.PLAYS_LAST_30_DAYS_BEFORE_HOLDOUT,
        columns.FADED_PLAYS_BEFORE_HOLDOUT,
    ),
    "all": (columns.PLAYS, None, columns.PLAYS_LAST_30_DAYS, columns.FADED_PLAYS),
}


def split(training_set: TrainingSet, fit_on: FitOn) -> TrainingView:
    """Cut the set in time.

    Args:
        training_set: The set as of one day.
        fit_on: `validation` fits on what was known before the validation days and tests on those days;
            `holdout` fits on what was known before the hold-out days and tests on those; `all` fits on
            everything and has no test pairs.

    Raises:
        ValueError: If an interaction names a user or a track that is not in the set, or a pair twice.
    """
    known_column, until_column, recent_column, faded_column = _CUTS[fit_on]
    users = training_set.users.sort_values(columns.USER_ID, kind="stable")
    tracks = training_set.tracks.sort_values(columns.TRACK_ID, kind="stable")
    user_ids = users[columns.USER_ID].to_numpy(np.int64)
    track_ids = tracks[columns.TRACK_ID].to_numpy(np.int64)
    pairs = training_set.interactions
    rows = positions(user_ids, pairs[columns.USER_ID].to_numpy(np.int64), "user")
    cells = positions(track_ids, pairs[columns.TRACK_ID].to_numpy(np.int64), "track")
    known = pairs[known_column].to_numpy(np.float32)
    until = pairs[until_column].to_numpy(np.float32) if until_column else known
    shape = (len(user_ids), len(track_ids))
    if len(np.unique(rows * np.int64(shape[1]) + cells)) != len(pairs):
        raise ValueError("interactions name a (user, track) pair twice")
    freshness = None
    if faded_column in pairs:
        # At least a thousandth: an entry of 0 would no longer be one.
        share = np.maximum(pairs[faded_column].to_numpy(np.float32), 1) / (
            np.maximum(known, 1) * np.float32(_FADED_UNIT)
        )
        freshness = _matrix(share, rows, cells, known > 0, shape)
    return TrainingView(
        user_ids=user_ids,
        track_ids=track_ids,
        plays=_matrix(known, rows, cells, known > 0, shape),
        recent_plays=tracks[recent_column].to_numpy(np.float64),
        test=_matrix(np.ones_like(known), rows, cells, (known == 0) & (until > 0), shape),
        user_features=user_features(users),
        track_features=track_features(tracks),
        freshness=freshness,
    )


def _of(schema: pa.Schema, present: Iterable[str]) -> pa.Schema:
    """A schema without the optional columns that are not there."""
    return pa.schema([each for each in schema if each.name not in _OPTIONAL - set(present)])


def positions(ids: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], what: str) -> npt.NDArray[np.int64]:
    """Return the position of each wanted id in `ids` (ascending).

    Raises:
        ValueError: If a wanted id is not there; `what` names the kind of id in the message.
    """
    found = np.searchsorted(ids, wanted)
    missing = (
        (found == len(ids)) | (ids[np.minimum(found, len(ids) - 1)] != wanted) if len(ids) else found >= 0
    )
    if missing.any():
        raise ValueError(f"{what} {wanted[missing][0]} is not in the training set ({missing.sum()} such)")
    return found.astype(np.int64)


def _matrix(
    values: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    cells: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.bool_],
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((values[chosen], (rows[chosen], cells[chosen])), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix
