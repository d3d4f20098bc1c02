"""Creating the tables and views of a layout, and completing those of an older version.

Only columns that the layout says were added later are added; any other difference was not made by this project.
"""

from pathlib import Path

import duckdb
import pandera.pandas as pa

from foundation.tables import sql_type, table_ddl
from foundation.warehouse.errors import outdated
from foundation.warehouse.layout import WarehouseLayout
from foundation.warehouse.rows import first_row


def ensure_tables(connection: duckdb.DuckDBPyConnection, path: Path, layout: WarehouseLayout) -> None:
    """Create tables and views that are absent, and add columns that an older version did not have.

    Raises:
        WarehouseOutdated: If a table differs from its schema in any other way.
    """
    for schema in layout.tables.values():
        connection.execute(table_ddl(schema))
    found = columns_of(connection)
    for table, schema in layout.tables.items():
        added = _addable(layout, schema, found[table])
        _require_schema(path, layout, schema, found[table] | added)
        for column, kind in added.items():
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{column}" {kind}')
            connection.execute(layout.filled_when_added[table, column])
    _comment_tables(connection, layout)
    for name, query in layout.views.items():
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")


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
) -> None:
    """Add what a file of an older version lacks, for this connection only.

    Args:
        connection: The warehouse, opened read-only.
        layout: Its layout.
        found: Its columns, as `columns_of` returns them.
    """
    for table, schema in layout.tables.items():
        if table not in found:
            connection.execute(table_ddl(schema).replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        elif added := _addable(layout, schema, found[table]):
            nulls = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in added.items())
            (database,) = first_row(connection, "SELECT current_database()") or ()
            connection.execute(
                f'CREATE TEMP VIEW "{table}" AS SELECT *, {nulls} FROM "{database}".main."{table}"'
            )


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


def _comment_tables(connection: duckdb.DuckDBPyConnection, layout: WarehouseLayout) -> None:
    """Describe tables and columns for whoever browses the file, where they are not described so already."""
    tables = dict(connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
    columns = {
        (table, column): comment
        for table, column, comment in connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
    }
    for name, schema in layout.tables.items():
        if schema.description and tables[name] != schema.description:
            connection.execute(f'COMMENT ON TABLE "{name}" IS {_quoted(schema.description)}')
        for column_name, column in schema.columns.items():
            if column.description and columns[name, column_name] != column.description:
                comment = _quoted(column.description)
                connection.execute(f'COMMENT ON COLUMN "{name}"."{column_name}" IS {comment}')


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
