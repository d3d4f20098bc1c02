"""Why a run failed, in the words of what was raised, read from its events.

What is made of it is for commands and alerts to say.
"""

from collections.abc import Iterable

from dagster import AssetCheckEvaluation, AssetCheckSeverity, DagsterEvent, DagsterEventType
from dagster_shared.error import SerializableErrorInfo

EVENTS_OF_FAILURE = {DagsterEventType.STEP_FAILURE, DagsterEventType.ASSET_CHECK_EVALUATION}


def what_failed(events: Iterable[DagsterEvent]) -> list[str]:
    """What each failed step raised, then each blocking check that did not pass."""
    raised, blocked = [], []
    for event in events:
        if event.event_type is DagsterEventType.STEP_FAILURE:
            raised.append(f"{event.step_key}: {what_was_raised(event.step_failure_data.error)}")
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            blocked += _what_blocked(event.asset_check_evaluation_data)
    return [*raised, *blocked]


def what_was_raised(error: SerializableErrorInfo | None) -> str:
    """The message of what a step raised: below Dagster's wrapping, above what it was caused by in its turn."""
    while error is not None and error.cause is not None and str(error.cls_name).startswith("Dagster"):
        error = error.cause
    if error is None:
        return "failed"
    message = error.message.strip()
    return message.partition(f"{error.cls_name}: ")[2] or message


def _what_blocked(evaluation: AssetCheckEvaluation) -> list[str]:
    if evaluation.passed or not evaluation.blocking or evaluation.severity is not AssetCheckSeverity.ERROR:
        return []
    return [f"{evaluation.asset_key.path[-1]}/{evaluation.check_name}: {evaluation.description}"]
