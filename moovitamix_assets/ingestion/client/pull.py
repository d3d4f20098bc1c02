"""The client's results: the records of a window with the counts and cost of the pull, and the source's description.

Plain results only; source_api.py and paging.py produce them.
"""

from dataclasses import dataclass
from datetime import datetime

from moovitamix_assets.ingestion.client.errand import Traffic
from moovitamix_assets.ingestion.client.reading import Reading
from moovitamix_assets.ingestion.client.records import Endpoint, Identity, Record


@dataclass(frozen=True)
class PullStatistics:
    """The cost of a pull, over all its repetitions.

    Attributes:
        pages: Pages read.
        requests: Requests made.
        retries: Requests made again.
        retries_by_cause: The same by cause, such as `status_503`, `timeout`, `truncated` or `not_json`.
        pulls: Number of times that all pages were read.
        seconds: From the first request to the last answer.
        latency_p50_ms: Median time of an answer, milliseconds.
        latency_p95_ms: The time that 95 % of the answers did not exceed, milliseconds.
        total: Records that the accepted pull received, within the window or not.
        filtered_by_server: Whether the server was sent a filter.
    """

    pages: int
    requests: int
    retries: int
    retries_by_cause: dict[str, int]
    pulls: int
    seconds: float
    latency_p50_ms: float
    latency_p95_ms: float
    total: int
    filtered_by_server: bool


@dataclass(frozen=True)
class Pull:
    """The records of a window: received = records + later + earlier + undated_left_out.

    Attributes:
        endpoint: The endpoint.
        records: Records whose change time lies in the window, in the server's order; without a lower bound
            also those that have no readable time.
        later: Records changed at or after the window's end, which wait for their day.
        earlier: Records changed before the window.
        undated_left_out: Records without a readable time, where the window has a lower bound.
        identities: Of all records received, to notice that the source was regenerated; None if the server
            was asked for a part only, with `updated_since`.
        observed_at: When the accepted reading began, naive UTC.
        statistics: Its cost.
        source_time: The source's own clock at the pull's last answer (its `Date` header), naive UTC; None
            where it sends none that can be read.
    """

    endpoint: Endpoint
    records: list[Record]
    later: int
    earlier: int
    undated_left_out: int
    identities: set[Identity] | None
    observed_at: datetime
    statistics: PullStatistics
    source_time: datetime | None = None


@dataclass(frozen=True)
class SourceDescription:
    """A source's description of itself.

    Attributes:
        url: Its address, without credentials.
        title: From its OpenAPI document; None without one.
        version: Likewise.
        totals: Records that each endpoint reports; None where it reports none.
        filtered: The endpoints that can be filtered by change time.
        source_time: Its own clock (the `Date` header of its newest answer), naive UTC; None where it sends
            none that can be read.
    """

    url: str
    title: str | None
    version: str | None
    totals: dict[Endpoint, int | None]
    filtered: tuple[Endpoint, ...]
    source_time: datetime | None = None


def statistics_of(
    traffic: Traffic, reading: Reading, pages: int, pulls: int, seconds: float, filtered: bool
) -> PullStatistics:
    """Sum up the cost of `pulls` readings of `pages` pages, the last of which was accepted."""
    return PullStatistics(
        pages=pages,
        requests=traffic.requests,
        retries=traffic.retries_by_cause.total(),
        retries_by_cause=dict(traffic.retries_by_cause),
        pulls=pulls,
        seconds=round(seconds, 3),
        latency_p50_ms=traffic.latency_milliseconds(0.50),
        latency_p95_ms=traffic.latency_milliseconds(0.95),
        total=reading.received,
        filtered_by_server=filtered,
    )


def pull_of(
    endpoint: Endpoint,
    reading: Reading,
    statistics: PullStatistics,
    part_only: bool,
    source_time: datetime | None,
) -> Pull:
    """The result of an accepted reading; `part_only` if the server left out records that changed earlier."""
    return Pull(
        endpoint=endpoint,
        records=reading.records,
        later=reading.later,
        earlier=reading.earlier,
        undated_left_out=reading.undated_left_out,
        identities=None if part_only else reading.identities,
        observed_at=reading.observed_at,
        statistics=statistics,
        source_time=source_time,
    )


@dataclass(frozen=True)
class Sample:
    """The first page of an endpoint, unfiltered.

    Attributes:
        endpoint: The endpoint.
        received: Its records.
        records: The same, whenever they changed.
        source_time: The source's own clock, naive UTC; None where it sends none that can be read.
    """

    endpoint: Endpoint
    received: int
    records: list[Record]
    source_time: datetime | None = None
