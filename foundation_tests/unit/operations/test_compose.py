"""One outage is one alert: notified once, over any sequence of looks."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.operations.alerts import Incident, Notified, compose

SENDER = "Music"


def incident(key: str, **more: object) -> Incident:
    fixed = {
        "title": f"<{key}>",
        "since": "2026-10-04",
        "details": (f"{key} says why",),
        "done": "nothing",
        "link": "http://ui/runs/1",
    }
    return Incident(key=key, **(fixed | more))


NIGHTLY = incident("run:nightly")
LATE = incident("freshness", explained_by=("run:nightly",))
REJECTED = incident("rejected:v2", lasting=False)

LASTING = [incident(key) for key in "abc"]
EXPLAINED = [incident("d", explained_by=("a",)), incident("e", explained_by=("d", "b"))]
IN_A_RING = [incident("f", explained_by=("g",)), incident("g", explained_by=("f",))]
EVENTS = [incident(key, lasting=False) for key in "xyz"]
LOOKS = st.lists(
    st.lists(st.sampled_from([*LASTING, *EXPLAINED, *IN_A_RING, *EVENTS]), unique=True), max_size=12
)


def looked(looks: list[list[Incident]], notified: Notified | None = None) -> list[tuple[str, Notified]]:
    """The text notified at each look, the state passing through the cursor's text each time."""
    outcomes = []
    for look in looks:
        message, notified = compose(
            look, Notified.from_json(notified.to_json() if notified else None), SENDER
        )
        outcomes.append((f"{message.title}\n{message.body}" if message else "", notified))
    return outcomes


def texts(*looks: list[Incident]) -> list[str]:
    return [text for text, _ in looked(list(looks))]


def alerts(text: str) -> Counter[str]:
    """Keys of the incidents notified in full; the link stands once in each."""
    return Counter(line.removeprefix("  - ")[0] for line in text.splitlines() if line.endswith("says why"))


@given(LOOKS)
def test_an_event_is_notified_once(looks: list[list[Incident]]) -> None:
    notified = sum((alerts(text) for text in texts(*looks)), Counter())
    reported = {event.key for look in looks for event in look if not event.lasting}
    assert {key: notified[key] for key in "xyz" if notified[key]} == dict.fromkeys(reported, 1)


@given(LOOKS)
def test_what_nothing_explains_is_notified_once_an_outage(looks: list[list[Incident]]) -> None:
    before: set[str] = set()
    for look, text in zip(looks, texts(*looks), strict=True):
        reported = {each.key for each in look}
        for key in "abc":
            assert alerts(text)[key] == (key in reported - before)
            assert (f"Over: {key}," in text) == (key in before - reported)
        before = reported


@given(LOOKS)
def test_every_lasting_problem_is_notified_or_explained_by_one_that_is(looks: list[list[Incident]]) -> None:
    for look, (_, notified) in zip(looks, looked(looks), strict=True):
        lasting = {each.key: each for each in look if each.lasting}
        assert notified.open.keys() <= lasting.keys()
        for key in lasting.keys() - notified.open.keys():
            causes, met = set(lasting[key].explained_by), {key}
            while causes - met:
                met |= causes
                causes |= {more for cause in causes & lasting.keys() for more in lasting[cause].explained_by}
            assert causes & notified.open.keys(), key


@given(LOOKS, st.lists(st.sampled_from(["details", "since", "title"])))
def test_nothing_is_notified_of_a_state_that_did_not_change(
    looks: list[list[Incident]], changed: list[str]
) -> None:
    notified = looked(looks)[-1][1] if looks else Notified()
    again = [
        replace(each, **{name: ("new",) if name == "details" else "new" for name in changed})
        for each in (looks[-1] if looks else [])
    ]
    assert compose(again, notified, SENDER) == (None, notified)


@given(LOOKS)
def test_the_state_survives_its_text(looks: list[list[Incident]]) -> None:
    for _, notified in looked(looks):
        assert Notified.from_json(notified.to_json()) == notified


@pytest.mark.parametrize(
    "damaged", [None, "", "{", "null", "[1]", '{"open": 3}', '{"open": [], "events": []}']
)
def test_a_damaged_state_starts_anew(damaged: str | None) -> None:
    assert Notified.from_json(damaged) == Notified()


def test_one_message_holds_everything_new() -> None:
    (text,) = texts([NIGHTLY, REJECTED])
    assert text == (
        "Music: <run:nightly>, and 1 more\n"
        "<run:nightly>\nSince: 2026-10-04\n  - run:nightly says why\nDone: nothing\nhttp://ui/runs/1\n\n"
        "<rejected:v2>\nSince: 2026-10-04\n  - rejected:v2 says why\nDone: nothing\nhttp://ui/runs/1"
    )


def test_a_consequence_is_notified_with_its_cause_and_alone_once_the_cause_is_over() -> None:
    together, unchanged, alone, over = texts([NIGHTLY, LATE], [NIGHTLY, LATE], [LATE], [])
    assert "With it: <freshness>" in together
    assert "freshness says why" not in together
    assert unchanged == ""
    assert "freshness says why" in alone
    assert "Over: run:nightly, open since 2026-10-04" in alone
    assert over.startswith("Music: over: freshness\n")


def test_a_consequence_that_comes_later_adds_nothing() -> None:
    assert texts([NIGHTLY], [NIGHTLY, LATE], [NIGHTLY])[1:] == ["", ""]


def test_what_was_notified_before_its_cause_is_over_only_when_it_is_gone() -> None:
    _, with_cause, cause_alone = texts([LATE], [LATE, NIGHTLY], [NIGHTLY])
    assert "Over" not in with_cause
    assert "freshness" not in with_cause
    assert "Over: freshness" in cause_alone


def test_only_so_many_events_are_remembered_but_all_that_are_reported() -> None:
    many = [incident(f"event {number}", lasting=False) for number in range(300)]
    notified = compose(many, Notified(), SENDER)[1]
    assert len(notified.events) == 300
    assert compose(many, notified, SENDER)[0] is None
    assert len(compose([REJECTED], notified, SENDER)[1].events) == 200


def test_no_name_or_password_is_sent() -> None:
    details = (
        "GET https://robot:pa55@api.example.org/users failed",
        "a row of jane.doe@example.org",
        "x" * 9999,
    )
    (text,) = texts([incident("run:ingest", details=details)])
    assert "https://***@api.example.org/users failed" in text
    assert "pa55" not in text
    assert "jane" not in text
    assert len(text) < 1000


def test_so_many_details_are_notified_and_the_others_counted() -> None:
    details = tuple(f"detail {number}" for number in range(1, 10))
    (all_of_them,) = texts([incident("run:ingest", details=details[:8])])
    assert "detail 8" in all_of_them
    assert "more" not in all_of_them
    (counted,) = texts([incident("run:ingest", details=details)])
    assert "detail 8" in counted
    assert "detail 9" not in counted
    assert "  - and 1 more" in counted


def test_a_detail_is_one_line_of_bearable_length() -> None:
    (text,) = texts([incident("run:ingest", details=("first\n  second", "x" * 400, "y" * 401))])
    lines = text.splitlines()
    assert "  - first second" in lines
    assert f"  - {'x' * 400}" in lines
    assert f"  - {'y' * 400} ..." in lines


def test_a_problem_that_comes_back_after_it_was_over_is_notified_again() -> None:
    first, over, again = texts([NIGHTLY], [], [NIGHTLY])
    assert alerts(first) == alerts(again) == {"run:nightly"[0]: 1}
    assert over == "Music: over: run:nightly\nOver: run:nightly, open since 2026-10-04"


def test_secrets_are_kept_from_a_message_wherever_they_stand_in_what_was_raised() -> None:
    details = (
        "GET http://user:pa55word@10.0.0.1:8000/users?page=2 failed: 503",
        "postgresql://robot:s3cret@db/dagster, and mailto://a:T0ken@smtp.example.org",
        "ada.lovelace+music@example.org was rejected",
        "x" * 395 + " robot:s3cret@example.org",
    )
    (text,) = texts([incident("run:ingest", details=details)])
    assert not any(secret in text for secret in ("pa55word", "s3cret", "T0ken", "lovelace", "robot"))
    assert "10.0.0.1:8000/users?page=2 failed: 503" in text
