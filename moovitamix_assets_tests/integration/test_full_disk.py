import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moovitamix_assets.cli.interface.error_messages import message_of
from moovitamix_assets.cli.runs.job_runs import RunFailed
from moovitamix_assets_tests.conftest import FIRST, LAST
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment


def _mount(folder: Path, *options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 kB: landing fits, the warehouse does not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not _mount(folder, "size=700k"):
        pytest.skip("only root may mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_reported_in_a_sentence_and_nothing_is_lost_once_there_is_room(
    small_disk: Path, source_url: str, undisturbed: Deployment
) -> None:
    deployment = Deployment(small_disk / "data", source_url)

    with pytest.raises(RunFailed) as caught:
        deployment.run(FIRST, LAST)

    said = message_of(caught.value, deployment.data_dir)
    assert said is not None
    assert said.startswith(f"The disk of {deployment.data_dir} is full: ")
    assert "bytes are free" in said
    assert "run the same command again" in said
    assert "\n" not in said

    assert _mount(small_disk, "remount", "size=100m")
    deployment.run(FIRST, LAST)
    assert fingerprints.everything(deployment.data_dir) == fingerprints.everything(undisturbed.data_dir)
