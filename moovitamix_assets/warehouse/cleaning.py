"""From landed records to accepted and rejected rows: pure functions on frames, one column at a time.

Which version of a record counts within a partition is decided here. Parsing one record is the concern of
`parsing.py`; reading landing files and writing tables do not belong here.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from foundation.json_records import storable_json
from foundation.tables import typed_values
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from moovitamix_assets.warehouse.layout import LAYOUT
from moovitamix_assets.warehouse.parsing import PROFILE_COLUMNS, Session, Unusable, parse_record
from moovitamix_assets.warehouse.schemas import PARTITION_LOADS, REJECTED_TABLES, SOURCE_TABLES


def clean(
    table: str, landed: pd.DataFrame, partitions: Sequence[date], loaded_at: datetime
) -> CleanedPartitions:
    """Sort the records of some partitions into accepted rows, rejected records, duplicates and superseded ones.

    A record is judged by its newest observation: an unusable one counts as superseded, not as rejected, once a newer
    observation of the same session was landed, or a later reading of the partition no longer returned it.

    Args:
        table: `users`, `tracks` or `listens`.
        landed: One row per record: `record` (canonical JSON), `changed_at`, `observed_at`, `changed_on`, and
            `withdrawn` where landing knows of withdrawn records (see `foundation/landing/partitions.py`).
        partitions: Every partition being loaded; each gets its row in `loads`, with or without records.
        loaded_at: Wall clock, naive UTC.
    """
    distinct = landed.sort_values("observed_at", kind="stable").drop_duplicates(
        ["changed_on", "record"], keep="last"
    )
    current = distinct[~distinct["withdrawn"]] if "withdrawn" in distinct else distinct
    parsed = [parse_record(table, record) for record in current["record"]]
    is_usable = np.array([not isinstance(values, Unusable) for values in parsed], dtype=bool)
    usable = current[is_usable].reset_index(drop=True)
    values = [values for values in parsed if not isinstance(values, Unusable)]
    accepted = _newest_versions(table, usable, values)
    newest = [values[place] for place in accepted.index]
    unusable = [values for values in parsed if isinstance(values, Unusable)]
    rejected = current[~is_usable].assign(
        reasons=pd.Series([each.reasons for each in unusable], dtype=object).array
    )
    rejected = rejected[~_observed_again(current, parsed, is_usable)].reset_index(drop=True)
    rows = _accepted_rows(table, accepted["changed_on"], newest, loaded_at)
    return CleanedPartitions(
        accepted=rows,
        rejected=_rejected_rows(table, rejected, loaded_at),
        loads=_loads(
            table,
            partitions,
            loaded_at,
            received=landed,
            distinct=distinct,
            accepted=accepted,
            rejected=rejected,
            stored_rows=rows,
        ),
        items_left_out=sum(
            session.track_ids.count(None) for session in newest if isinstance(session, Session)
        ),
    )


def _newest_versions(table: str, usable: pd.DataFrame, values: list[tuple[Any, ...]]) -> pd.DataFrame:
    """One version per partition and key: latest change, then latest observation, then greatest text.

    Args:
        table: The table.
        usable: The records, numbered from 0.
        values: The values of each of them, beginning with the key.

    Returns:
        The rows of `usable` that count, under their numbers, by partition and key.
    """
    keys = list(LAYOUT.sources[table].record_key)
    columns = SOURCE_TABLES[table].columns
    keyed = usable.assign(
        **{
            key: typed_values(columns[key], [parsed[place] for parsed in values])
            for place, key in enumerate(keys)
        }
    )
    repeats = keyed.duplicated(["changed_on", *keys], keep=False)
    newest_of_repeats = (
        keyed[repeats]
        .sort_values(["changed_at", "observed_at", "record"], na_position="first", kind="stable")
        .drop_duplicates(["changed_on", *keys], keep="last")
    )
    return pd.concat([keyed[~repeats], newest_of_repeats]).sort_values(["changed_on", *keys], kind="stable")


def _observed_again(
    current: pd.DataFrame, parsed: list[Any], is_usable: np.ndarray[Any, np.dtype[np.bool_]]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each unusable record, in the order of `current`, has a newer observation of the same session."""
    unusable_keys = {each.key for each in parsed if isinstance(each, Unusable)} - {None}
    if not unusable_keys:
        return np.zeros(int((~is_usable).sum()), dtype=bool)
    keys = [each.key if isinstance(each, Unusable) else tuple(each[:2]) for each in parsed]
    places = [
        (day, key) if key in unusable_keys else None
        for day, key in zip(current["changed_on"], keys, strict=True)
    ]
    newest: dict[Any, datetime] = {}
    for place, observed_at in zip(places, current["observed_at"], strict=True):
        if place is not None:
            newest[place] = max(observed_at, newest.get(place, observed_at))
    again = [
        place is not None and observed_at < newest[place]
        for place, observed_at in zip(places, current["observed_at"], strict=True)
    ]
    of_unusable: np.ndarray[Any, np.dtype[np.bool_]] = np.array(again, dtype=bool)[~is_usable]
    return of_unusable


def _accepted_rows(table: str, changed_on: pd.Series, values: list[Any], loaded_at: datetime) -> pd.DataFrame:
    """The table's rows: one per user or track, one per item of a session that is a track id."""
    rows = _listens(changed_on, values) if table == "listens" else _profiles(table, changed_on, values)
    return rows.assign(loaded_at=_repeated(loaded_at, len(rows)))[list(SOURCE_TABLES[table].columns)]


def _profiles(table: str, changed_on: pd.Series, values: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = SOURCE_TABLES[table].columns
    by_column = zip(*values, strict=True) if values else ((),) * len(PROFILE_COLUMNS[table])
    rows = {
        name: typed_values(columns[name], column_values)
        for name, column_values in zip(PROFILE_COLUMNS[table], by_column, strict=True)
    }
    return pd.DataFrame(rows | {"changed_on": changed_on.to_numpy()})


def _listens(changed_on: pd.Series, sessions: list[Session]) -> pd.DataFrame:
    columns = SOURCE_TABLES["listens"].columns
    lengths = np.array([len(session.track_ids) for session in sessions], dtype=np.int64)
    starts = (lengths.cumsum() - lengths).repeat(lengths)
    rows = pd.DataFrame(
        {
            name: typed_values(columns[name], [getattr(session, name) for session in sessions]).repeat(
                lengths
            )
            for name in ("user_id", "listened_at", "session_updated_at")
        }
        | {
            "track_id": typed_values(
                columns["track_id"], chain.from_iterable(session.track_ids for session in sessions)
            ),
            "position": typed_values(columns["position"], np.arange(len(starts)) - starts + 1),
            "changed_on": changed_on.to_numpy().repeat(lengths),
        }
    )
    return rows.dropna(subset="track_id", ignore_index=True)


def _rejected_rows(table: str, rejected: pd.DataFrame, loaded_at: datetime) -> pd.DataFrame:
    ordered = rejected.sort_values(["changed_on", "record"], kind="stable")
    columns: dict[str, Any] = {
        "record": [storable_json(record) for record in ordered["record"]],
        "reasons": ordered["reasons"],
        "changed_on": ordered["changed_on"],
        "loaded_at": _repeated(loaded_at, len(ordered)),
    }
    return pd.DataFrame(
        {name: typed_values(column, columns[name]) for name, column in REJECTED_TABLES[table].columns.items()}
    )


def _repeated(moment: datetime, times: int) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    return np.full(times, np.datetime64(moment, "us"))


def _loads(
    table: str, partitions: Sequence[date], loaded_at: datetime, **records: pd.DataFrame
) -> pd.DataFrame:
    """A row per partition, from the frames of records that each step left."""
    counts = pd.DataFrame(
        {step: frame.groupby("changed_on").size() for step, frame in records.items()},
        index=pd.DatetimeIndex(np.array(partitions, dtype="datetime64[s]"), name="changed_on"),
    )
    counts = counts.fillna(0).astype("int64")
    return counts.assign(
        table_name=table,
        duplicates=counts["received"] - counts["distinct"],
        superseded=counts["distinct"] - counts["accepted"] - counts["rejected"],
        loaded_at=loaded_at,
    ).reset_index()[list(PARTITION_LOADS.columns)]
