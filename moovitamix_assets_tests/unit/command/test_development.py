from pathlib import Path

from moovitamix_assets.command.development import _workspace


def test_dagster_is_told_what_to_load_in_a_folder_that_does_not_say_it(tmp_path: Path) -> None:
    option, workspace = _workspace(tmp_path)
    assert option == "--workspace"
    assert "moovitamix_assets.definitions" in Path(workspace).read_text()
    (tmp_path / "workspace.yaml").write_text("load_from: []")
    assert _workspace(tmp_path) == []
