"""The metrics of the exporter: their names, what they mean, and the samples of one scrape.

Every metric is a gauge read from records that can be pruned, so none may claim to be a counter. Beside each value
that can freeze stands a timestamp, for a rule to compare with the time. Where values come from is in `run_gauges.py`
and `asset_gauges.py`. Labels have few values: jobs, assets and checks of the definitions, never a run or a person.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

PREFIX = "moovitamix_"

# `job` is the label that Prometheus gives to what it scrapes: a Dagster job is a `job_name`.
_JOB = ("job_name",)
_ASSET = ("asset",)
_ENDPOINT = ("endpoint",)
_CHECK = ("asset", "check", "severity", "blocking")

_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    # Runs
    "runs": ("Runs in Dagster's storage, by job and status.", ("job_name", "status")),
    "job_last_start_timestamp_seconds": ("When the newest run of the job began.", _JOB),
    "job_last_success_timestamp_seconds": ("When the newest run that succeeded ended.", _JOB),
    "job_last_success_seconds": ("How long the newest run that succeeded took.", _JOB),
    "job_last_failure_timestamp_seconds": ("When the newest run that failed ended.", _JOB),
    "job_last_end_timestamp_seconds": ("When the newest run that ended in any way did.", _JOB),
    "job_last_end_seconds": ("How long that newest ended run took.", _JOB),
    "run_queued_since_timestamp_seconds": ("When the longest waiting of the queued runs was made.", _JOB),
    "run_under_way_since_timestamp_seconds": ("When the longest of the runs under way began.", _JOB),
    "run_process_gone": ("Runs under way whose process no longer exists on this machine.", _JOB),
    "run_memory_bytes": ("Resident memory of the processes of runs under way, children included.", _JOB),
    "run_cpu_seconds": ("Processor time those processes have spent so far.", _JOB),
    # Assets
    "asset_materialized_timestamp_seconds": ("When the asset was last materialized, whatever partition.", _ASSET),
    "asset_newest_partition_end_timestamp_seconds": ("The end of the newest day ever materialized.", _ASSET),
    "asset_step_seconds": ("How long the step took that last materialized the asset.", _ASSET),
    "asset_rows": ("Rows of the partition that was last materialized.", _ASSET),
    # The source, as told by the last materialization of a raw_* asset
    "source_read_timestamp_seconds": ("When the endpoint was last read to its end.", _ENDPOINT),
    "source_latency_p50_seconds": ("Median latency of a request in that pull.", _ENDPOINT),
    "source_latency_p95_seconds": ("95th percentile of the latency.", _ENDPOINT),
    "source_requests": ("Requests of that pull.", _ENDPOINT),
    "source_retries": ("Requests of that pull that had to be made again.", _ENDPOINT),
    "source_retries_by_cause": ("The same, by cause.", ("endpoint", "cause")),
    # Checks
    "check_failed": ("1 if the newest evaluation of the check did not pass, else 0.", _CHECK),
    "check_evaluated_timestamp_seconds": ("When that evaluation was made.", _CHECK),
    # What all of it stands on
    "daemon_heartbeat_timestamp_seconds": ("The newest sign of life of each of Dagster's daemons.", ("daemon",)),
    "disk_free_bytes": ("Free space where the data and where Dagster's records are.", ("place",)),
    # The exporter itself
    "dagster_storage_readable": ("1 if Dagster's records could be read; 0: all above is as last read.", ()),
    "exporter_last_read_timestamp_seconds": ("When they were last read.", ()),
    "exporter_read_seconds": ("How long the last attempt took.", ()),
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
        """Add a sample; none where the value is not known.

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
        """Every metric, those without a sample too: a name never vanishes."""
        yield from self._families.values()
