"""What is asked for and what a pull brings. When it is believed is in test_paging.py."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moovitamix_assets.ingestion.client.errors import RequestFailed
from moovitamix_assets.ingestion.client.records import Endpoint
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.unit.ingestion.client.scripted_source import (
    FAR,
    FIRST,
    ScriptedSource,
    client,
    ids,
    openapi,
    users,
)


def test_all_pages_arrive_in_order_in_one_pull(source: ScriptedSource) -> None:
    source.records["users"] = users(1000)
    seen = []
    with client(source) as api:
        pull = api.pull("users", None, FAR, on_page=lambda done, total: seen.append((done, total)))
    assert ids(pull) == list(range(1, 1001))
    assert pull.records[0].json == (
        '{"created_at":"2026-09-01T00:00:00","id":1,"updated_at":"2026-08-23T00:00:00"}'
    )
    assert [r.changed_at for r in pull.records] == [FIRST + timedelta(hours=i) for i in range(1000)]
    assert pull.identities == {(i,) for i in range(1, 1001)}
    assert seen == [(page, 10) for page in range(1, 11)]
    statistics = pull.statistics
    assert (statistics.pages, statistics.pulls, statistics.retries, statistics.total) == (10, 1, 0, 1000)
    assert statistics.requests == 12, "ten pages, the empty one after them, and the OpenAPI document"
    assert 0 < statistics.latency_p50_ms <= statistics.latency_p95_ms
    assert sorted(source.pages_asked("users")) == list(range(1, 12)), "no page beyond the first empty one"


def test_an_empty_source_is_an_empty_pull(source: ScriptedSource) -> None:
    with client(source) as api:
        pull = api.pull("tracks", None, FAR)
    assert (pull.records, pull.identities, pull.statistics.pages) == ([], set(), 1)


def test_connections_are_kept_and_no_more_than_pages_in_flight(source: ScriptedSource) -> None:
    source.records["users"] = users(300)
    with client(source, pages_in_flight=3, page_size=10) as api:
        api.pull("users", None, FAR)
        api.pull("users", None, FAR)
    assert 1 <= source.connections <= 4, "three for the pages, one for the OpenAPI document"


def test_at_most_the_set_number_of_pages_is_in_flight(source: ScriptedSource) -> None:
    source.records["users"] = users(60)
    lock, barrier, running, most = threading.Lock(), threading.Barrier(2), [0], [0]

    def meet(envelope: dict[str, Any], _: int) -> dict[str, Any]:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        if envelope["page"] in (2, 3):
            barrier.wait(5)  # both are asked for before either is answered
        with lock:
            running[0] -= 1
        return envelope

    source.change = meet
    with client(source, pages_in_flight=2, page_size=10) as api:
        assert len(api.pull("users", None, FAR).records) == 60
    assert most == [2]


def test_the_window_is_half_open_and_the_rest_is_counted(source: ScriptedSource) -> None:
    undated = [{"id": 98, "created_at": "soon"}, "no object", None]
    source.records["users"] = users(48) + undated
    with client(source) as api:
        day = api.pull("users", FIRST + timedelta(hours=10), FIRST + timedelta(hours=20))
        initial = api.pull("users", None, FIRST + timedelta(hours=10))
    assert ids(day) == list(range(11, 21))
    assert (day.earlier, day.later, day.undated_left_out) == (10, 28, 3)
    assert len(initial.records) == 13
    assert [r.json for r in initial.records if r.changed_at is None][1:] == ['"no object"', "null"]
    assert (initial.earlier, initial.later, initial.undated_left_out) == (0, 38, 0)
    assert day.identities == initial.identities == {(i,) for i in [*range(1, 49), 98]}


def test_times_with_a_zone_are_refused(source: ScriptedSource) -> None:
    with client(source) as api, pytest.raises(ValueError, match="naive UTC"):
        api.pull("users", None, datetime.fromisoformat("2026-09-01T00:00:00Z"))


@pytest.mark.parametrize("works", [True, False])
def test_filters_are_used_where_listed_and_applied_again(source: ScriptedSource, works: bool) -> None:
    source.document, source.filtering = openapi("users"), works
    source.records["users"] = source.records["tracks"] = users(48)
    window = FIRST + timedelta(hours=10), FIRST + timedelta(hours=20)
    with client(source) as api:
        filtered, full = api.pull("users", *window), api.pull("tracks", *window)
        initial = api.pull("users", None, window[1])
        assert [api.supports_filters(name) for name in ("users", "tracks")] == [True, False]
    assert ids(filtered) == ids(full) == list(range(11, 21))
    assert (filtered.earlier, filtered.later) == ((0, 0) if works else (10, 28))
    assert (filtered.identities, filtered.statistics.filtered_by_server) == (None, True)
    assert (len(full.identities or ()), full.statistics.filtered_by_server) == (48, False)
    assert ids(initial) == list(range(1, 21))
    assert initial.identities is not None
    queries = [query for path, query in source.asked if path == "/users" and query["page"] == "1"]
    assert queries[0] | queries[1] == {
        "page": "1",
        "size": "100",
        "updated_since": "2026-09-01T10:00:00",
        "updated_before": "2026-09-01T20:00:00",
    }
    assert "updated_since" not in queries[1]
    assert all(set(query) == {"page", "size"} for path, query in source.asked if path == "/tracks")
    assert [path for path, _ in source.asked].count("/openapi.json") == 1


def test_one_filter_alone_is_not_enough(source: ScriptedSource) -> None:
    source.document = openapi("users", parameters=("updated_since",))
    with client(source) as api:
        assert not api.supports_filters("users")


def test_check_says_who_the_source_is(source: ScriptedSource) -> None:
    source.records["tracks"] = users(7)
    with client(source) as api:
        unnamed = api.check()
    source.document = openapi("users")
    with client(source) as api:
        named = api.check()
    assert (unnamed.title, unnamed.version, unnamed.filtered) == (None, None, ())
    assert (named.url, named.title, named.version) == (source.url, "MooVitamix", "1.1")
    assert named.totals == {"users": 0, "tracks": 7, "listen_history": 0}
    assert named.filtered == ("users",)


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        (None, None),
        ("Tue, 01 Sep 2026 10:00:00 GMT", datetime(2026, 9, 1, 10)),
        ("Tue, 01 Sep 2026 10:00:00 +0200", datetime(2026, 9, 1, 8)),
        ("Tue, 01 Sep 2026 10:00:00 -0000", datetime(2026, 9, 1, 10)),
        ("yesterday", None),
        ("", None),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Tue, 01 Sep 2026 10:00:00 +99999999999999999999", None),
    ],
)
def test_the_sources_own_clock_is_passed_on(
    source: ScriptedSource, header: str | None, moment: datetime | None
) -> None:
    source.dated = header
    with client(source) as api:
        assert (api.check().source_time, api.pull("users", None, FAR).source_time) == (moment, moment)


def test_the_newest_answer_says_what_time_it_is(source: ScriptedSource) -> None:
    source.records["users"], source.dated = users(1), "Tue, 01 Sep 2026 10:00:00 GMT"

    def an_hour_later(envelope: dict[str, Any], _: int) -> dict[str, Any]:
        source.dated = "Tue, 01 Sep 2026 11:00:00 GMT"
        return envelope

    source.change = an_hour_later
    with client(source) as api:
        assert api.pull("users", None, FAR).source_time == datetime(2026, 9, 1, 11)


def test_settings_make_the_client(source: ScriptedSource) -> None:
    source.records["users"] = users(12)
    with SourceApi.from_settings(Settings(api_url=source.url, page_size=5)) as api:
        assert api.pull("users", None, FAR).statistics.pages == 3


moments = st.datetimes(FIRST, FIRST + timedelta(days=2)).map(datetime.isoformat) | st.just("never")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    endpoint=st.sampled_from(["users", "tracks", "listen_history"]),
    times=st.lists(st.tuples(moments, moments), max_size=40),
    page_size=st.integers(1, 12),
    largest_page=st.integers(1, 12),
    has_total=st.booleans(),
    pages_in_flight=st.integers(1, 3),
    since=st.none() | st.datetimes(FIRST, FIRST + timedelta(days=1)),
)
def test_everything_in_the_window_arrives_exactly_once(
    source: ScriptedSource,
    endpoint: Endpoint,
    times: list[tuple[str, str]],
    page_size: int,
    largest_page: int,
    has_total: bool,
    pages_in_flight: int,
    since: datetime | None,
) -> None:
    source.reset()
    rows = [
        {"id": i, "user_id": i, "items": [i], "created_at": created, "updated_at": updated}
        for i, (created, updated) in enumerate(times)
    ]
    source.records[endpoint], source.largest_page = rows, largest_page
    source.change = lambda envelope, _: envelope if has_total else {**envelope, "total": None}
    before = FIRST + timedelta(days=1)

    expected = []
    for i, pair in enumerate(times):
        changed = max((datetime.fromisoformat(t) for t in pair if t != "never"), default=None)
        inside = since is None if changed is None else (since or datetime.min) <= changed < before
        expected += [i] * inside

    with client(source, page_size=page_size, pages_in_flight=pages_in_flight) as api:
        pull = api.pull(endpoint, since, before)
    assert ids(pull) == expected
    assert len(pull.records) + pull.earlier + pull.later + pull.undated_left_out == len(rows)


def test_a_source_that_is_not_there_names_the_setting_and_the_command_that_starts_one() -> None:
    with (
        SourceApi("http://127.0.0.1:9", retries=0, connect_patience_seconds=0.01) as api,
        pytest.raises(RequestFailed, match=r"MOOVITAMIX_API_URL \(`make dev` starts the bundled one\)"),
    ):
        api.check()
