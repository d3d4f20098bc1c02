"""Creating the tables and views of a layout, and completing those of an older version.

Only columns that the layout says were added later are added; any other difference was not made by this project.

Listing what a file holds takes DuckDB longer than opening it, since it prepares each of its own system views first. So
a process that left a file complete does not look again, as long as nobody else changed the file.
"""

from pathlib import Path

import duckdb
import pandera.pandas as pa

from foundation.tables import sql_type, table_ddl
from foundation.warehouse.errors import outdated
from foundation.warehouse.layout import WarehouseLayout
from foundation.warehouse.rows import first_row

Comments = dict[tuple[str, str], str | None]
"""Of a table, and of a column, by table and column; the former's column is empty."""

FileState = tuple[int, int, int, int]

# By path and whether for writing: the layout a file was found to fit, and its state then.
_complete: dict[tuple[Path, bool], tuple[WarehouseLayout, FileState]] = {}


def file_state(path: Path) -> FileState | None:
    """What changes with every change of a file: device, inode, size and time of the last write.

    None without a file, and as long as a log beside it holds changes that the file does not.
    """
    if path.with_name(f"{path.name}.wal").exists():
        return None
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def is_complete(path: Path, layout: WarehouseLayout, for_writing: bool) -> bool:
    """Return whether a file is still as this process last found or left it, with every table of the layout."""
    state = file_state(path)
    return state is not None and _complete.get((path, for_writing)) == (layout, state)


def remember_complete(
    path: Path, layout: WarehouseLayout, state: FileState | None, for_writing: bool
) -> None:
    """Remember that a file had every table of the layout in a state; for writing, in this version's form too."""
    if state is not None:
        _complete[path, for_writing] = (layout, state)


def create_tables(connection: duckdb.DuckDBPyConnection, layout: WarehouseLayout) -> None:
    """Create every table and view in a file that holds nothing yet."""
    _execute(connection, [*_tables(layout), *_comments(layout), *_views(layout)])


def ensure_tables(connection: duckdb.DuckDBPyConnection, path: Path, layout: WarehouseLayout) -> None:
    """Create tables and views that are absent, and add columns that an older version did not have.

    Raises:
        WarehouseOutdated: If a table differs from its schema in any other way.
    """
    _execute(connection, _tables(layout))
    found = columns_of(connection)
    for table, schema in layout.tables.items():
        added = _addable(layout, schema, found[table])
        _require_schema(path, layout, schema, found[table] | added)
        for column, kind in added.items():
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{column}" {kind}')
            connection.execute(layout.filled_when_added[table, column])
    _execute(connection, [*_comments(layout, but=_comments_of(connection)), *_views(layout)])


def refuse_outdated(connection: duckdb.DuckDBPyConnection, path: Path, layout: WarehouseLayout) -> None:
    """Compare every table with its schema, without changing anything; a table that is absent is no difference.

    Raises:
        WarehouseOutdated: If the next write would be refused.
    """
    (database,) = first_row(connection, "SELECT current_database()") or ()
    found = columns_of(connection, database)
    for table, schema in layout.tables.items():
        if table in found:
            _require_schema(path, layout, schema, found[table] | _addable(layout, schema, found[table]))


def complete_temporarily(
    connection: duckdb.DuckDBPyConnection, layout: WarehouseLayout, found: dict[str, dict[str, str]]
) -> bool:
    """Add what a file of an older version lacks, for this connection only; return whether it lacked anything.

    Args:
        connection: The warehouse, opened read-only.
        layout: Its layout.
        found: Its columns, as `columns_of` returns them.
    """
    lacking = False
    for table, schema in layout.tables.items():
        if table not in found:
            lacking = True
            connection.execute(table_ddl(schema).replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        elif added := _addable(layout, schema, found[table]):
            lacking = True
            nulls = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in added.items())
            (database,) = first_row(connection, "SELECT current_database()") or ()
            connection.execute(
                f'CREATE TEMP VIEW "{table}" AS SELECT *, {nulls} FROM "{database}".main."{table}"'
            )
    return lacking


def columns_of(
    connection: duckdb.DuckDBPyConnection, database: str | None = None
) -> dict[str, dict[str, str]]:
    """The type of each column of each table, of all databases that are open or of one."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        """SELECT table_name, column_name, data_type FROM duckdb_columns() SEMI JOIN duckdb_tables() USING (table_name)
           WHERE NOT internal AND coalesce(database_name = ?, true)""",
        [database],
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _tables(layout: WarehouseLayout) -> list[str]:
    return [table_ddl(schema) for schema in layout.tables.values()]


def _views(layout: WarehouseLayout) -> list[str]:
    return [f"CREATE OR REPLACE VIEW {name} AS {query}" for name, query in layout.views.items()]


def _comments(layout: WarehouseLayout, but: Comments | None = None) -> list[str]:
    """Describe tables and columns for whoever browses the file, but for those that are described so already."""
    described = {(str(schema.name), ""): schema.description for schema in layout.tables.values()} | {
        (str(schema.name), name): column.description
        for schema in layout.tables.values()
        for name, column in schema.columns.items()
    }
    return [
        f'COMMENT ON COLUMN "{table}"."{column}" IS {_quoted(text)}' if column
        else f'COMMENT ON TABLE "{table}" IS {_quoted(text)}'
        for (table, column), text in described.items()
        if text and (but or {}).get((table, column)) != text
    ]  # fmt: skip


def _comments_of(connection: duckdb.DuckDBPyConnection) -> Comments:
    found = connection.execute(
        """SELECT table_name, '', comment FROM duckdb_tables()
           UNION ALL SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"""
    ).fetchall()
    return {(table, column): comment for table, column, comment in found}


def _execute(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    """Execute statements at once, which takes half the time of one by one."""
    if statements:
        connection.execute(";\n".join(statements))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _addable(layout: WarehouseLayout, schema: pa.DataFrameSchema, found: dict[str, str]) -> dict[str, str]:
    """The columns that a table lacks because an older version created it, with their types.

    Any other absent column was lost, and must not come back as NULL.
    """
    return {
        name: sql_type(column)
        for name, column in schema.columns.items()
        if (schema.name, name) in layout.filled_when_added and name not in found
    }


def _require_schema(
    path: Path, layout: WarehouseLayout, schema: pa.DataFrameSchema, columns: dict[str, str]
) -> None:
    expected = {f"{name} {sql_type(column)}" for name, column in schema.columns.items()}
    found = {f"{name} {kind}" for name, kind in columns.items()}
    if found != expected:
        raise outdated(path, layout, str(schema.name), expected, found)
