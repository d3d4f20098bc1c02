"""The causes of a failed run, read from its events: the messages of what its steps raised.

Commands and alerts decide what to do with them.
"""

from collections.abc import Iterable

from dagster import AssetCheckEvaluation, AssetCheckSeverity, DagsterEvent, DagsterEventType

from foundation.dagster_internals import SerializableErrorInfo

FAILURE_EVENTS = {
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.RUN_FAILURE,
}
_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
# Says only that a check did not pass; its finding is in the evaluation.
_STOPPED_BY_CHECK = "DagsterAssetCheckFailedError"


def failure_causes(events: Iterable[DagsterEvent]) -> list[str]:
    """The error of each failed step, then each blocking check that did not pass; else how the run ended.

    A cause that several steps share is given once, with all of them.
    """
    raised: dict[str, list[str]] = {}
    blocked, ended = [], []
    for event in events:
        if event.event_type is DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            if error is None or error.cls_name != _STOPPED_BY_CHECK:
                raised.setdefault(raised_message(error), []).append(str(event.step_key))
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            blocked += _what_blocked(event.asset_check_evaluation_data)
        elif event.event_type is DagsterEventType.RUN_FAILURE:
            # A run that was marked failed from outside has a message only.
            error = event.job_failure_data.error if event.event_specific_data else None
            ended.append(raised_message(error) if error else str(event.message))
    by_step = [f"{', '.join(dict.fromkeys(steps))}: {message}" for message, steps in raised.items()]
    return [*by_step, *blocked] or ended


def ended_from_outside(events: Iterable[DagsterEvent]) -> bool:
    """Return whether a failed run was ended from outside (killed, interrupted), not by an error of its own.

    Args:
        events: Of the run, at least those of `FAILURE_EVENTS`.
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


def raised_message(error: SerializableErrorInfo | None) -> str:
    """The message of what a step raised: below Dagster's wrapping, above its own causes."""
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
