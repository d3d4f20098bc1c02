"""Writing Dagster's records quickly.

Dagster's SQLite storage opens and closes a database for each event: closing it for the last time moves its log into it
and waits for the disk, and a new connection compiles each statement anew. A nightly run writes a hundred events, a
first load two for each day and asset.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import sqlalchemy
from dagster import DagsterInstance
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from foundation.dagster_internals import INDEX_SHARD_NAME, SqliteEventLogStorage

_BUSY_SECONDS = 30


@contextmanager
def kept_open(instance: DagsterInstance) -> Iterator[None]:
    """Let this process keep a connection to each database of Dagster's SQLite event log, whoever else writes there.

    Where events are stored otherwise, nothing changes.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    databases = _Databases(storage)
    instead = {
        "run_connection": databases.run_connection,
        "index_connection": databases.index_connection,
        # Asked before each materialization is written.
        "has_table": cache(storage.has_table),
    }
    vars(storage).update(instead)
    try:
        yield
    finally:
        for name in instead:
            del vars(storage)[name]
        databases.close()


@contextmanager
def quickly_written(instance: DagsterInstance) -> Iterator[None]:
    """Keep the databases open, and let this process write them without waiting for the disk at each event.

    After a power failure the newest events may be missing, and their run is found dead; no record can be torn, and a
    killed process loses nothing.
    """
    if not isinstance(instance.event_log_storage, SqliteEventLogStorage):
        yield
        return
    event.listen(Engine, "connect", _wait_for_the_disk_less)
    try:
        with kept_open(instance):
            yield
    finally:
        event.remove(Engine, "connect", _wait_for_the_disk_less)


class _Databases:
    """The databases of a storage: one for each run, and one for all runs."""

    def __init__(self, storage: SqliteEventLogStorage) -> None:
        self._path_of = storage.conn_string_for_shard
        self._connect_anew = storage.run_connection
        self._engines: dict[str, Engine] = {}
        # As in the storage itself: threads take turns.
        self._turn = threading.Lock()

    @contextmanager
    def run_connection(self, run_id: str | None = None) -> Iterator[Connection]:
        """Yield a transaction in the database of a run, which is created if need be."""
        with self._turn, self._engine(str(run_id)).begin() as connection:
            yield connection

    @contextmanager
    def index_connection(self) -> Iterator[Connection]:
        """Yield a transaction in the database of all runs."""
        with self._turn, self._engine(INDEX_SHARD_NAME).begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every database."""
        for engine in self._engines.values():
            engine.dispose()

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            with self._connect_anew(name):
                pass  # The storage creates the tables.
            self._engines[name] = sqlalchemy.create_engine(
                self._path_of(name), connect_args={"timeout": _BUSY_SECONDS}
            )
        return self._engines[name]


def _wait_for_the_disk_less(connection: object, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
