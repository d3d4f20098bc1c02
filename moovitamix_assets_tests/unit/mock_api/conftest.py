"""Small worlds, and ways to read all of them."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mock_api.app import create_app
from mock_api.settings import Endpoint, MockApiSettings
from mock_api.simulation.world import World

NOW = datetime(2026, 8, 15, 12)
FIRST_DAY = date(2026, 8, 1)

Records = list[dict[str, Any]]


def small_settings(**settings: Any) -> MockApiSettings:
    return MockApiSettings(
        **{"now": NOW, "people": 300, "tracks": 400, "sessions_a_day": 60, "first_day": FIRST_DAY} | settings
    )


def read_world(world: World, endpoint: Endpoint, now: datetime, **filters: Any) -> Records:
    """All records of an endpoint, by pages of 100."""
    _, total = world.records(endpoint, now, 1, 1, **filters)
    pages = (world.records(endpoint, now, page, 100, **filters)[0] for page in range(1, total // 100 + 2))
    records = [record for page in pages for record in page]
    assert len(records) == total
    return records


def read_all(get: Callable[..., Any], path: str, **parameters: Any) -> Records:
    """All records that an API answers with, by as many pages as it says there are."""
    first = get(path, params=parameters).json()
    records = list(first["items"])
    for page in range(2, first["pages"] + 1):
        records += get(path, params={**parameters, "page": page}).json()["items"]
    assert len(records) == first["total"]
    return records


@pytest.fixture(scope="package")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(small_settings())) as client:
        yield client


@pytest.fixture(scope="package")
def world() -> World:
    world = World(small_settings())
    world.advance(NOW.date())
    return world
