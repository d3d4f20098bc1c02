"""However the days are read, together, one by one or in any order, and however often: the same data comes out."""

import random
from collections.abc import Callable
from datetime import date

import pytest

from moovitamix_assets.automation.jobs import RECOMMEND_AND_MEASURE_JOB, TRAIN_JOB
from moovitamix_assets.partitions import days_between
from moovitamix_assets_tests.conftest import FIRST, LAST
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment

DAYS = days_between(FIRST, LAST)
IN_ORDER = list(DAYS)
SHUFFLED = random.Random(5).sample(DAYS, len(DAYS))
assert SHUFFLED != IN_ORDER


def test_the_small_world_is_worth_comparing(undisturbed: Deployment) -> None:
    """Otherwise the tests here and beside would compare empty tables."""
    found = fingerprints.everything(undisturbed.data_dir)
    empty = {name for name, content in found["tables"].items() if content.startswith("0 rows")}
    # Recommendations are computed as of the last day only, so their quality is not measured; few rows give no drift;
    # the only candidate is promoted at once.
    measured_elsewhere = {"recommendation_quality", "drift", "shadow_recommendations"}
    assert empty == {"rejected_users", "rejected_tracks", "rejected_listens"} | measured_elsewhere
    assert undisturbed.query("SELECT decision FROM promotions") == [("promoted",)]
    sources = dict(
        undisturbed.query("SELECT source, count(DISTINCT user_id) FROM recommendations GROUP BY ALL")
    )
    assert set(sources) >= {"model", "cold_start"}
    assert {name.split("/")[0] for name in found["artifacts"]} == {"training_sets", "models"}
    assert len(found["landing"]) == 3 * len(DAYS)


@pytest.mark.parametrize(
    "order",
    [pytest.param(SHUFFLED, id="shuffled"), pytest.param(IN_ORDER, id="one by one", marks=pytest.mark.long)],
)
def test_days_read_one_by_one_are_the_range_read_in_one_run(
    order: list[date], undisturbed: Deployment, new_deployment: Callable[..., Deployment]
) -> None:
    apart = new_deployment()
    for day in order:
        assert apart.ingest(day, day).success
    assert apart.execute(TRAIN_JOB.selection, partition_key=LAST.isoformat()).success
    assert apart.execute(RECOMMEND_AND_MEASURE_JOB.selection, partition_key=LAST.isoformat()).success
    assert fingerprints.everything(apart.data_dir) == fingerprints.everything(undisturbed.data_dir)


@pytest.mark.long
def test_two_runs_from_scratch_give_the_same_bytes(
    undisturbed: Deployment, new_deployment: Callable[..., Deployment]
) -> None:
    """Its short form is that of two commands at once, which compares a process of its own with this one."""
    again = new_deployment()
    again.run(FIRST, LAST)
    assert fingerprints.everything(again.data_dir) == fingerprints.everything(undisturbed.data_dir)


def test_a_second_run_finds_nothing_missing_and_changes_nothing(undisturbed: Deployment) -> None:
    before = fingerprints.everything(undisturbed.data_dir)
    outcome = undisturbed.run(FIRST, LAST)
    assert not outcome.missing
    assert not outcome.seconds
    assert fingerprints.everything(undisturbed.data_dir) == before
