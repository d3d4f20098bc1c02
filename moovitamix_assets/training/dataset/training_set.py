"""The training set: users, tracks and their interactions, as known on one day, and its files.

Its columns and how it is stored belong here. The SQL behind it is in `warehouse/as_of.py`; how it is cut in time is in
`training_view.py`.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from foundation.artifact_folder import damage_in
from foundation.durable import Damaged
from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.reference_profile import Profile, from_json, to_json

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
            (columns.CREATED_AT, _TIMESTAMP),
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
            (columns.PLAYS_BEFORE_CHANGE, pa.int64()),
            (columns.DECAYED_PLAYS, pa.int64()),
            (columns.DECAYED_PLAYS_BEFORE_HOLDOUT, pa.int64()),
            (columns.DECAYED_PLAYS_BEFORE_VALIDATION, pa.int64()),
            (columns.FIRST_LISTENED_AT, _TIMESTAMP),
            (columns.LAST_LISTENED_AT, _TIMESTAMP),
        ]
    ),
}
# Left out where it is not known when interactions took place, when tracks came, or that tastes changed.
_OPTIONAL = {
    "users": frozenset[str](),
    "tracks": frozenset({columns.CREATED_AT}),
    "interactions": frozenset(
        {
            columns.PLAYS_BEFORE_CHANGE,
            columns.DECAYED_PLAYS,
            columns.DECAYED_PLAYS_BEFORE_HOLDOUT,
            columns.DECAYED_PLAYS_BEFORE_VALIDATION,
        }
    ),
}
DECAYED_UNIT = 1000.0
"""A play without any decay, in the columns of decayed plays."""

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
            duration_seconds, created_at (may be left out), and the plays of the last 30 days up to `as_of` and to each
            of the two cutoffs.
        interactions: One row per user and track: plays up to `as_of` and to each of the two cutoffs, the same
            decayed (thousandths, halved each week of age at the cutoff; may be left out), first and last time played.
        reference: Distributions of listens, users and tracks, for drift; nothing is learned from it.
        changed_on: The day on which tastes changed, if they did lately; `interactions` then has the plays before it.
    """

    as_of: date
    users: pd.DataFrame
    tracks: pd.DataFrame
    interactions: pd.DataFrame
    reference: Profile = field(default_factory=dict)
    changed_on: date | None = None

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The identity of the set: its day, the rows and the SHA-256 of each file, and the reference.

        Computed once, as it serialises the whole set: the frames of a set are never changed.
        """
        return self._manifest({name: self._parquet(name) for name in _SCHEMAS})

    def write(self, directory: Path) -> dict[str, Any]:
        """Write three Parquet files and `manifest.json` into `directory`; the same set gives the same bytes.

        Returns:
            The manifest that was written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        files = {name: self._parquet(name) for name in _SCHEMAS}
        manifest = self._with_known_manifest(self._manifest(files)).manifest
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
        for name in _SCHEMAS:
            content = (directory / f"{name}.parquet").read_bytes()
            if hashlib.sha256(content).hexdigest() != manifest["files"][name]["sha256"]:
                raise TrainingSetDamaged(directory, f"{name}.parquet differs from its manifest")
            known = pq.read_schema(io.BytesIO(content)).names
            frames[name] = pq.read_table(io.BytesIO(content), schema=_of(name, known)).to_pandas()
        reference = from_json(manifest.get("reference", {}))
        changed_on = manifest.get("changed_on")
        read = cls(
            as_of=date.fromisoformat(manifest["as_of"]),
            reference=reference,
            changed_on=date.fromisoformat(changed_on) if changed_on else None,
            **frames,
        )
        # Sets from before there was a reference do not have the key.
        return read._with_known_manifest({"reference": {}, **manifest})

    def _with_known_manifest(self, manifest: dict[str, Any]) -> "TrainingSet":
        """Fill the cache of `manifest`, where it is known without serialising the set again."""
        self.__dict__["manifest"] = manifest
        return self

    def _manifest(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        return {
            "as_of": self.as_of.isoformat(),
            "files": {
                name: {"rows": len(getattr(self, name)), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in files.items()
            },
            "reference": to_json(self.reference),
            **({"changed_on": self.changed_on.isoformat()} if self.changed_on else {}),
        }

    def _parquet(self, name: str) -> bytes:
        frame: pd.DataFrame = getattr(self, name).sort_values(_KEYS[name], kind="stable")
        schema = _of(name, frame.columns)
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        buffer = io.BytesIO()
        # The frame's own metadata names library versions, which would change the bytes of equal sets.
        pq.write_table(table.replace_schema_metadata(None), buffer, compression="zstd")
        return buffer.getvalue()


def verified_manifest(directory: Path) -> dict[str, Any]:
    """Return the manifest of a training set, after comparing every file of its folder with its hash.

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


def _of(name: str, present: Iterable[str]) -> pa.Schema:
    """Return a table's schema without the optional columns that are not there."""
    return pa.schema([each for each in _SCHEMAS[name] if each.name not in _OPTIONAL[name] - set(present)])
