"""Where Dagster's records of a data folder are, and that no command mixes those of two."""

import shutil
from pathlib import Path

import pytest

from moovitamix_assets.cli.interface.dagster_home import RecordsOfAnother, dagster_home
from moovitamix_assets.cli.interface.instance import NoInstance, open_instance

PROJECT = Path(__file__).parents[4]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the project's configuration, and two data folders."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    shutil.copy(PROJECT / "dagster.yaml", tmp_path)
    for name in ("data", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def storage_of(data_dir: str) -> Path:
    with open_instance(Path(data_dir)) as instance:
        return Path(instance.storage_directory()).absolute()


def test_the_default_folder_has_its_records_where_a_plain_dagster_dev_finds_them(here: Path) -> None:
    assert dagster_home(Path("data")) == dagster_home(here / "data") == here / ".dagster_home"
    assert here / ".dagster_home" in storage_of("data").parents


def test_another_folder_has_its_own_records_inside_it(here: Path) -> None:
    storage_of("data")
    assert dagster_home(Path("other")) == here / "other" / ".dagster_home"
    assert here / "other" / ".dagster_home" in storage_of("other").parents
    # What a `dagster dev` with that DAGSTER_HOME reads leads to the same records.
    assert (
        f"base_dir: {here}/other/.dagster_home/storage"
        in (here / "other/.dagster_home/dagster.yaml").read_text()
    )
    with open_instance(Path("other")) as instance:
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
    assert storage_of("other") == storage_of(f"{here}/other")


def test_a_chosen_home_holds_for_every_folder_without_records(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = here / "chosen"
    chosen.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(chosen))
    assert dagster_home(Path("data")) == dagster_home(Path("other")) == chosen
    storage_of("other")
    with pytest.raises(RecordsOfAnother, match=f"{chosen} are those of the data folder {here}/other"):
        storage_of("data")
    monkeypatch.delenv("DAGSTER_HOME")
    with pytest.raises(RecordsOfAnother, match=f"of other are in {chosen}.* Set DAGSTER_HOME={chosen}"):
        storage_of("other")
    storage_of("data")
    monkeypatch.setenv("DAGSTER_HOME", str(chosen))
    with pytest.raises(RecordsOfAnother, match=f"of data are in .*Run the command in {here}"):
        storage_of("data")


def test_a_deployment_that_shared_the_records_of_the_working_directory_keeps_them(here: Path) -> None:
    (here / "other" / "start_date").write_text("2026-09-01")
    (here / ".dagster_home").mkdir()
    assert dagster_home(Path("other")) == here / ".dagster_home"
    storage_of("other")
    (here / "data" / "start_date").write_text("2026-09-01")
    assert dagster_home(Path("other")) == here / ".dagster_home", "it is marked"
    with pytest.raises(RecordsOfAnother, match="--data-dir or MOOVITAMIX_DATA_DIR"):
        storage_of("data")


def test_a_folder_that_was_moved_is_marked_anew(here: Path) -> None:
    storage_of("other")
    (here / "other").rename(here / "moved")
    assert here / "moved" / ".dagster_home" in storage_of("moved").parents
    assert (here / "moved" / "dagster_home").read_text().strip() == f"{here}/moved/.dagster_home"


def test_a_folder_that_was_copied_with_its_records_is_one_of_its_own(here: Path) -> None:
    storage_of("other")
    shutil.copytree(here / "other", here / "copied")
    assert here / "copied" / ".dagster_home" in storage_of("copied").parents
    assert here / "other" / ".dagster_home" in storage_of("other").parents


def test_a_folder_that_can_only_be_read_is_not_marked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != here / "data")
    storage_of("data")
    assert list((here / "data").iterdir()) == []


def test_a_mistyped_folder_is_named_and_not_created(here: Path) -> None:
    with pytest.raises(NoInstance, match="There is no data folder mistyped: `moovitamix run` creates it"):
        storage_of("mistyped")
    assert not (here / "mistyped").exists()
