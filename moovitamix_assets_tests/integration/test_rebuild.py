import random
import shutil
from collections.abc import Callable

import pytest
from dagster import AssetKey

from foundation.landing.files import landing_files
from foundation.progress import NoProgress
from foundation.warehouse.errors import WarehouseDamaged, WarehouseLocked, WarehouseLost
from foundation.warehouse.ledger import read_ledger
from moovitamix_assets.cli.recovery.rebuild import rebuild_warehouse, renew_ledger
from moovitamix_assets.warehouse.layout import LAYOUT
from moovitamix_assets_tests.conftest import FIRST, LAST
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment
from moovitamix_assets_tests.unit.warehouse.second_process import holding


@pytest.fixture
def deployment(undisturbed: Deployment, new_deployment: Callable[..., Deployment]) -> Deployment:
    copy = new_deployment("copy")
    shutil.copytree(undisturbed.data_dir, copy.data_dir)
    return copy


def kept(deployment: Deployment) -> dict[str, str]:
    """Fingerprints of every table but recommendations, which the next run makes, and their marks."""
    found = fingerprints.tables(deployment.settings.warehouse_path)
    del found["recommendations"], found["partitions_made"]
    return found


def test_a_warehouse_that_is_gone_is_not_begun_anew_but_rebuilt_equal(
    deployment: Deployment, undisturbed: Deployment
) -> None:
    path = deployment.settings.warehouse_path
    path.unlink()
    files = fingerprints.landing(deployment.data_dir)

    with pytest.raises(WarehouseLost, match=rf"{path} is gone.*`moovitamix rebuild`"):
        deployment.run(FIRST, LAST)
    assert not deployment.ingest(LAST, LAST).success
    assert not path.exists()

    made = rebuild_warehouse(deployment.settings, deployment.instance, NoProgress())

    assert kept(deployment) == kept(undisturbed)
    assert made.missing == []
    assert made.lost == []
    assert fingerprints.landing(deployment.data_dir) == files
    assert deployment.instance.get_latest_materialization_event(AssetKey("listens")) is not None

    outcome = deployment.run(FIRST, LAST)
    assert (outcome.missing.days, outcome.missing.decision, outcome.missing.made) == ([], False, True)
    assert fingerprints.tables(path) == fingerprints.tables(undisturbed.settings.warehouse_path)


@pytest.mark.parametrize("damage", ["random bytes", "truncated", "emptied"])
def test_a_damaged_warehouse_is_named_set_aside_and_rebuilt(
    deployment: Deployment, undisturbed: Deployment, damage: str
) -> None:
    path = deployment.settings.warehouse_path
    content = path.read_bytes()
    left = {"random bytes": random.Random(1).randbytes(len(content)), "truncated": content[:300_000]}
    path.write_bytes(left.get(damage, b""))

    with pytest.raises((WarehouseDamaged, WarehouseLost), match=rf"{path}.*`moovitamix rebuild`"):
        deployment.run(FIRST, LAST)

    made = rebuild_warehouse(deployment.settings, deployment.instance, NoProgress())

    assert kept(deployment) == kept(undisturbed)
    assert made.set_aside == [path.with_name("warehouse.duckdb.damaged-1")]
    assert made.set_aside[0].stat().st_size == len(left.get(damage, b""))


def test_a_day_that_landing_does_not_have_whole_is_left_to_the_next_run(
    deployment: Deployment, undisturbed: Deployment
) -> None:
    (file,) = landing_files(deployment.settings.landing_dir, "listen_history", LAST)
    file.write_bytes(file.read_bytes()[:-5])
    deployment.settings.warehouse_path.unlink()

    made = rebuild_warehouse(deployment.settings, deployment.instance, NoProgress())

    assert made.missing == [LAST]
    assert [path.name for path in made.set_aside] == [file.name]
    assert deployment.run(FIRST, LAST).missing.days == [LAST]
    assert kept(deployment) == kept(undisturbed)


def test_a_warehouse_that_is_held_is_not_replaced(deployment: Deployment) -> None:
    with holding(deployment.settings.warehouse_path), pytest.raises(WarehouseLocked, match="is held"):
        rebuild_warehouse(deployment.settings, deployment.instance, NoProgress())
    assert not list(deployment.data_dir.glob("*.damaged-*"))


def test_a_damaged_ledger_is_written_anew_from_the_warehouse(deployment: Deployment) -> None:
    folder = deployment.settings.ledger_dir
    before = {table: read_ledger(folder, table).groups for table in LAYOUT.ledger_groups}
    for path in folder.glob("*.jsonl"):
        path.write_bytes(path.read_bytes().replace(b"rows", b"Rows"))
    assert len(read_ledger(folder, "promotions").faults) == 1

    renew_ledger(deployment.settings)

    assert {table: read_ledger(folder, table).groups for table in LAYOUT.ledger_groups} == before
    assert not any(read_ledger(folder, table).faults for table in LAYOUT.ledger_groups)
