"""The metrics of the exporter: their names, what they mean, and the samples of one scrape.

Every metric is a gauge read from records that can be pruned, so none may claim to be a counter. Each value that can
freeze has a timestamp next to it, which rules compare with the current time. The values are read in `run_gauges.py` and
`asset_gauges.py`. Labels have few values: jobs, assets and checks of the definitions, never a run or a user.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

PREFIX = "moovitamix_"

# Prometheus uses the label `job` for its own targets: a Dagster job is a `job_name`.
_JOB = ("job_name",)
_ASSET = ("asset",)
_ENDPOINT = ("endpoint",)
_CHECK = ("asset", "check", "severity", "blocking")

_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    # Runs
    "runs": ("Runs in Dagster's storage, by job and status.", ("job_name", "status")),
    "job_last_start_timestamp_seconds": ("When the newest run of the job started.", _JOB),
    "job_last_success_timestamp_seconds": ("When the newest run that succeeded ended.", _JOB),
    "job_last_success_seconds": ("How long the newest run that succeeded took.", _JOB),
    "job_last_failure_timestamp_seconds": ("When the newest run that failed ended.", _JOB),
    "job_last_end_timestamp_seconds": ("When the newest run ended, whatever its outcome.", _JOB),
    "job_last_end_seconds": ("How long that run took.", _JOB),
    "run_queued_since_timestamp_seconds": ("When the oldest queued run was created.", _JOB),
    "run_under_way_since_timestamp_seconds": ("When the oldest run under way started.", _JOB),
    "run_process_gone": ("Runs under way whose process no longer exists on this machine.", _JOB),
    "run_memory_bytes": ("Resident memory of the processes of runs under way, children included.", _JOB),
    "run_cpu_seconds": ("Processor time of those processes so far.", _JOB),
    # Assets
    "asset_materialized_timestamp_seconds": ("When the asset was last materialized, in any partition.", _ASSET),
    "asset_newest_partition_end_timestamp_seconds": ("The end of the newest partition ever materialized.", _ASSET),
    "asset_step_seconds": ("Duration of the step that last materialized the asset.", _ASSET),
    "asset_rows": ("Rows of the last materialized partition.", _ASSET),
    # The versions, from the metadata of the last materialization of recommendations
    "fallback": ("1 while popular tracks serve instead of the champion, else 0.", ()),
    "challenger_in_shadow": ("1 while a challenger is measured in shadow, else 0.", ()),
    # The source, from the metadata of the last materialization of a raw_* asset
    "source_read_timestamp_seconds": ("When the endpoint was last read completely.", _ENDPOINT),
    "source_latency_p50_seconds": ("Median latency of a request in that pull.", _ENDPOINT),
    "source_latency_p95_seconds": ("95th percentile of the latency.", _ENDPOINT),
    "source_requests": ("Requests of that pull.", _ENDPOINT),
    "source_retries": ("Requests of that pull that were retried.", _ENDPOINT),
    "source_retries_by_cause": ("The same, by cause.", ("endpoint", "cause")),
    # Checks
    "check_failed": ("1 if the newest evaluation of the check did not pass, else 0.", _CHECK),
    "check_evaluated_timestamp_seconds": ("When that evaluation took place.", _CHECK),
    # The infrastructure
    "daemon_heartbeat_timestamp_seconds": ("The newest heartbeat of each of Dagster's daemons.", ("daemon",)),
    "disk_free_bytes": ("Free disk space for the data and for Dagster's records.", ("place",)),
    # The exporter itself
    "dagster_storage_readable": ("1 if Dagster's records could be read; 0 if all above is as last read.", ()),
    "exporter_last_read_timestamp_seconds": ("When they were last read.", ()),
    "exporter_read_seconds": ("Duration of the last attempt.", ()),
}  # fmt: skip


class Gauges:
    """The samples of one scrape."""

    def __init__(self) -> None:
        """Start without any sample."""
        self._families = {
            name: GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
            for name, (meaning, labels) in _GAUGES.items()
        }

    def add(self, name: str, value: float | None, *labels: str) -> None:
        """Add a sample; none if the value is unknown.

        Args:
            name: One of the metrics above, without the prefix.
            value: In base units: seconds, bytes.
            labels: The values of its labels, in their order.

        Raises:
            ValueError: If the metric has another number of labels.
        """
        expected = _GAUGES[name][1]
        if len(labels) != len(expected):
            raise ValueError(f"{name} has the labels {expected}, not {labels}.")
        if value is not None:
            self._families[name].add_metric(labels, value)

    def families(self) -> Iterator[GaugeMetricFamily]:
        """Every metric, including those without a sample: a name never vanishes."""
        yield from self._families.values()
