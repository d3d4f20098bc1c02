"""What a deployment holds, in a form in which two of them can be compared and a difference can be read.

Wall clock is left out: `loaded_at`, `decided_at`, and of landing files `observed_at` and `run_id`.
"""

import hashlib
from pathlib import Path

import duckdb
import pyarrow.parquet as parquet

_WALL_CLOCK = ["loaded_at", "decided_at"]


def tables(warehouse: Path) -> dict[str, str]:
    """Rows and SHA-256 of every table, its rows sorted."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' ORDER BY table_name"
        ).fetchall()
        return {name: _table(connection, name) for (name,) in names}


def _table(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND schema_name = 'main' ORDER BY 1",
        [name],
    ).fetchall()
    listed = ", ".join(f'"{column}"' for (column,) in columns if column not in _WALL_CLOCK)
    rows = connection.execute(f'SELECT {listed} FROM "{name}" ORDER BY ALL').fetchall()
    return f"{len(rows)} rows {hashlib.sha256(repr((listed, rows)).encode()).hexdigest()[:16]}"


def artifacts(data_dir: Path) -> dict[str, str]:
    """SHA-256 of every file of training sets and models; hidden leftovers, which nothing reads, are left out."""
    files = [path for folder in ("training_sets", "models") for path in (data_dir / folder).rglob("*")]
    shown = {str(path.relative_to(data_dir)): path for path in files if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for name, path in sorted(shown.items())
        if not any(part.startswith(".") for part in Path(name).parts)
    }


def landing(data_dir: Path) -> dict[str, str]:
    """Records and SHA-256 of what each partition's landing files tell, in whichever file it stands."""
    told: dict[str, list[str]] = {}
    for file in (data_dir / "landing").glob("*/*/*.parquet"):
        rows = parquet.read_table(file, partitioning=None, columns=["record", "changed_at"]).to_pylist()
        told.setdefault(str(file.parent.relative_to(data_dir)), []).extend(map(repr, rows))
    return {
        partition: f"{len(rows)} records {hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()[:16]}"
        for partition, rows in sorted(told.items())
    }


def everything(data_dir: Path) -> dict[str, dict[str, str]]:
    """All of it."""
    return {
        "tables": tables(data_dir / "warehouse.duckdb"),
        "artifacts": artifacts(data_dir),
        "landing": landing(data_dir),
    }
