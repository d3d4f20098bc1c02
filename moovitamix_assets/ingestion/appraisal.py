"""Appraisal of the source: counts of a pull and of the source's first page, and their judgements.

Counting only; verdicts are in `plausibility.py`, landing files are read in `known_records.py`.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

from foundation.landing.known_records import newest_keys
from moovitamix_assets.ingestion.client.pull import Pull, Sample
from moovitamix_assets.ingestion.client.records import Endpoint, Record
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets.ingestion.known_records import count_unknown
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.ingestion.plausibility import (
    ImplausibleSource,
    Judgement,
    judge_dates,
    judge_identities,
    judge_number,
    worst,
)
from moovitamix_assets.partitions import partition_of
from moovitamix_assets.settings import Settings

_KNOWN_SAMPLE = 1000


@dataclass(frozen=True)
class Appraisal:
    """The judgements of one endpoint, none of them implausible.

    Attributes:
        dates: Whether it has its dates.
        identities: Whether it is the source that was read before.
    """

    dates: Judgement
    identities: Judgement


def appraise_pull(source_api: SourceApi, pull: Pull, days: Sequence[date], settings: Settings) -> Appraisal:
    """Judge a pull before it is landed; where the server filtered it, the source's first page too.

    Args:
        source_api: Asked once more, where the server filtered.
        pull: The pull.
        days: The partitions of the run, oldest first.
        settings: The shares, and where landing is.

    Raises:
        ImplausibleSource: If nothing of it may be landed.
        SourceError: If the first page could not be read.
    """
    whole_dates = _dates_of_pull(pull, settings)
    if not pull.statistics.filtered_by_server:
        number = judge_number(pull.endpoint, pull.statistics.total, settings)
        return _accepted(number, Appraisal(whole_dates, _identities_of_pull(pull, settings)))
    sample = source_api.probe(pull.endpoint)
    appraisal = appraise_sample(sample, days, settings)
    if days[0] != settings.start_date:
        # A part only: few records, and on a quiet day most of them may be undated.
        return appraisal
    # The first partition takes everything older: it cannot be empty where the first page shows such records.
    until = days[-1] + timedelta(days=1)
    older = sum(record.changed_at is None or record.changed_at.date() < until for record in sample.records)
    number = judge_number(pull.endpoint, pull.statistics.total or sample.received - older, settings)
    return _accepted(number, Appraisal(worst([whole_dates, appraisal.dates]), appraisal.identities))


def appraise_sample(sample: Sample, days: Collection[date], settings: Settings) -> Appraisal:
    """Judge the source by its first page.

    Args:
        sample: The page.
        days: The partitions that are being read, of which landing need not know all yet.
        settings: The shares, and where landing is.

    Raises:
        ImplausibleSource: If nothing of the source may be landed.
    """
    number = judge_number(sample.endpoint, sample.received, settings)
    undated = sum(record.changed_at is None for record in sample.records)
    dates = judge_dates(sample.endpoint, "on its first page", sample.received, undated, settings)
    # A run from the first partition on reads all that is known: the earlier readings of its days have to suffice.
    reads_all = settings.start_date in days
    by_day: dict[date, list[Record]] = defaultdict(list)
    for record in sample.records:
        day = partition_of(record.changed_at, settings.start_date)
        if record.changed_at is not None and (reads_all or day not in days):
            by_day[day].append(record)
    looked_for, unknown = count_unknown(landing_at(settings.landing_dir), sample.endpoint, by_day)
    identities = judge_identities(
        sample.endpoint,
        "records on its first page, of days read before, are unknown",
        looked_for,
        unknown,
        # Records that turn up late are new to their days: such a run lands them, and only a clear case is refused.
        settings.changed(vanished_blocking_share=settings.plausibility.vanished_error_share)
        if reads_all
        else settings,
        minimum=settings.plausibility.plausibility_minimum,
    )
    return _accepted(number, Appraisal(dates, identities))


def refuse_implausible(source_api: SourceApi, settings: Settings) -> None:
    """Check every endpoint's first page, one request each.

    Raises:
        ImplausibleSource: If the source could not be loaded as it is.
        SourceError: If it does not answer.
    """
    for endpoint in get_args(Endpoint):
        appraisal = appraise_sample(source_api.probe(endpoint), (), settings)
        for judgement in (appraisal.dates, appraisal.identities):
            if judgement.stops:
                raise ImplausibleSource(judgement.finding)


def _accepted(number: Judgement, appraisal: Appraisal) -> Appraisal:
    gravest = worst([number, appraisal.identities, appraisal.dates])
    if gravest.verdict == "implausible":
        raise ImplausibleSource(gravest.finding)
    return appraisal


def _dates_of_pull(pull: Pull, settings: Settings) -> Judgement:
    undated = sum(record.changed_at is None for record in pull.records) + pull.undated_left_out
    return judge_dates(pull.endpoint, "received", pull.statistics.total, undated, settings)


def _identities_of_pull(pull: Pull, settings: Settings) -> Judgement:
    known = newest_keys(landing_at(settings.landing_dir), pull.endpoint, _KNOWN_SAMPLE)
    vanished = known - (pull.identities or set())
    return judge_identities(pull.endpoint, "known records are gone", len(known), len(vanished), settings)
