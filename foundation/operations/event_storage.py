"""Writing Dagster's records quickly where one command writes thousands of them.

A first load writes two events for each day and asset, and Dagster's SQLite storage opens and closes its databases for
each: closing one for the last time moves its log into it and waits for the disk.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from dagster import DagsterInstance
from sqlalchemy import event
from sqlalchemy.engine import Engine

from foundation.dagster_internals import INDEX_SHARD_NAME, SqliteEventLogStorage


@contextmanager
def quickly_written(instance: DagsterInstance) -> Iterator[None]:
    """Let this process write Dagster's SQLite records without waiting for the disk at each.

    After a power failure the newest events may be missing, and their run is found dead; no record can be torn, and a
    killed process loses nothing.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    with closing(sqlite3.connect(storage.path_for_shard(INDEX_SHARD_NAME))) as kept_open:
        kept_open.execute("SELECT 1 FROM event_logs LIMIT 1").fetchall()  # only now it has the file open
        event.listen(Engine, "connect", _wait_for_the_disk_less)
        try:
            yield
        finally:
            event.remove(Engine, "connect", _wait_for_the_disk_less)


def _wait_for_the_disk_less(connection: object, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
