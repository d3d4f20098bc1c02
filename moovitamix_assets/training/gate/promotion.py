"""The gate applied to a candidate of this product, and its decisions recorded in the warehouse.

The rule is `foundation/models/gate.py`, the table `foundation/models/promotions.py`; here they meet the settings,
the evaluations and the recommendations.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import duckdb

from foundation.models import promotions
from foundation.models.gate import Decision, decide
from foundation.models.model_store import Candidate
from foundation.statistics.paired_difference import NO_USERS_MEASURED, Difference, paired_difference
from foundation.warehouse.rows import first_row, insert
from moovitamix_assets.setting_groups import PromotionSettings
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS


@dataclass(frozen=True)
class Judgement:
    """The decision about a candidate, with the differences it rests on by rival (popularity, champion)."""

    decision: Decision
    differences: Mapping[str, Difference]

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The differences as they are recorded."""
        return {rival: asdict(difference) for rival, difference in self.differences.items()}


def judge(candidate: Candidate, settings: PromotionSettings, seed: int) -> Judgement:
    """Decide about a candidate by its figures on the hold-out days."""
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
        minimum_users=settings.promotion_minimum_users,
        minimum_ratio=settings.promotion_minimum_ratio,
        tolerance=settings.promotion_tolerance,
    )
    return Judgement(decision, differences)


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
    return promotions.record(connection, candidate.model_version, as_of, decision, metrics)


def roll_back(
    connection: duckdb.DuckDBPyConnection, reason: str, only_if: str | None = None
) -> tuple[str, str] | None:
    """Make the previous champion the champion again, from the newest day decided or recommended for.

    See `promotions.roll_back` for the arguments, the result and errors.
    """
    row = first_row(connection, "SELECT max(generated_for) FROM recommendations")
    return promotions.roll_back(connection, reason, newest_served=row[0] if row else None, only_if=only_if)
