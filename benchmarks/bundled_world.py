"""The bundled source's world as a training set, without server, landing files or warehouse in between.

Records are cleaned and read as of the day by the product's own functions; only the way there is shorter. What is
measured on it is in `quality.py`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta

import duckdb
import numpy as np
import pandas as pd

from mock_api.settings import ENDPOINTS, Endpoint, MockApiSettings
from mock_api.simulation.world import World
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.warehouse.as_of import interactions_as_of, tracks_as_of, users_as_of
from moovitamix_assets.warehouse.cleaning import clean

AS_OF = date(2026, 9, 30)
"""Two months after the first day of the bundled world."""

_TABLES: dict[Endpoint, str] = {"users": "users", "tracks": "tracks", "listen_history": "listens"}


def world_training_set(source: MockApiSettings) -> TrainingSet:
    """Return what would be known of a source's world on the day."""
    with world_tables(source) as connection:
        return training_set_of(connection)


@contextmanager
def world_tables(source: MockApiSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables `users`, `tracks` and `listens` of a source's world on the day, all of one partition."""
    world = World(source)
    with duckdb.connect() as connection:
        for endpoint in ENDPOINTS:
            rows = clean(_TABLES[endpoint], _landed(world, endpoint), [AS_OF], _end()).accepted
            connection.register("rows", rows)
            connection.execute(f"CREATE TABLE {_TABLES[endpoint]} AS FROM rows")
        yield connection


def _end() -> datetime:
    return datetime.combine(AS_OF + timedelta(days=1), time())


def _landed(world: World, endpoint: Endpoint) -> pd.DataFrame:
    """Every record as it stands at the end of the day, as one partition."""
    world.advance(AS_OF)
    records, _ = world.records(endpoint, _end() - timedelta(microseconds=1), page=1, size=1_000_000_000)
    return pd.DataFrame(
        {
            "record": [json.dumps(record, default=datetime.isoformat) for record in records],
            "changed_at": np.datetime64(_end(), "us"),
            "observed_at": np.datetime64(_end(), "us"),
            "changed_on": np.datetime64(AS_OF, "s"),
        }
    )


def training_set_of(connection: duckdb.DuckDBPyConnection) -> TrainingSet:
    """Return the training set of the day."""
    settings = Settings()
    holdout = AS_OF - timedelta(days=settings.training.holdout_days - 1)
    cuts = {
        "before_holdout": holdout,
        "before_validation": holdout - timedelta(days=settings.training.validation_days),
    }
    return TrainingSet(
        as_of=AS_OF,
        users=users_as_of(connection, AS_OF),
        tracks=tracks_as_of(
            connection, AS_OF, {f"plays_last_30_days_{name}": cut for name, cut in cuts.items()}
        ),
        interactions=interactions_as_of(
            connection, AS_OF, {f"plays_{name}": cut for name, cut in cuts.items()}
        ),
    )
