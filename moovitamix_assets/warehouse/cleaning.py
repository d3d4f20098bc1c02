"""The rows of this product's parsed records: one per user or track, one per track of a session.

Choosing between the versions of a record is in `foundation/warehouse/cleaning.py`, parsing one in `parsing.py`.
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from foundation.tables import typed_values
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from foundation.warehouse.cleaning import clean_records
from moovitamix_assets.warehouse.layout import LAYOUT
from moovitamix_assets.warehouse.parsing import PARSERS, PROFILE_COLUMNS, Session
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES


def clean(
    table: str, landed: pd.DataFrame, partitions: Sequence[date], loaded_at: datetime
) -> CleanedPartitions:
    """Clean the records of some partitions of `users`, `tracks` or `listens`; see `clean_records`."""
    rows_of = _listens if table == "listens" else partial(_profiles, table)
    return clean_records(LAYOUT.sources[table], landed, partitions, loaded_at, PARSERS[table], rows_of)


def _profiles(table: str, changed_on: pd.Series, values: list[tuple[Any, ...]]) -> tuple[pd.DataFrame, int]:
    columns = SOURCE_TABLES[table].columns
    by_column = zip(*values, strict=True) if values else ((),) * len(PROFILE_COLUMNS[table])
    rows = {
        name: typed_values(columns[name], column_values)
        for name, column_values in zip(PROFILE_COLUMNS[table], by_column, strict=True)
    }
    return pd.DataFrame(rows | {"changed_on": changed_on.to_numpy()}), 0


def _listens(changed_on: pd.Series, sessions: list[Session]) -> tuple[pd.DataFrame, int]:
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
    return rows.dropna(subset="track_id", ignore_index=True), int(rows["track_id"].isna().sum())
