"""The gate applied to a candidate of this product, and its decisions recorded in the warehouse.

The rule is `foundation/models/gate.py`, the table `foundation/models/promotions.py`; here they meet the settings,
the evaluations and the recommendations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from foundation.models import promotions, rollback
from foundation.models.decisions import Standing
from foundation.models.gate import Decision, Requirements, decide
from foundation.models.model_store import Candidate, ModelStore
from foundation.models.versions import trained_as_of
from foundation.statistics.paired_difference import NO_USERS_MEASURED, Difference, paired_difference
from foundation.warehouse.rows import insert
from moovitamix_assets.setting_groups import PromotionSettings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS

_NOTHING_DECIDED = Standing()
_REPLACED_AFTER = timedelta(days=2)


@dataclass(frozen=True)
class Judgement:
    """The decision about a candidate, with the differences it rests on by rival (popularity, champion)."""

    decision: Decision
    differences: Mapping[str, Difference]

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The differences as they are recorded."""
        return {rival: asdict(difference) for rival, difference in self.differences.items()}


@dataclass(frozen=True)
class GateOutcome:
    """The end of a candidate's way through the gate.

    Attributes:
        candidate: Its version.
        decision: The decision that holds.
        metrics: The differences from each rival.
        champion: The champion's version as of the day; None if there is none.
        serving: The version that serves.
        removed: Versions whose folders were removed, as no longer needed.
    """

    candidate: str
    decision: Decision
    metrics: Mapping[str, Mapping[str, float]]
    champion: str | None
    serving: str
    removed: Sequence[str]


def decide_about_candidate(
    warehouse_path: Path,
    models: ModelStore[Recommender],
    as_of: date,
    settings: PromotionSettings,
    *,
    seed: int,
    models_kept: int,
    served_days: int,
) -> GateOutcome:
    """Decide about the candidate of a day, record the decision, and remove the models it made obsolete.

    Models are removed after the commit: a transaction rolled back restores no folder.

    Args:
        warehouse_path: The warehouse.
        models: All models.
        as_of: The day.
        settings: The gate's metric and thresholds.
        seed: Of the resampling.
        models_kept: How many of the versions decided last are kept.
        served_days: Champions of that many days are kept too.

    Raises:
        NoCandidate: If no model was trained as of the day.
        ModelMissing: If its folder is gone.
        ModelDamaged: If a file of it is not the one that was written.
    """
    candidate = models.candidate(as_of)
    with write_warehouse(warehouse_path) as connection:
        before = promotions.standing(connection, as_of)
        judgement = judge(candidate, settings, seed, before)
        decision = record_decision(connection, candidate, as_of, judgement.decision, judgement.metrics)
        standing = promotions.standing(connection, as_of)
        obsolete = promotions.obsolete_versions(connection, kept=models_kept, served_days=served_days)
    removed = [version for version in obsolete if models.has(version)]
    models.remove(removed)
    return GateOutcome(
        candidate.model_version, decision, judgement.metrics, standing.champion, standing.serving, removed
    )


def judge(
    candidate: Candidate, settings: PromotionSettings, seed: int, standing: Standing = _NOTHING_DECIDED
) -> Judgement:
    """Decide about a candidate by its figures on the hold-out days.

    Args:
        candidate: The candidate.
        settings: The gate's metric and thresholds.
        seed: Of the resampling.
        standing: The versions as of its day, before the decision.
    """
    measured = candidate.of("candidate", settings.promotion_metric)
    differences: dict[str, Difference] = {}
    for rival in ("popularity", "champion"):
        figures = candidate.of(rival, settings.promotion_metric)
        if measured is not None and figures is not None:
            differences[rival] = paired_difference(measured, figures, seed)
    decision = decide(
        settings.promotion_metric,
        differences.get("popularity", NO_USERS_MEASURED),
        differences.get("champion"),
        Requirements(
            minimum_users=settings.promotion_minimum_users,
            minimum_ratio=settings.promotion_minimum_ratio,
            tolerance=settings.promotion_tolerance,
            shadow=settings.shadow_days > 0,
        ),
        "popular tracks serve since the champion lost to them" if standing.fallback else None,
    )
    as_of = trained_as_of(candidate.model_version)
    return Judgement(_one_in_shadow(decision, standing, as_of, settings.shadow_days), differences)


def _one_in_shadow(decision: Decision, standing: Standing, as_of: date, shadow_days: int) -> Decision:
    """One challenger at a time: another replaces it only after a change of tastes, at most every two days.

    One whose days are over, undecided as automatic changes are switched off, is replaced too.
    """
    challenger = standing.challenger
    if decision.decision != "shadow" or challenger is None:
        return decision
    undisturbed = _REPLACED_AFTER if standing.recovers(as_of) else timedelta(days=shadow_days)
    if as_of >= challenger.since + undisturbed:
        return decision
    return Decision(
        "rejected", f"{challenger.model_version} is in shadow since {challenger.since}. {decision.reason}"
    )


def record_decision(
    connection: duckdb.DuckDBPyConnection,
    candidate: Candidate,
    as_of: date,
    decision: Decision,
    metrics: Mapping[str, Any],
) -> Decision:
    """Store a candidate's evaluations and the decision about it; a version is decided about once.

    Returns:
        The decision that holds: the earlier one where this version was decided about before.
    """
    connection.execute("DELETE FROM model_evaluations WHERE model_version = ?", [candidate.model_version])
    insert(connection, MODEL_EVALUATIONS, candidate.evaluations)
    decided = promotions.decision_about(connection, candidate.model_version) is not None
    challenger = promotions.standing(connection, as_of).challenger
    # First, so that the last decision of a training is the one about its candidate.
    if challenger is not None and not decided and decision.decision in ("promoted", "shadow"):
        _withdraw(connection, challenger.model_version, candidate.model_version, as_of, decision)
    return promotions.record(connection, candidate.model_version, as_of, decision, metrics)


def _withdraw(
    connection: duckdb.DuckDBPyConnection, challenger: str, candidate: str, as_of: date, decision: Decision
) -> None:
    """Reject the version in shadow, which a newer one replaced."""
    replaced = (
        "was promoted" if decision.decision == "promoted" else "knows more days and replaces it in shadow"
    )
    promotions.insert_decision(
        connection,
        challenger,
        as_of,
        "rejected",
        f"{candidate} {replaced}.",
        {},
        promotions.champion_version(connection, as_of),
    )


def roll_back(
    connection: duckdb.DuckDBPyConnection, reason: str, only_if: str | None = None, to: str | None = None
) -> tuple[str, str] | None:
    """Make an earlier champion the champion again, from the newest day decided or recommended for.

    See `foundation.models.rollback` for the arguments, the result and errors.
    """
    newest = newest_recommended_day(connection)
    return rollback.roll_back(connection, reason, newest_served=newest, only_if=only_if, to=to)


def plan_rollback(
    connection: duckdb.DuckDBPyConnection, to: str | None = None
) -> rollback.PlannedRollback | None:
    """Find what `roll_back` would do; a connection for reading is enough.

    Raises:
        NothingToRollBack: If there is no champion, or none to return to.
    """
    return rollback.plan_rollback(connection, newest_served=newest_recommended_day(connection), to=to)
