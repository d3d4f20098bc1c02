"""The sensors: missed days, retraining and rollback, freshness, alerts, housekeeping.

Each gathers what is known and asks a pure function; none computes. Runs are requested with keys made of partition
and evidence, so that nothing is started twice. See https://docs.dagster.io/guides/automate/sensors.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetObservation,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from foundation.operations.old_runs import remove_old_runs
from foundation.warehouse.errors import WarehouseLocked, WarehouseMissing
from moovitamix_assets.automation.evidence import read_evidence
from moovitamix_assets.automation.incidents import all_problems
from moovitamix_assets.automation.jobs import NIGHTLY_JOB, RECOMMEND_JOB, ROLLBACK_JOB, TRAIN_JOB
from moovitamix_assets.automation.nightly_runs import UNDER_WAY, night_requests
from moovitamix_assets.automation.retraining import decide_retraining
from moovitamix_assets.automation.retraining_runs import (
    asked_on,
    known_trainings,
    lists_to_remake,
    retraining_request,
    rollback_request,
)
from moovitamix_assets.automation.rollback import decide_rollback
from moovitamix_assets.clock import due_day, last_ended_day, now
from moovitamix_assets.operations.alerts import Told, compose, send
from moovitamix_assets.operations.checks import look_at_freshness
from moovitamix_assets.operations.dead_runs import release_dead_runs
from moovitamix_assets.operations.problems import run_problems
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse

# The schedule goes first; what it did not start by then was missed.
_SCHEDULE_GOES_FIRST = timedelta(minutes=10)

# A sensor has a minute for its look: what is left over is for the next.
_HOUSEKEEPING_SECONDS = 3600
_RUNS_REMOVED_AT_ONCE = 20


def build_sensors(settings: Settings) -> list[SensorDefinition]:
    """The sensors of one deployment, running unless somebody stops them in the UI."""
    return [
        _catch_up(settings),
        _retraining(settings),
        _freshness(settings),
        _alerts(settings),
        _housekeeping(settings),
    ]


def _catch_up(settings: Settings) -> SensorDefinition:
    @sensor(
        name="catch_up",
        job=NIGHTLY_JOB,
        minimum_interval_seconds=settings.schedule.sensor_seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Releases runs whose process died; fills the days that were missed, oldest first, in one run; tries a "
            "failed night again."
        ),
    )
    def catch_up(context: SensorEvaluationContext) -> Iterator[RunRequest | SkipReason]:
        release_dead_runs(context.instance)
        day = due_day(now(settings), settings, after=_SCHEDULE_GOES_FIRST)
        yield from night_requests(context.instance, settings, day)

    return catch_up


def _retraining(settings: Settings) -> SensorDefinition:
    @sensor(
        name="retraining",
        jobs=[TRAIN_JOB, ROLLBACK_JOB, RECOMMEND_JOB],
        minimum_interval_seconds=settings.schedule.sensor_seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Decides once for each new day, on its evidence, whether the champion is rolled back or a candidate is "
            "trained, and has the newest lists made again when another version has come into force."
        ),
    )
    def retraining(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        busy = [
            job
            for job in (NIGHTLY_JOB, TRAIN_JOB, ROLLBACK_JOB, RECOMMEND_JOB)
            if _under_way(context, job.name)
        ]
        if busy:
            return SkipReason(f"A run of {busy[0].name} is under way.")
        try:
            with read_warehouse(settings.warehouse_path) as connection:
                asked = asked_on(context.instance)
                until = last_ended_day(now(settings))
                evidence = read_evidence(connection, known_trainings(context.instance), asked, until)
                remake = list(lists_to_remake(connection, evidence.day)) if evidence else []
        except (WarehouseMissing, WarehouseLocked) as error:
            return SkipReason(str(error))
        if evidence is None:
            return SkipReason(
                "There are no recommendations yet, so nothing is known of what they were worth."
            )
        look = f"{evidence.day}, asked on {asked}, by itself {settings.retraining.automatic_retraining}"
        seen = json.loads(context.cursor or "{}")
        if seen.get("look") == look:
            return SensorResult(
                run_requests=remake, skip_reason=None if remake else f"Decided already: {seen['decision']}"
            )
        rollback = decide_rollback(evidence, settings)
        decision = decide_retraining(evidence, settings)
        if rollback.roll_back:
            requests, told = [rollback_request(rollback)], f"Roll back. {rollback.reason}"
        elif decision.retrain:
            requests, told = [retraining_request(decision), *remake], f"Retrain. {decision.reason}"
        else:
            requests, told = remake, f"Leave it. {decision.reason} {rollback.reason}"
        return SensorResult(
            run_requests=requests,
            skip_reason=None if requests else told,
            cursor=json.dumps({"look": look, "decision": told}),
            asset_events=[
                AssetObservation("champion_model", partition=f"{evidence.day}", metadata={"decision": told})
            ],
        )

    return retraining


def _freshness(settings: Settings) -> SensorDefinition:
    @sensor(
        name="freshness",
        minimum_interval_seconds=settings.schedule.sensor_seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks whether the day that ended was made in time, and puts down what it finds when it changes.",
    )
    def freshness(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        try:
            found = look_at_freshness(context.instance, settings, now(settings))
        except (WarehouseMissing, WarehouseLocked) as error:
            return SkipReason(str(error))
        told = " ".join(f"{asset}: {finding.finding}" for (asset, _), finding in found.items())
        if context.cursor == told:
            return SkipReason(told)
        return SensorResult(
            skip_reason=told,
            cursor=told,
            asset_events=[
                AssetCheckEvaluation(
                    asset_key=AssetKey(asset),
                    check_name=name,
                    passed=finding.fresh,
                    severity=AssetCheckSeverity.ERROR,
                    description=finding.finding,
                    metadata={"expected": finding.expected, "newest": finding.newest},
                )
                for (asset, name), finding in found.items()
            ],
        )

    return freshness


def _alerts(settings: Settings) -> SensorDefinition:
    @sensor(
        name="alerts",
        minimum_interval_seconds=settings.schedule.sensor_seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description="Tells people, once, of everything that went wrong and what was done about it.",
    )
    def alerts(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        before = Told.from_json(context.cursor)
        unseen: dict[str, str] = {}
        held = ""
        try:
            problems = all_problems(context.instance, settings, now(settings))
        except WarehouseLocked as error:
            # Whoever holds it for good makes runs fail: people are told of that, and all else stays as it was.
            held = f" {error}"
            problems = run_problems(context.instance, settings)
            unseen = {key: since for key, since in before.open.items() if not key.startswith("run:")}
        seen = {key: since for key, since in before.open.items() if key not in unseen}
        message, told = compose(problems, replace(before, open=seen))
        if message is not None:
            send(message, settings, context.log)
        told = replace(told, open=unseen | dict(told.open))
        open_now = ", ".join(told.open) or "nothing"
        return SensorResult(skip_reason=f"Open: {open_now}.{held}", cursor=told.to_json())

    return alerts


def _housekeeping(settings: Settings) -> SensorDefinition:
    @sensor(
        name="housekeeping",
        minimum_interval_seconds=_HOUSEKEEPING_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Removes Dagster's records of runs that ended long ago; which partitions were made stays known.",
    )
    def housekeeping(context: SensorEvaluationContext) -> SkipReason:
        removed = remove_old_runs(context.instance, settings.operations.runs_kept_days, _RUNS_REMOVED_AT_ONCE)
        return SkipReason(
            f"{removed} runs removed that ended more than {settings.operations.runs_kept_days} days ago."
        )

    return housekeeping


def _under_way(context: SensorEvaluationContext, job_name: str) -> bool:
    return bool(context.instance.get_runs(RunsFilter(job_name=job_name, statuses=UNDER_WAY), limit=1))
