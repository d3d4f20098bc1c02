"""Why a run failed, in the words of what was raised, read from its events.

What is made of it is for commands and alerts to say.
"""

from collections.abc import Iterable

from dagster import AssetCheckEvaluation, AssetCheckSeverity, DagsterEvent, DagsterEventType
from dagster_shared.error import SerializableErrorInfo

EVENTS_OF_FAILURE = {
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.RUN_FAILURE,
}
# Says only that a check did not pass; what it found is in its evaluation.
_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
_STOPPED_BY_CHECK = "DagsterAssetCheckFailedError"


def what_failed(events: Iterable[DagsterEvent]) -> list[str]:
    """What each failed step raised, then each blocking check that did not pass; else how the run ended."""
    raised, blocked, ended = [], [], []
    for event in events:
        if event.event_type is DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            if error is None or error.cls_name != _STOPPED_BY_CHECK:
                raised.append(f"{event.step_key}: {what_was_raised(error)}")
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            blocked += _what_blocked(event.asset_check_evaluation_data)
        elif event.event_type is DagsterEventType.RUN_FAILURE:
            # A run that was marked failed from outside has a message only.
            error = event.job_failure_data.error if event.event_specific_data else None
            ended.append(what_was_raised(error) if error else str(event.message))
    return [*raised, *blocked] or ended


def died(events: Iterable[DagsterEvent]) -> bool:
    """Whether a failed run was ended from outside (killed, interrupted, never begun) and by nothing that it met.

    Args:
        events: Of the run, at least those of `EVENTS_OF_FAILURE`.
    """
    errors: list[SerializableErrorInfo | None] = []
    for event in events:
        if event.event_type is DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            if error is None:
                return False
            errors.append(error)
        elif event.event_type is DagsterEventType.RUN_FAILURE and event.event_specific_data:
            errors.append(event.job_failure_data.error)
    return all(error is None or error.cls_name in _INTERRUPTIONS for error in errors)


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
