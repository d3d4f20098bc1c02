"""Page sizes, totals and repetitions: when a pull is believed. Failing requests are in test_source_faults.py."""

from collections import Counter
from typing import Any

import pytest

from moovitamix_assets.ingestion.client.errors import SourceError, SourceMoved
from moovitamix_assets_tests.unit.ingestion.client.scripted_source import (
    FAR,
    ScriptedSource,
    client,
    ids,
    users,
)


@pytest.mark.parametrize("hide", [{"size": None}, {"pages": None}, {"page": None}])
def test_the_size_that_came_counts_not_the_size_asked_for(
    source: ScriptedSource, hide: dict[str, Any]
) -> None:
    source.records["users"], source.largest_page = users(250), 30
    source.change = lambda envelope, _: {**envelope, **hide}
    with client(source) as api:
        pull = api.pull("users", None, FAR)
    assert ids(pull) == list(range(1, 251))
    assert (pull.statistics.pages, pull.statistics.pulls) == (9, 1)


def test_pages_that_become_smaller_lose_nothing(source: ScriptedSource) -> None:
    source.records["users"] = rows = users(100)

    def thin(envelope: dict[str, Any], _: int) -> dict[str, Any]:
        start = {1: 0, 2: 40, 3: 60, 4: 80}.get(envelope["page"], 100)
        items = rows[start : start + (40 if start == 0 else 20)]
        return {**envelope, "items": items, "size": None, "pages": None}

    source.change = thin
    with client(source, page_size=40) as api:
        assert ids(api.pull("users", None, FAR)) == list(range(1, 101))


def test_without_a_total_two_equal_pulls_are_needed(source: ScriptedSource) -> None:
    source.records["users"] = users(200)
    source.change = lambda envelope, _: {"items": envelope["items"]}
    with client(source) as api:
        pull = api.pull("users", None, FAR)
    assert ids(pull) == list(range(1, 201))
    assert (pull.statistics.pulls, pull.statistics.pages) == (2, 6)


def test_a_source_that_ignores_the_page_does_not_hold_us_for_ever(source: ScriptedSource) -> None:
    source.records["users"] = rows = users(5)
    source.change = lambda envelope, _: {"items": rows}
    with client(source) as api, pytest.raises(SourceError, match=r"users: .* ignore `page`"):
        api.pull("users", None, FAR)


def test_a_total_that_moves_once_means_pull_again(source: ScriptedSource) -> None:
    source.records["users"] = users(300)

    def grow(envelope: dict[str, Any], visit: int) -> dict[str, Any]:
        if (envelope["page"], visit) == (2, 1):
            # Two new users push all others back, after page 1 was read and before the last one is.
            source.records["users"] = users(2, first_id=900) + users(300)
            return {**envelope, "total": 302}
        return envelope

    source.change = grow
    with client(source, pages_in_flight=1) as api:
        pull = api.pull("users", None, FAR)
    assert sorted(ids(pull)) == [*range(1, 301), 900, 901]
    assert (pull.statistics.pulls, pull.statistics.total) == (2, 302)


def test_a_total_that_never_rests_fails(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    waits: list[float] = []

    def grow(envelope: dict[str, Any], _: int) -> dict[str, Any]:
        source.records["users"] = users(len(source.records["users"]) + 1)
        return envelope

    source.change = grow
    words = r"users: none of 4 pulls from http://127.0.0.1:\d+/users"
    slow = client(source, page_size=10, pull_attempts=4, sleep=waits.append)
    with slow as api, pytest.raises(SourceMoved, match=words):
        api.pull("users", None, FAR)
    assert source.pages_asked("users").count(1) == 4
    assert len(waits) == 3
    assert all(0.25 * 2**i <= wait <= 0.5 * 2**i for i, wait in enumerate(waits))


def test_fewer_records_than_the_total_fail_with_both_numbers(source: ScriptedSource) -> None:
    source.records["users"] = users(25)
    source.change = lambda envelope, _: {**envelope, "total": 26}
    with client(source, page_size=10) as api, pytest.raises(SourceMoved, match=r"received 25 .* total of 26"):
        api.pull("users", None, FAR)


def test_more_records_than_the_total_fail(source: ScriptedSource) -> None:
    source.records["users"] = users(20)
    source.change = lambda envelope, _: {**envelope, "total": 19}
    with client(source, page_size=10) as api, pytest.raises(SourceMoved, match=r"received 20 .* total of 19"):
        api.pull("users", None, FAR)


def test_identities_that_stay_repeated_in_pages_of_two_sizes_are_accepted(source: ScriptedSource) -> None:
    source.records["users"] = [*users(30), *users(2)]
    # The order may differ: what counts is which records came, each how often.
    source.change = lambda envelope, visit: {**envelope, "items": envelope["items"][:: (-1) ** visit]}
    with client(source, page_size=10) as api:
        pull = api.pull("users", None, FAR)
    assert Counter(ids(pull)) == Counter([*range(1, 31), 1, 2])
    assert (pull.statistics.pulls, pull.statistics.total, pull.statistics.pages) == (2, 32, 8)
    assert [query["size"] for _, query in source.asked if query.get("page") == "1"] == ["10", "9"]


def test_identities_repeated_by_chance_mean_pull_again(source: ScriptedSource) -> None:
    source.records["users"] = rows = users(30)

    def shift(envelope: dict[str, Any], visit: int) -> dict[str, Any]:
        return {**envelope, "items": rows[9:19]} if (envelope["page"], visit) == (2, 1) else envelope

    source.change = shift
    with client(source, page_size=10) as api:
        pull = api.pull("users", None, FAR)
    assert ids(pull) == list(range(1, 31))
    assert pull.statistics.pulls == 2


def test_identities_repeated_in_other_records_each_time_fail(source: ScriptedSource) -> None:
    source.records["users"] = rows = users(30)
    source.change = lambda envelope, visit: (
        {**envelope, "items": [*envelope["items"][:-1], rows[visit % 9]]} if envelope["items"] else envelope
    )
    with (
        client(source, page_size=10) as api,
        pytest.raises(SourceMoved, match=r"received 30 .* a total of 30"),
    ):
        api.pull("users", None, FAR)


def test_the_two_equal_pulls_may_come_late_but_in_a_row(source: ScriptedSource) -> None:
    source.records["users"] = rows = [*users(30), *users(2)]

    def rest_in_the_third_pull(envelope: dict[str, Any], visit: int) -> dict[str, Any]:
        if envelope["page"] == 2 and visit in (1, 2, 5):
            return {**envelope, "items": [*envelope["items"][:-1], rows[visit]]}
        return envelope

    source.change = rest_in_the_third_pull
    with client(source, page_size=10) as api:
        pull = api.pull("users", None, FAR)
    assert Counter(ids(pull)) == Counter([*range(1, 31), 1, 2])
    assert pull.statistics.pulls == 4
