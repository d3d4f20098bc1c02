"""Single bits that flip in anything that is kept: none may pass unseen by `doctor --deep`, or be used by a reader."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import AssetSelection

from foundation.landing.files import landing_files, set_aside_damaged
from foundation.progress import NoProgress
from foundation.warehouse.copying import COPY_NAME
from moovitamix_assets.cli.inspection.deep_checks import examine_deeply
from moovitamix_assets.cli.runs.pipeline import run_pipeline
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.warehouse.schemas import SOURCE_TABLES
from moovitamix_assets_tests.conftest import LAST
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment


@pytest.fixture
def deployment(undisturbed: Deployment, new_deployment: Callable[..., Deployment]) -> Deployment:
    """A copy of the small world, with a copy of its warehouse beside it."""
    made = new_deployment("flipped")
    shutil.copytree(undisturbed.data_dir, made.data_dir)
    shutil.copy(made.settings.warehouse_path, made.data_dir / COPY_NAME)
    return made


def flip(file: Path, bit: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(bit // 8)
        (byte,) = opened.read(1)
        opened.seek(bit // 8)
        opened.write(bytes([byte ^ 1 << bit % 8]))


def found_wrong(deployment: Deployment) -> list[str]:
    return [
        f"{symptom.finding} {symptom.remedy}"
        for symptom in examine_deeply(deployment.settings, NoProgress())
        if not symptom.is_well
    ]


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=pytest.mark.long)])
def test_a_bit_that_flips_anywhere_is_found_with_file_and_remedy(deployment: Deployment, rounds: int) -> None:
    """In each round one bit in a file of each of five kinds."""
    assert found_wrong(deployment) == []
    data_dir, chance = deployment.data_dir, random.Random(rounds)
    kinds = [
        _files(data_dir / "landing"),
        _files(data_dir / "training_sets"),
        _files(data_dir / "models"),
        _files(data_dir / "ledger"),
        [deployment.settings.warehouse_path, data_dir / COPY_NAME],
    ]
    for _ in range(rounds):
        flipped = [(file, chance.randrange(8 * file.stat().st_size)) for file in map(chance.choice, kinds)]
        for file, bit in flipped:
            flip(file, bit)
        found = found_wrong(deployment)
        for file, bit in flipped:
            # Which file of a folder it is cannot be said where the list of its hashes was hit.
            named = [one for one in found if str(file.parent if file.name == "SHA256SUMS" else file) in one]
            named = named or [one for one in found if str(file.parent) in one and file.name in one]
            assert named, (file, bit, found)
            assert any(word in one for one in named for word in ("moovitamix", "remove")), found
            flip(file, bit)
    assert found_wrong(deployment) == []


def _files(folder: Path) -> list[Path]:
    """Its files that have any bit."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


ASSETS_READING = {
    "landing": ["users", "tracks", "listens"],
    "training_sets": ["lightfm_model"],
    "models": ["recommendations"],
    "warehouse.duckdb": ["recommendations", "recommendation_quality", "drift"],
}


@pytest.mark.parametrize("rounds", [1, pytest.param(25, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ASSETS_READING)
def test_a_run_that_reads_a_file_with_a_flipped_bit_fails_or_makes_the_same(
    deployment: Deployment, kind: str, rounds: int
) -> None:
    data_dir, chance = deployment.data_dir, random.Random(rounds)
    selection = AssetSelection.assets(*ASSETS_READING[kind])
    kept = data_dir.with_name("kept")
    shutil.copytree(data_dir, kept)
    sound = fingerprints.tables(deployment.settings.warehouse_path), fingerprints.artifacts(data_dir)
    files = [data_dir / kind] if kind == "warehouse.duckdb" else _files(data_dir / kind)
    failed = 0
    for _ in range(rounds):
        file = chance.choice(files)
        bit = chance.randrange(8 * file.stat().st_size)
        day = file.parent.name if kind == "landing" else LAST.isoformat()
        flip(file, bit)
        result = deployment.execute(selection, partition_key=day)
        if result.success:
            made = fingerprints.tables(deployment.settings.warehouse_path), fingerprints.artifacts(data_dir)
            name = str(file.relative_to(data_dir))
            made[1].pop(name, None), sound[1].pop(name, None)
            assert made == sound, (file, bit)
        else:
            said = " ".join(str(event.step_failure_data.error) for event in result.get_step_failure_events())
            assert str(file.parent) in said, (file, bit, said)
            failed += 1
        shutil.rmtree(data_dir)
        shutil.copytree(kept, data_dir)
    assert failed or kind == "warehouse.duckdb"  # most of whose bits no run reads


def test_damaged_landing_files_stop_a_rebuild_of_their_partition_and_are_read_again(
    deployment: Deployment, undisturbed: Deployment
) -> None:
    landing_dir = deployment.settings.landing_dir
    (damaged,) = landing_files(landing_dir, "listen_history", LAST)
    flip(damaged, 8 * 1000)
    before = fingerprints.tables(deployment.settings.warehouse_path)

    result = deployment.ingest(LAST, LAST)
    assert not result.success
    assert fingerprints.tables(deployment.settings.warehouse_path) == before

    ((was, now),) = set_aside_damaged(landing_at(deployment.settings.landing_dir), [LAST])
    assert was == damaged
    assert now.exists()
    outcome = run_pipeline(deployment.settings, LAST, LAST, deployment.instance, NoProgress(), again=True)

    assert not outcome.missing
    assert fingerprints.landing(deployment.data_dir) == fingerprints.landing(undisturbed.data_dir)
    for table in SOURCE_TABLES:
        found = fingerprints.tables(deployment.settings.warehouse_path)[table]
        assert found == fingerprints.tables(undisturbed.settings.warehouse_path)[table]
    assert found_wrong(deployment) == []
