"""Logs for collectors: one JSON object a line.

Only the logs of runs; `dagster dev --log-format json` does the same for the daemon and the web server.
See https://docs.dagster.io/guides/log-debug/logging/custom-logging.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from dagster import (
    DagsterEvent,
    DagsterInstance,
    Field,
    InitLoggerContext,
    LoggerDefinition,
    default_system_loggers,
    logger,
)

from foundation.dagster_internals import context_creation_job
from foundation.run_tags import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; unknown fields are left out."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        known: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        tags: Mapping[str, str] = known.get("job_tags") or {}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": known.get("orig_message") or record.getMessage(),
            "run_id": known.get("run_id"),
            "job": known.get("job_name"),
            "step": known.get("step_key"),
            "partition": tags.get(PARTITION_TAG),
            "first_partition": tags.get(RANGE_START_TAG),
            "last_partition": tags.get(RANGE_END_TAG),
            "exception": self._exception(record, known.get("dagster_event")),
        }
        return json.dumps({name: value for name, value in line.items() if value is not None})

    def _exception(self, record: logging.LogRecord, event: DagsterEvent | None) -> str | None:
        if record.exc_info:
            return self.formatException(record.exc_info)
        error = getattr(event.event_specific_data, "error", None) if event else None
        return str(error.to_string()) if error else None


@logger(
    {
        "log_level": Field(str, default_value="DEBUG", description="The logger's threshold."),
        "name": Field(str, default_value="dagster", description="The logger's name."),
    },
    description="One JSON object a line, to standard error.",
)
def json_console_logger(context: InitLoggerContext) -> logging.Logger:
    """A console logger with the configuration of Dagster's own."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    console = logging.Logger(context.logger_config["name"], context.logger_config["log_level"].upper())
    console.addHandler(handler)
    return console


def console_loggers(log_format: Literal["text", "json"]) -> dict[str, LoggerDefinition]:
    """The loggers of all jobs; none for text, which is Dagster's default.

    Dagster uses these only for runs whose configuration names them, and its own colored one for all others: those of
    schedules, sensors and the UI. So that one is replaced in this process as well.
    """
    as_json = log_format == "json"
    chosen = _json_by_default if as_json else default_system_loggers
    context_creation_job.default_system_loggers = chosen  # type: ignore[attr-defined]
    return {"console": json_console_logger} if as_json else {}


def _json_by_default(
    instance: DagsterInstance | None,
) -> Sequence[tuple[LoggerDefinition, Mapping[str, object]]]:
    return [(json_console_logger, config) for _, config in default_system_loggers(instance)]
