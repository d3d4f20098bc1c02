"""Worlds without users, tracks or listens: runs succeed, and every user who can get recommendations gets them."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from moovitamix_assets_tests.conftest import FIRST
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment
from moovitamix_assets_tests.integration.original_source import Records, original_records, serving

LAST = date(2026, 9, 2)
PEOPLE = 30

NewDeployment = Callable[..., Deployment]


@pytest.fixture(scope="module")
def records() -> Records:
    return original_records(datetime(2026, 9, 3), PEOPLE)


def _run_twice(new_deployment: NewDeployment, records: Records) -> Deployment:
    """Run, then run again, which must change nothing."""
    with serving(records) as url:
        deployment = new_deployment(url=url, accept_empty_endpoints=True)
        deployment.run(FIRST, LAST)
        before = fingerprints.everything(deployment.data_dir)
        deployment.run(FIRST, LAST)
        assert fingerprints.everything(deployment.data_dir) == before
    loads = deployment.query("SELECT table_name, count(*) FROM partition_loads GROUP BY ALL ORDER BY ALL")
    assert loads == [("listens", 2), ("tracks", 2), ("users", 2)]
    return deployment


def _lists(deployment: Deployment) -> list[tuple[Any, ...]]:
    """Source, users and rows of the recommendations."""
    return deployment.query(
        "SELECT source, count(DISTINCT user_id), count(*) FROM recommendations GROUP BY ALL"
    )


def _moved(sessions: list[dict[str, Any]], day: str) -> list[dict[str, Any]]:
    moment = f"{day}T10:00:00.000001"
    return [session | {"created_at": moment, "updated_at": moment} for session in sessions]


def test_an_empty_source(new_deployment: NewDeployment) -> None:
    deployment = _run_twice(new_deployment, original_records(datetime(2026, 9, 3), 0))
    assert _lists(deployment) == []
    assert deployment.query("SELECT sum(received) FROM partition_loads") == [(0,)]


def test_users_and_tracks_but_no_listens(new_deployment: NewDeployment, records: Records) -> None:
    deployment = _run_twice(new_deployment, records | {"listen_history": []})
    assert _lists(deployment) == [("popular", PEOPLE, 20 * PEOPLE)]
    assert deployment.query("SELECT count(*) FROM promotions") == [(0,)]


@pytest.mark.long
def test_users_without_tracks(new_deployment: NewDeployment, records: Records) -> None:
    deployment = _run_twice(new_deployment, records | {"tracks": [], "listen_history": []})
    assert deployment.query("SELECT count(*) FROM users") == [(PEOPLE,)]
    assert _lists(deployment) == []


def test_nothing_played_before_the_holdout_days(new_deployment: NewDeployment, records: Records) -> None:
    sessions = _moved(records["listen_history"], "2026-09-01")
    deployment = _run_twice(new_deployment, records | {"listen_history": sessions})
    assert _lists(deployment) == [("popular", PEOPLE, 20 * PEOPLE)]


@pytest.mark.parametrize(
    "day",
    [
        pytest.param("2026-08-22", id="on the validation days only"),
        pytest.param("2025-01-01", id="long ago", marks=pytest.mark.long),
    ],
)
def test_nothing_played_on_the_holdout_days(
    day: str, new_deployment: NewDeployment, records: Records
) -> None:
    deployment = _run_twice(
        new_deployment, records | {"listen_history": _moved(records["listen_history"], day)}
    )
    assert _lists(deployment) == [("popular", PEOPLE, 20 * PEOPLE)]
    [(decision, reason)] = deployment.query("SELECT decision, reason FROM promotions")
    assert decision == "shadow"
    assert "Only 0 users have anything new" in reason


def test_fewer_tracks_than_a_list_is_long(new_deployment: NewDeployment, records: Records) -> None:
    """Each user gets the tracks not played yet; one who played all gets none, and the others' do not fail."""
    tracks = records["tracks"][:5]
    played = [track["id"] for track in tracks]
    sessions = [
        session | {"items": played if number == 0 else played[:2]}
        for number, session in enumerate(_moved(records["listen_history"], "2025-01-01"))
    ]
    deployment = _run_twice(new_deployment, records | {"tracks": tracks, "listen_history": sessions})
    assert _lists(deployment) == [("popular", PEOPLE - 1, 3 * (PEOPLE - 1))]


def test_the_first_day_alone(new_deployment: NewDeployment, records: Records) -> None:
    with serving(records | {"listen_history": []}) as url:
        deployment = new_deployment(url=url, accept_empty_endpoints=True)
        deployment.run(FIRST, FIRST)
    assert deployment.query("SELECT DISTINCT changed_on FROM partition_loads") == [(FIRST,)]
    [(source, users, _)] = _lists(deployment)
    assert (source, [(users,)]) == ("popular", deployment.query("SELECT count(*) FROM users"))
    assert users > 0
