"""Judgements of a source as a whole: is it empty, has it lost its dates, was it regenerated, has the day ended?

Pure functions from counts, times and settings to a verdict in plain words. The counting is in `appraisal.py` and
`known_records.py`; single records are judged by the warehouse's cleaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from foundation.errors import Explained
from moovitamix_assets.settings import Settings

Verdict = Literal["plausible", "noticeable", "blocking", "implausible"]
_VERDICTS: tuple[Verdict, ...] = ("plausible", "noticeable", "blocking", "implausible")

_NOT_LANDED = "Nothing was landed."
_NOT_LOADED = "The tables are not loaded from it."


class ImplausibleSource(Explained):
    """A source whose answers must not be landed; the message names endpoint, figures, setting and remedy."""


class DayNotEnded(Explained):
    """A partition whose day has not ended, by the source's clock or the machine's; the message names both."""


@dataclass(frozen=True)
class Judgement:
    """One judgement of one endpoint.

    Attributes:
        verdict: `noticeable` warns, `blocking` keeps the tables from being loaded, `implausible` landing too.
        finding: The finding, with the remedy if there is one.
        checked: The number of records checked.
        wrong: Those of them that are undated, gone or unknown.
    """

    verdict: Verdict
    finding: str
    checked: int
    wrong: int

    @property
    def stops(self) -> bool:
        """Return whether the tables must not be loaded."""
        return self.verdict in ("blocking", "implausible")


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """The worst of some judgements, the first of equals.

    Raises:
        ValueError: If there are none.
    """
    return max(judgements, key=lambda judgement: _VERDICTS.index(judgement.verdict))


def judge_number(endpoint: str, received: int, settings: Settings) -> Judgement:
    """Judge an endpoint by whether it holds any records."""
    if received or settings.plausibility.accept_empty_endpoints:
        return Judgement("plausible", f"{received} records of {endpoint}.", received, 0)
    return Judgement(
        "implausible",
        f"{endpoint}: the source holds no record at all (0 received). {_NOT_LANDED} These days would be closed with "
        "nothing in them. Check that the source is healthy and that MOOVITAMIX_API_URL is the right one, then run "
        "again; MOOVITAMIX_ACCEPT_EMPTY_ENDPOINTS=true accepts an endpoint without records, as of a service that has "
        "just opened.",
        0,
        0,
    )


def judge_dates(endpoint: str, where: str, received: int, undated: int, settings: Settings) -> Judgement:
    """Judge an endpoint by the share of its records that have no readable time.

    Refused is a share of `undated_error_share` or more of at least `plausibility_minimum` records; the tables are not
    loaded from `undated_blocking_share` and `plausibility_minimum` undated records on.

    Args:
        endpoint: The endpoint.
        where: Where the records come from, such as "received" or "on its first page".
        received: Records checked.
        undated: Those without a readable time.
        settings: The shares.
    """
    share = undated / received if received else 0.0
    minimum = settings.plausibility.plausibility_minimum
    have = "have no readable created_at or updated_at"
    found = f"{endpoint}: {undated} of {received} records {where} {have} ({share:.1%})"
    remedy = "Have the source send ISO 8601 times, then run again; raise the setting if the records really have none."
    if received >= minimum and share >= settings.plausibility.undated_error_share:
        return Judgement(
            "implausible",
            f"{found}; refused from MOOVITAMIX_UNDATED_ERROR_SHARE = {settings.plausibility.undated_error_share:g} of "
            f"MOOVITAMIX_PLAUSIBILITY_MINIMUM = {minimum} records on. {_NOT_LANDED} {remedy}",
            received,
            undated,
        )
    if undated >= minimum and share >= settings.plausibility.undated_blocking_share:
        return Judgement(
            "blocking",
            f"{found}; not loaded from MOOVITAMIX_UNDATED_BLOCKING_SHARE = "
            f"{settings.plausibility.undated_blocking_share:g} and MOOVITAMIX_PLAUSIBILITY_MINIMUM = {minimum} "
            f"undated records on. {_NOT_LOADED} {remedy}",
            received,
            undated,
        )
    verdict: Verdict = (
        "noticeable" if undated and share >= settings.plausibility.undated_warn_share else "plausible"
    )
    return Judgement(verdict, f"{found}.", received, undated)


def judge_identities(
    endpoint: str, found: str, looked_for: int, missing: int, settings: Settings, minimum: int = 1
) -> Judgement:
    """Judge by known records whether the source was regenerated: then its ids are others.

    Args:
        endpoint: The endpoint.
        found: What `missing` of `looked_for` means, such as "known records are gone".
        looked_for: Records compared.
        missing: Those that were not found.
        settings: The shares.
        minimum: With fewer records compared, the source is plausible.
    """
    if looked_for < minimum:
        nothing = "Nothing to compare: a first load, or too few records that should be known."
        return Judgement("plausible", f"{endpoint}: {nothing}", looked_for, missing)
    share = missing / looked_for
    figures = f"{endpoint}: {missing} of {looked_for} {found} ({share:.0%})"
    remedy = (
        "A regenerated source must not be mixed with what was read before: read it into a new data folder "
        "(MOOVITAMIX_DATA_DIR), or delete the old one with `moovitamix reset`. Raise the setting if these records "
        "were really deleted, or check MOOVITAMIX_API_URL if it is another source."
    )
    if share >= settings.plausibility.vanished_error_share:
        return Judgement(
            "implausible",
            f"{figures}: the source was regenerated; refused from MOOVITAMIX_VANISHED_ERROR_SHARE = "
            f"{settings.plausibility.vanished_error_share:g} on. {_NOT_LANDED} {remedy}",
            looked_for,
            missing,
        )
    if share >= settings.plausibility.vanished_blocking_share:
        return Judgement(
            "blocking",
            f"{figures}: the source may have been regenerated; not loaded from MOOVITAMIX_VANISHED_BLOCKING_SHARE = "
            f"{settings.plausibility.vanished_blocking_share:g} on. {_NOT_LOADED} {remedy}",
            looked_for,
            missing,
        )
    return Judgement("plausible", f"{figures}.", looked_for, missing)


def refuse_unless_ended(
    day: date, machine_time: datetime, source_time: datetime | None, settings: Settings
) -> None:
    """Refuse a partition whose day has not ended.

    Args:
        day: The newest partition to be read.
        machine_time: Now by the clock that the deployment follows, naive UTC.
        source_time: Now by the source's own clock, naive UTC; None where it sends none.
        settings: `clock_tolerance_minutes`, by which the source's clock may be behind.

    Raises:
        DayNotEnded: If it has not ended by either clock.
    """
    end = datetime.combine(day + timedelta(days=1), time.min)
    tolerance = timedelta(minutes=settings.plausibility.clock_tolerance_minutes)
    if machine_time >= end and (source_time is None or source_time >= end - tolerance):
        return
    raise DayNotEnded(
        f"{day} has not ended: {both_clocks(machine_time, source_time)}. {_NOT_LANDED} A day is read after its end. "
        "Set the clock that is wrong, then run again; MOOVITAMIX_CLOCK_TOLERANCE_MINUTES = "
        f"{settings.plausibility.clock_tolerance_minutes:g} is how far the source's may be behind."
    )


def both_clocks(machine_time: datetime, source_time: datetime | None) -> str:
    """The two clocks, in words."""
    theirs = (
        "the source sends no time" if source_time is None else f"{source_time:%Y-%m-%d %H:%M} by the source's"
    )
    return f"it is {machine_time:%Y-%m-%d %H:%M} UTC by the machine's clock, {theirs}"


def clocks_differ(machine_time: datetime, source_time: datetime | None, settings: Settings) -> bool:
    """Return whether both clocks are known and further apart than the tolerance."""
    tolerance = timedelta(minutes=settings.plausibility.clock_tolerance_minutes)
    return source_time is not None and abs(machine_time - source_time) > tolerance
