"""The sensors: missed days, retraining and rollback, freshness, alerts, the copy, housekeeping.

Each reads what is known and calls one function that decides; none computes. The keys of requested runs are made of
partition and evidence, so that nothing is started twice. See https://docs.dagster.io/guides/automate/sensors.
"""

import json
from datetime import timedelta
from typing import Any

from dagster import (
    AssetObservation,
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from foundation.counting import counted
from foundation.operations.alerts import Notified, compose, send
from foundation.operations.dead_runs import release_dead_runs
from foundation.operations.old_runs import remove_old_runs
from foundation.warehouse.copying import CopyNotWritten
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from moovitamix_assets.automation.champion_decision import decide_about_champion
from moovitamix_assets.automation.incidents import find_incidents
from moovitamix_assets.automation.jobs import (
    DECIDE_JOB,
    HOST_TAG,
    NIGHTLY_JOB,
    RECOMMEND_AND_MEASURE_JOB,
    RECOMMEND_JOB,
    ROLLBACK_JOB,
    TRAIN_JOB,
)
from moovitamix_assets.automation.nightly_runs import any_run_under_way, nightly_request, run_under_way
from moovitamix_assets.automation.retraining_runs import read_situation, requests_of
from moovitamix_assets.automation.training_records import requested_on
from moovitamix_assets.clock import due_day, now
from moovitamix_assets.operations.checks import check_freshness, freshness_evaluations
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import refresh_copy

_CHANGING_THE_CHAMPION = (
    NIGHTLY_JOB.name, TRAIN_JOB.name, DECIDE_JOB.name, ROLLBACK_JOB.name, RECOMMEND_JOB.name,
    RECOMMEND_AND_MEASURE_JOB.name,
)  # fmt: skip

# The schedule goes first; what it has not started by then was missed.
_SCHEDULE_GOES_FIRST = timedelta(minutes=10)

# A sensor's tick has a minute: what is left over is for the next.
_HOUSEKEEPING_SECONDS = 3600
_RUNS_REMOVED_AT_ONCE = 20


def build_sensors(settings: Settings) -> list[SensorDefinition]:
    """The sensors of one deployment, running unless a user stops them in the UI."""
    return [
        _catch_up(settings),
        _retraining(settings),
        _freshness(settings),
        _alerts(settings),
        _warehouse_copy(settings),
        _housekeeping(settings),
    ]


def _running(settings: Settings) -> dict[str, Any]:
    return {
        "minimum_interval_seconds": settings.schedule.sensor_seconds,
        "default_status": DefaultSensorStatus.RUNNING,
    }


def _catch_up(settings: Settings) -> SensorDefinition:
    @sensor(
        name="catch_up",
        job=NIGHTLY_JOB,
        description=(
            "Releases runs whose process died; starts one run for the days that were missed; repeats a nightly run "
            "that failed."
        ),
        **_running(settings),
    )
    def catch_up(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        release_dead_runs(context.instance, HOST_TAG)
        day = due_day(now(settings), settings.schedule, after=_SCHEDULE_GOES_FIRST)
        return nightly_request(context.instance, settings, day)

    return catch_up


def _retraining(settings: Settings) -> SensorDefinition:
    @sensor(
        name="retraining",
        jobs=[DECIDE_JOB, TRAIN_JOB, ROLLBACK_JOB, RECOMMEND_JOB],
        description=(
            "Decides once for each new day, on its evidence, which version serves, whether the champion is rolled back "
            "or a candidate is trained, and has the newest recommendations computed again by the versions that changed."
        ),
        **_running(settings),
    )
    def retraining(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        decided = json.loads(context.cursor or "{}")
        running = run_under_way(context.instance, _CHANGING_THE_CHAMPION)
        if running:
            requested = requested_on(context.instance)
            waits = requested is not None and decided.get("requested_on") != f"{requested}"
            return SkipReason(
                f"A run of {running[0]} is under way."
                + (f" The request as of {requested} is decided about once it has ended." if waits else "")
            )
        try:
            situation = read_situation(context.instance, settings)
        except (WarehouseMissing, WarehouseLocked) as error:
            return SkipReason(str(error))
        if situation is None:
            return SkipReason("There are no recommendations yet, so their quality is not known.")
        evidence, outdated = situation.evidence, list(situation.outdated)
        automatic = settings.retraining.automatic_retraining
        basis = f"{evidence.day}, requested on {evidence.requested_on}, automatic {automatic}"
        basis += f", {evidence.standing.serving} serves, in shadow {evidence.standing.shadows}"
        if evidence.nothing_to_learn:
            basis += f", {evidence.nothing_to_learn}"
        if decided.get("basis") == basis:
            return _requesting(outdated, f"Decided already: {decided['decision']}")
        decision = decide_about_champion(evidence, settings)
        return _requesting(
            requests_of(decision, outdated),
            decision.summary,
            cursor=json.dumps(
                {"basis": basis, "requested_on": f"{evidence.requested_on}", "decision": decision.summary}
            ),
            asset_events=[
                AssetObservation(
                    "champion_model", partition=f"{evidence.day}", metadata={"decision": decision.summary}
                )
            ],
        )

    return retraining


def _requesting(requests: list[RunRequest], otherwise: str, **result: Any) -> SensorResult:
    """A result with run requests, or with the reason why there are none."""
    return SensorResult(run_requests=requests, skip_reason=None if requests else otherwise, **result)


def _freshness(settings: Settings) -> SensorDefinition:
    @sensor(
        name="freshness",
        description="Checks whether the day that ended is there in time, and records the result when it changes.",
        **_running(settings),
    )
    def freshness(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        try:
            found = check_freshness(context.instance, settings, now(settings))
        except (WarehouseMissing, WarehouseLocked) as error:
            return SkipReason(str(error))
        summary = " ".join(f"{asset}: {freshness.finding}" for (asset, _), freshness in found.items())
        if context.cursor == summary:
            return SkipReason(summary)
        return SensorResult(
            skip_reason=summary, cursor=summary, asset_events=list(freshness_evaluations(found))
        )

    return freshness


def _alerts(settings: Settings) -> SensorDefinition:
    @sensor(
        name="alerts",
        description="Notifies operators, once, of everything that went wrong and what was done about it.",
        **_running(settings),
    )
    def alerts(context: SensorEvaluationContext) -> SensorResult:
        incidents = find_incidents(context.instance, settings, now(settings))
        message, notified = compose(
            incidents.found, Notified.from_json(context.cursor), "MooVitamix", incidents.was_checked
        )
        if message is not None:
            urls = settings.operations.alert_urls.get_secret_value()
            send(message, urls, "MOOVITAMIX_ALERT_URLS", context.log)
        summary = f"Open: {', '.join(notified.open) or 'nothing'}. {incidents.obstacle}".strip()
        return SensorResult(skip_reason=summary, cursor=notified.to_json())

    return alerts


def _warehouse_copy(settings: Settings) -> SensorDefinition:
    @sensor(
        name="warehouse_copy",
        description="Copies the warehouse for notebooks, once it has changed and no run is under way.",
        **_running(settings),
    )
    def warehouse_copy(context: SensorEvaluationContext) -> SkipReason:
        if not settings.warehouse.warehouse_copy:
            return SkipReason("MOOVITAMIX_WAREHOUSE_COPY is false.")
        if any_run_under_way(context.instance):
            # A run waits ten seconds for a reader, and then fails.
            return SkipReason("A run is under way.")
        try:
            copied = refresh_copy(settings.warehouse_path)
        except CopyNotWritten as error:
            context.log.warning(str(error))
            return SkipReason(str(error))
        return SkipReason("The warehouse was copied." if copied else "The copy is current.")

    return warehouse_copy


def _housekeeping(settings: Settings) -> SensorDefinition:
    kept_days = settings.operations.runs_kept_days

    @sensor(
        name="housekeeping",
        minimum_interval_seconds=_HOUSEKEEPING_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Removes Dagster's records of old runs; which partitions were materialized stays known.",
    )
    def housekeeping(context: SensorEvaluationContext) -> SkipReason:
        removed = remove_old_runs(context.instance, kept_days, _RUNS_REMOVED_AT_ONCE)
        return SkipReason(f"{counted(removed, 'run')} removed that ended more than {kept_days} days ago.")

    return housekeeping
