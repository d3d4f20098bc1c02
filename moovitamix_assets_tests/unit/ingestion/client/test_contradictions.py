"""Statements of the source that cannot all be true: believed in no case, however often they are repeated."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from moovitamix_assets.ingestion.client.errors import (
    PageFailed,
    SourceContradictsItself,
    SourceError,
    SourceMoved,
)
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets_tests.unit.ingestion.client.scripted_source import (
    FAR,
    ScriptedSource,
    client,
    ids,
    users,
)

Change = Callable[[dict[str, Any], int], object]


def refused(source: ScriptedSource, **settings: Any) -> str:
    """What is said of a source that contradicts itself, in every pull."""
    with (
        client(source, **{"page_size": 10, "pull_attempts": 3} | settings) as api,
        pytest.raises(SourceContradictsItself) as caught,
    ):
        api.pull("users", None, FAR)
    assert source.pages_asked("users").count(1) == 3
    assert f"users: none of 3 pulls from {source.url}/users can be accepted" in str(caught.value)
    return str(caught.value)


def always(**stated: object) -> Change:
    return lambda envelope, _: {**envelope, **stated}


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"total": 15}, "page 1 reports total 15, size 10 and pages 3, and 15 records in pages of 10 are 2 pages"),
        ({"total": 31}, "page 1 reports total 31, size 10 and pages 3, and 31 records in pages of 10 are 4 pages"),
        ({"pages": 2}, "page 1 reports total 30, size 10 and pages 2, and 30 records in pages of 10 are 3 pages"),
        ({"pages": 0}, "page 1 reports total 30, size 10 and pages 0, and 30 records in pages of 10 are 3 pages"),
        ({"size": 9}, "page 1 reports total 30, size 9 and pages 3"),
        ({"size": 9, "pages": None}, "page 1 holds 10 records and reports size 9"),
        ({"size": 0}, "page 1 holds 10 records and reports size 0"),
        ({"size": 11, "pages": None}, "page 1 holds 10 records, and as one before the last of 3 pages it"),
    ],
)  # fmt: skip
def test_an_envelope_that_contradicts_itself_is_never_accepted(
    source: ScriptedSource, stated: dict[str, Any], said: str
) -> None:
    source.records["users"] = users(30)
    source.change = always(**stated)
    assert said in refused(source)


def test_a_low_total_without_a_size_is_noticed_on_the_page_after_the_last(source: ScriptedSource) -> None:
    source.records["users"] = users(40)
    source.change = always(total=20, pages=2)
    said = "page 3 holds 10 records, and the reported total of 20 was reached with page 2"
    assert said in refused(source)


def test_the_page_after_the_last_needs_no_total_to_contradict_it(source: ScriptedSource) -> None:
    source.records["users"] = users(40)
    source.change = lambda envelope, _: {
        **envelope, "total": 20 if envelope["page"] < 3 else None, "pages": None,
    }  # fmt: skip
    assert "page 3 holds 10 records, and the reported total of 20 was reached with page 2" in refused(source)


def test_a_low_total_that_agrees_with_everything_else_is_noticed(source: ScriptedSource) -> None:
    source.records["users"] = users(31)
    source.change = always(total=30, pages=3)
    assert "page 4 holds 1 records, and the reported total of 30 was reached with page 3" in refused(source)


@pytest.mark.parametrize("size", [10, None])
def test_a_page_before_the_last_is_full(source: ScriptedSource, size: int | None) -> None:
    source.records["users"] = rows = users(30)
    source.change = lambda envelope, _: (
        {**envelope, "size": size, "items": rows[10:19] if envelope["page"] == 2 else envelope["items"]}
    )
    if size is None:
        with client(source, page_size=10) as api, pytest.raises(SourceMoved, match=r"received 29 .* of 30"):
            api.pull("users", None, FAR)
    else:
        assert "page 2 holds 9 records, and as one before the last of 3 pages it would hold 10" in refused(
            source
        )


def test_a_page_holds_no_more_than_its_size(source: ScriptedSource) -> None:
    source.records["users"] = rows = users(30)
    source.change = lambda envelope, _: (
        {**envelope, "items": rows[:20]} if envelope["page"] == 2 else envelope
    )
    # Pages 1 and 2 alone have as many records as the total says, and would have them in every pull.
    assert "page 2 holds 20 records and reports size 10" in refused(source)


@pytest.mark.parametrize("name", ["size", "pages"])
def test_pages_of_one_reading_report_the_same(source: ScriptedSource, name: str) -> None:
    source.records["users"] = users(30)
    other = "pages" if name == "size" else "size"
    source.change = lambda envelope, _: (
        {**envelope, name: envelope[name] + (envelope["page"] == 3), other: None}
    )
    assert (
        f"page 1 reports {name} {10 if name == 'size' else 3} and page 3 {name} {11 if name == 'size' else 4}"
        in (refused(source))
    )


def test_a_page_sent_in_place_of_another_for_good_is_not_accepted(source: ScriptedSource) -> None:
    source.records["users"] = rows = users(1000)

    def repeat(envelope: dict[str, Any], _: int) -> dict[str, Any]:
        size = envelope["size"]
        return {**envelope, "items": rows[size : 2 * size]} if envelope["page"] == 3 else envelope

    source.change = repeat
    assert "page 3 holds the same 100 records as page 2" in refused(source, page_size=100)


def test_a_repeated_page_in_another_order_without_a_total_is_noticed(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    source.change = lambda envelope, _: {"items": envelope["items"]} if envelope["page"] != 2 else {
        "items": source.records["users"][9::-1]
    }  # fmt: skip
    assert "page 2 holds the same 10 records as page 1" in refused(source)


def test_one_record_at_the_end_of_a_page_and_at_the_beginning_of_the_next_is_a_duplicate(
    source: ScriptedSource,
) -> None:
    source.records["users"] = [*users(10), *users(1)]
    with client(source, page_size=1) as api:
        pull = api.pull("users", None, FAR)
    assert Counter(ids(pull)) == Counter([*range(1, 11), 1])
    sizes = {query["size"] for _, query in source.asked if "size" in query}
    assert (sizes, pull.statistics.pulls) == ({"1", "2"}, 2)


def test_pages_that_overlap_for_good_are_not_accepted(source: ScriptedSource) -> None:
    source.records["users"] = rows = users(30)

    def overlap(envelope: dict[str, Any], _: int) -> dict[str, Any]:
        size, page = envelope["size"], envelope["page"]
        start = (page - 1) * size - (page > 1)
        return {**envelope, "items": rows[start : start + len(envelope["items"])]}

    source.change = overlap
    # Page 2 begins with the last record of page 1, and user 30 never comes.
    with client(source, page_size=10) as api, pytest.raises(SourceMoved, match="1 of them with an identity"):
        api.pull("users", None, FAR)


def test_repetitions_in_pages_of_one_size_only_are_not_accepted(source: ScriptedSource) -> None:
    source.records["users"], source.largest_page = [*users(30), *users(2)], 7
    with client(source, page_size=10) as api:
        # Asked for 10, 7 come; what is asked for next is 6.
        assert len(api.pull("users", None, FAR).records) == 32
    source.reset()
    source.records["users"] = rows = [*users(30), *users(2)]
    source.change = lambda envelope, _: {
        "items": rows[(envelope["page"] - 1) * 8 : envelope["page"] * 8],
        "total": 32,
    }
    said = "2 records repeat an identity, and pages of 8 came whatever size was requested"
    assert said in refused(source)


def test_a_contradiction_that_passes_costs_a_pull(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    source.change = lambda envelope, visit: {**envelope, "pages": 3 if visit > 1 else 7}
    with client(source, page_size=10) as api:
        pull = api.pull("users", None, FAR)
    assert (ids(pull), pull.statistics.pulls) == (list(range(1, 31)), 2)


def test_a_reading_that_contradicts_itself_confirms_nothing(source: ScriptedSource) -> None:
    source.records["users"] = [*users(30), *users(2)]
    # The first reading is clean, the second is not, and the third has nothing clean before it.
    source.change = lambda envelope, visit: {**envelope, "pages": 9} if visit == 2 else envelope
    with client(source, page_size=10) as api:
        assert api.pull("users", None, FAR).statistics.pulls == 4


@pytest.mark.parametrize("pages", [0, 1, None])
def test_nothing_is_on_no_page_or_on_one(source: ScriptedSource, pages: int | None) -> None:
    source.change = always(pages=pages)
    with client(source) as api:
        pull = api.pull("users", None, FAR)
    assert (pull.records, pull.statistics.pulls, pull.statistics.pages) == ([], 1, 1)


def test_a_source_that_grew_at_its_end_has_moved(source: ScriptedSource) -> None:
    source.records["users"] = users(20)

    def grow(envelope: dict[str, Any], visit: int) -> dict[str, Any]:
        if (envelope["page"], visit) == (3, 1):
            source.records["users"] = users(21)
            return {**envelope, "items": users(21)[20:], "total": 21, "pages": 3}
        return envelope

    source.change = grow
    with client(source, page_size=10, pages_in_flight=1) as api:
        pull = api.pull("users", None, FAR)
    assert (ids(pull), pull.statistics.pulls) == (list(range(1, 22)), 2)


def test_a_source_that_only_seems_to_grow_at_its_end_is_not_accepted(source: ScriptedSource) -> None:
    source.records["users"] = users(21)
    source.change = lambda envelope, _: (
        {**envelope, "total": 20, "pages": 2} if envelope["page"] < 3 else envelope
    )
    with (
        client(source, page_size=10) as api,
        pytest.raises(SourceMoved, match=r"received 21 .* of 20 and 21"),
    ):
        api.pull("users", None, FAR)


def test_another_total_on_the_page_after_the_last_means_pull_again(source: ScriptedSource) -> None:
    source.records["users"] = users(20)
    source.change = lambda envelope, visit: (
        {**envelope, "total": 19} if (envelope["page"], visit) == (3, 1) else envelope
    )
    with client(source, page_size=10) as api:
        assert api.pull("users", None, FAR).statistics.pulls == 2


def test_a_total_that_few_envelopes_report_is_not_accepted(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    source.change = lambda envelope, _: {**envelope, "total": 30 if envelope["page"] == 3 else 29}
    with (
        client(source, page_size=10) as api,
        pytest.raises(SourceMoved, match=r"received 30 .* of 29 and 30"),
    ):
        api.pull("users", None, FAR)


def test_a_total_that_one_envelope_misreports_is_outvoted_in_the_second_pull(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    source.change = lambda envelope, _: {**envelope, "total": 29 if envelope["page"] == 3 else 30}
    with client(source, page_size=10) as api:
        assert api.pull("users", None, FAR).statistics.pulls == 2


def test_the_page_after_the_last_has_to_answer(source: ScriptedSource) -> None:
    source.records["users"], source.always["users", 4] = users(30), 503
    with client(source, page_size=10, retries=1) as api, pytest.raises(PageFailed, match="Page 4 of users"):
        api.pull("users", None, FAR)


@pytest.mark.parametrize(("size", "refusal"), [(1, False), (2, True)])
def test_a_page_of_two_that_is_sent_twice_is_noticed(
    source: ScriptedSource, size: int, refusal: bool
) -> None:
    source.records["users"] = [*users(size), *users(size), *users(3, first_id=10)]
    with client(source, page_size=size) as api:
        if refusal:
            with pytest.raises(SourceContradictsItself, match="page 2 holds the same 2 records as page 1"):
                api.pull("users", None, FAR)
        else:
            assert len(api.pull("users", None, FAR).records) == 5


def not_found_past(last: int) -> dict[tuple[str, int], Any]:
    return {("users", page): (404, {}, b'{"detail": "Not Found"}') for page in range(last + 1, last + 9)}


def test_the_page_after_the_last_may_be_refused_as_not_found(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    source.always = not_found_past(3)
    with client(source, page_size=10) as api:
        pull = api.pull("users", None, FAR)
    assert (ids(pull), pull.statistics.pulls, pull.statistics.pages) == (list(range(1, 31)), 1, 3)


def test_a_page_that_is_wanted_may_not_be_refused(source: ScriptedSource) -> None:
    source.records["users"] = users(30)
    source.always = not_found_past(3)
    source.change = lambda envelope, _: {
        **envelope, "items": envelope["items"][: 10 if envelope["page"] == 1 else 5], "size": None, "pages": None,
    }  # fmt: skip
    with client(source, page_size=10) as api, pytest.raises(PageFailed, match=r"Page 4 of users .* 404"):
        api.pull("users", None, FAR)


@pytest.mark.parametrize(("name", "value"), [("size", "10"), ("pages", -1), ("pages", 2.5), ("size", True)])
def test_a_count_that_is_none_is_no_envelope(source: ScriptedSource, name: str, value: object) -> None:
    source.change = always(**{name: value})
    words = f"no envelope|an envelope with the {name} '{value}'"
    with client(source, retries=1) as api, pytest.raises(SourceError, match=words):
        api.pull("users", None, FAR)


def test_the_answer_to_a_check_is_one_page(source: ScriptedSource) -> None:
    source.records["users"] = users(3)
    with SourceApi(source.url) as api:
        assert api.check().totals["users"] == 3
    assert source.pages_asked("users") == [1]
