"""The API opens published files only: the libraries that make them are not even imported."""

import subprocess
import sys


def test_neither_pipeline_nor_warehouse_nor_models_are_imported() -> None:
    program = (
        "import sys, moovitamix_serving.server;print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    imported = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "fastapi" in imported.split()
    assert not {"dagster", "duckdb", "lightfm", "implicit", "pandas", "scipy", "pyarrow"} & set(
        imported.split()
    )
