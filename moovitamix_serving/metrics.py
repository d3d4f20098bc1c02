"""The metrics of the API for Prometheus: requests, their time, what was served, and the generation it is from.

Labels are routes, codes, arms and sources: never an id.
"""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from moovitamix_serving.generation.snapshot import Ranking
from moovitamix_serving.generation.watching import Served

_PREFIX = "moovitamix_serving"
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """Counts what one application serves, in a registry of its own."""

    def __init__(self, served: Served) -> None:
        """Count from zero."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            f"{_PREFIX}_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "Time from the request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._served = Counter(
            f"{_PREFIX}_recommendations",
            "Users or sessions answered, by arm, by how they were served, and whether it had expired; the share of "
            "cold starts is that of the source cold_start.",
            ["arm", "source", "stale"],
            registry=self._registry,
        )
        self._registry.register(_GenerationCollector(served))
        # Looking up labels takes a lock and a hash of them each time.
        self._by_route: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._by_source: dict[tuple[str, str, bool], Counter] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the pattern, such as /v1/recommendations/{user_id}."""
        found = self._by_route.get((route, status))
        if found is None:
            found = (self._requests.labels(route, str(status)), self._seconds.labels(route))
            self._by_route[route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def count_ranking(self, ranking: Ranking, arm: str) -> None:
        """Count a user or a session that was answered."""
        label = (arm, ranking.source, ranking.stale)
        counter = self._by_source.get(label)
        if counter is None:
            counter = self._served.labels(arm, ranking.source, str(ranking.stale).lower())
            self._by_source[label] = counter
        counter.inc()

    def text(self) -> bytes:
        """All of them in the format that Prometheus scrapes."""
        return generate_latest(self._registry)


class _GenerationCollector(Collector):
    """Reads the generation served when it is scraped."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def collect(self) -> Iterator[Metric]:
        snapshot, refused = self._served.snapshot, self._served.refused
        yield GaugeMetricFamily(
            f"{_PREFIX}_ready", "Whether there is a generation to serve.", value=int(snapshot is not None)
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_generation_refused",
            "1 while the current generation is damaged and an earlier one is served, or none.",
            value=int(refused is not None),
        )
        yield CounterMetricFamily(
            f"{_PREFIX}_refusals", "Generations refused, and refused again.", value=self._served.refusals
        )
        if snapshot is None:
            return
        now = time.time()
        yield GaugeMetricFamily(
            f"{_PREFIX}_generation_age_seconds",
            "Seconds since the end of the day for which the generation was made.",
            value=now - snapshot.generated_at,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_generation_expired",
            "1 once popular tracks are served because the recommendations expired.",
            value=int(now >= snapshot.expires_at),
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_users", "Users with recommendations.", value=snapshot.manifest.users
        )
