"""What a day's training set and model are does not depend on when they are made, though the source forgets.

The source holds the newest version of each record only: sessions grow, users change, records are corrected.
What a day knew is therefore only what was read as the days passed.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta

import pytest
import requests
from dagster import AssetSelection

from mock_api.server import running_server
from moovitamix_assets.automation.jobs import TRAIN_JOB
from moovitamix_assets.partitions import days_between
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets_tests.conftest import FIRST, small_world
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment

DAY = FIRST + timedelta(days=2)
MANIFEST = f"training_sets/{DAY}/manifest.json"


@pytest.fixture
def moving_source() -> Iterator[str]:
    """The small world on the first day, whose clock the test moves."""
    with running_server(small_world(now=datetime.combine(FIRST, time(12)))) as url:
        yield url


def _live_through(deployment: Deployment, first: date, last: date) -> None:
    """Read each day as it has just passed."""
    for day in days_between(first, last):
        now = datetime.combine(day + timedelta(days=1), time(0, 30))
        requests.post(
            f"{deployment.settings.source.api_url}/_clock", json={"now": now.isoformat()}, timeout=30
        )
        assert deployment.ingest(day, day).success


def _made(deployment: Deployment, selection: AssetSelection) -> dict[str, str]:
    """Files of the training sets and models, after making those of the day."""
    assert deployment.execute(selection, partition_key=DAY.isoformat()).success
    return fingerprints.artifacts(deployment.data_dir)


@pytest.mark.parametrize("later", [2, pytest.param(30, marks=pytest.mark.long)])
def test_a_model_of_a_day_is_the_same_when_trained_on_that_day_and_long_after(
    later: int, moving_source: str, new_deployment: Callable[..., Deployment]
) -> None:
    names = ("at_once", "long_after", "too_late")
    at_once, long_after, too_late = (new_deployment(name, moving_source) for name in names)
    _live_through(at_once, FIRST, DAY)
    shutil.copytree(at_once.data_dir, long_after.data_dir)
    trained = _made(at_once, TRAIN_JOB.selection)
    version = model_store(at_once.settings.models_dir).candidate(DAY).model_version
    assert {MANIFEST, f"models/{version}/track_vectors.npy"} <= set(trained)

    _live_through(long_after, DAY + timedelta(days=1), DAY + timedelta(days=later))
    assert _made(long_after, TRAIN_JOB.selection) == trained

    # Otherwise nothing above could have gone wrong: old records have changed since, and who reads the day only
    # now finds another past.
    for table, made_on in (("listens", "listened_at"), ("users", "created_at"), ("tracks", "created_at")):
        changed_since = f"SELECT count(*) > 0 FROM {table} WHERE changed_on > ? AND {made_on} < ?"
        assert long_after.query(changed_since, DAY, DAY + timedelta(days=1)) == [(True,)]
    assert too_late.ingest(FIRST, DAY).success
    assert _made(too_late, AssetSelection.assets("training_set"))[MANIFEST] != trained[MANIFEST]
