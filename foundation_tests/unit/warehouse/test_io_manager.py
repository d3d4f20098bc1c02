"""The private interface of Dagster that the IO manager stands on, pinned.

What it does with a product's tables is tested with that product's layout.
"""

import importlib
import inspect

import dagster

REMEDY = (
    f"Dagster {dagster.__version__} has changed dagster._core.storage.db_io_manager, which is private. Pin dagster, "
    "dagster-duckdb and dagster-duckdb-pandas back to the versions of the lock file, or rewrite "
    "foundation/warehouse/io_manager.py as a ConfigurableIOManager of its own: _RefusingManager takes over "
    "DbIOManager's choice of a handler by type, _window its partition bounds."
)


def private(name: str) -> type:
    try:
        module = importlib.import_module("dagster._core.storage.db_io_manager")
    except ImportError as error:
        raise AssertionError(REMEDY) from error
    assert hasattr(module, name), f"{name} is gone. {REMEDY}"
    return getattr(module, name)  # type: ignore[no-any-return]


def test_the_manager_is_made_of_the_arguments_that_are_passed() -> None:
    expected = {
        "type_handlers", "db_client", "database", "schema", "io_manager_name", "default_load_type",
    }  # fmt: skip
    assert expected <= set(inspect.signature(private("DbIOManager")).parameters), REMEDY


def test_a_slice_has_the_table_the_database_and_the_bounds_of_its_partitions() -> None:
    assert {"table", "database", "partition_dimensions"} <= set(private("TableSlice")._fields), REMEDY  # type: ignore[attr-defined]
    dimension = private("TablePartitionDimension")
    assert {"partition_expr", "partitions"} <= set(dimension._fields), REMEDY  # type: ignore[attr-defined]


def test_a_client_opens_deletes_and_makes_the_schema_by_the_methods_that_are_replaced() -> None:
    from dagster_duckdb.io_manager import DuckDbClient

    for name, arguments in {"connect": 2, "ensure_schema_exists": 3, "delete_table_slice": 3}.items():
        method = getattr(DuckDbClient, name, None)
        assert method is not None, f"DuckDbClient.{name} is gone. {REMEDY}"
        assert len(inspect.signature(method).parameters) == arguments, f"DuckDbClient.{name}: {REMEDY}"


def test_a_handler_writes_and_reads_by_the_methods_that_are_replaced() -> None:
    handler = private("DbTypeHandler")
    for name, parameters in {
        "handle_output": ["self", "context", "table_slice", "obj", "connection"],
        "load_input": ["self", "context", "table_slice", "connection"],
    }.items():
        found = list(inspect.signature(getattr(handler, name)).parameters)
        assert found == parameters, f"DbTypeHandler.{name}: {REMEDY}"
