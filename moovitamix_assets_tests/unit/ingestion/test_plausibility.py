"""Judgements of a source as a whole: the edges of every share, every minimum and the tolerance between clocks."""

from datetime import date, datetime

import pytest

from moovitamix_assets.ingestion.plausibility import (
    DayNotEnded,
    Judgement,
    Verdict,
    clocks_differ,
    judge_dates,
    judge_identities,
    judge_number,
    refuse_unless_ended,
    worst,
)
from moovitamix_assets.settings import Settings

SETTINGS = Settings()
DAY = date(2026, 9, 3)
END = datetime(2026, 9, 4)


@pytest.mark.parametrize(
    ("received", "allowed", "verdict"),
    [(0, False, "implausible"), (0, True, "plausible"), (1, False, "plausible")],
)
def test_an_endpoint_must_hold_something(received: int, allowed: bool, verdict: Verdict) -> None:
    judgement = judge_number("users", received, Settings(accept_empty_endpoints=allowed))
    assert judgement.verdict == verdict
    assert judgement.stops == (verdict == "implausible")


@pytest.mark.parametrize(
    ("undated", "received", "verdict"),
    [
        (0, 0, "plausible"),
        (0, 1000, "plausible"),
        (9, 1000, "plausible"),
        (10, 1000, "noticeable"),
        (99, 1000, "noticeable"),
        (100, 1000, "blocking"),
        (499, 1000, "blocking"),
        (500, 1000, "implausible"),
        # Few records: a day's handful of undated ones says nothing of the source.
        (19, 19, "noticeable"),
        (10, 20, "implausible"),
        (9, 20, "noticeable"),
        (19, 50, "noticeable"),
        (20, 50, "blocking"),
    ],
)
def test_undated_records(undated: int, received: int, verdict: Verdict) -> None:
    assert judge_dates("users", "received", received, undated, SETTINGS).verdict == verdict


def test_a_refusal_names_endpoint_figures_setting_and_remedy() -> None:
    finding = judge_dates("users", "received", 200, 150, Settings(undated_error_share=0.7)).finding
    for words in ("users", "150 of 200", "75.0%", "MOOVITAMIX_UNDATED_ERROR_SHARE = 0.7", "run again"):
        assert words in finding
    finding = judge_identities("tracks", "known records are gone", 10, 9, SETTINGS).finding
    for words in (
        "tracks",
        "9 of 10",
        "MOOVITAMIX_VANISHED_ERROR_SHARE = 0.5",
        "MOOVITAMIX_DATA_DIR",
        "reset",
    ):
        assert words in finding


def test_a_share_above_one_is_never_reached() -> None:
    settings = Settings(undated_error_share=1.1, undated_blocking_share=1.1, vanished_error_share=1.1)
    assert judge_dates("users", "received", 100, 100, settings).verdict == "noticeable"
    assert judge_identities("users", "are gone", 100, 100, settings).verdict == "blocking"


@pytest.mark.parametrize(
    ("missing", "looked_for", "minimum", "verdict"),
    [
        (0, 0, 1, "plausible"),
        (199, 1000, 1, "plausible"),
        (200, 1000, 1, "blocking"),
        (499, 1000, 1, "blocking"),
        (500, 1000, 1, "implausible"),
        (19, 19, 20, "plausible"),
        (20, 20, 20, "implausible"),
        (3, 20, 20, "plausible"),
        (4, 20, 20, "blocking"),
    ],
)
def test_known_records_that_are_gone(missing: int, looked_for: int, minimum: int, verdict: Verdict) -> None:
    judgement = judge_identities("users", "are gone", looked_for, missing, SETTINGS, minimum)
    assert (judgement.verdict, judgement.checked, judgement.wrong) == (verdict, looked_for, missing)


def test_the_worst_judgement_counts() -> None:
    verdicts: tuple[Verdict, ...] = ("noticeable", "implausible", "plausible", "blocking")
    assert worst([Judgement(verdict, "", 0, 0) for verdict in verdicts]).verdict == "implausible"


@pytest.mark.parametrize(
    ("machine", "source", "ended"),
    [
        (END, None, True),
        (datetime(2026, 9, 3, 23, 59, 59), None, False),
        # The machine's own clock has no tolerance: it is the one that days are counted by.
        (datetime(2026, 9, 3, 23, 59, 59), END, False),
        (END, datetime(2026, 9, 3, 23, 50), True),
        (END, datetime(2026, 9, 3, 23, 49, 59), False),
        (datetime(2026, 10, 15), datetime(2026, 9, 3, 12), False),
        (END, datetime(2027, 1, 1), True),
    ],
)
def test_a_day_is_read_after_its_end_by_both_clocks(
    machine: datetime, source: datetime | None, ended: bool
) -> None:
    if ended:
        refuse_unless_ended(DAY, machine, source, SETTINGS)
        return
    with pytest.raises(DayNotEnded) as refused:
        refuse_unless_ended(DAY, machine, source, SETTINGS)
    assert f"{machine:%Y-%m-%d %H:%M} UTC by the machine's clock" in str(refused.value)
    assert "MOOVITAMIX_CLOCK_TOLERANCE_MINUTES = 10" in str(refused.value)


@pytest.mark.parametrize(
    ("source", "differ"),
    [
        (None, False),
        (datetime(2026, 9, 4, 0, 10), False),
        (datetime(2026, 9, 4, 0, 10, 1), True),
        (datetime(2026, 9, 3, 23, 49), True),
    ],
)
def test_clocks_differ_beyond_the_tolerance(source: datetime | None, differ: bool) -> None:
    assert clocks_differ(END, source, SETTINGS) == differ
