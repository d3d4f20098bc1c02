"""`dagster dev` without what is not for the user; the plain command, run next to it, still prints that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

QUIET = "moovitamix_assets.cli.services.quiet_dagster"


@pytest.mark.parametrize(
    ("home", "left_out"),
    [
        ("home", ["SupersessionWarning", "Found a dagster instance configuration value"]),
        ("", ["SupersessionWarning", "Using temporary directory", "To persist information across sessions"]),
    ],
)
def test_only_what_is_for_the_user_is_printed(home: str, left_out: list[str], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "dagster.yaml").touch()

    def said(module: str) -> str:
        variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
        variables.pop("DAGSTER_HOME", None)
        if home:
            variables["DAGSTER_HOME"] = str(tmp_path / home)
        # Nothing to load: it ends as soon as it has printed all this.
        command = [sys.executable, "-m", module, "dev"]
        ended = subprocess.run(command, cwd=tmp_path, env=variables, stdout=-1, stderr=-2, text=True)
        assert "Error: No arguments given" in ended.stdout
        return ended.stdout

    plain, quiet = said("dagster"), said(QUIET)
    assert [text for text in left_out if text not in plain] == []
    assert [text for text in left_out if text in quiet] == []
