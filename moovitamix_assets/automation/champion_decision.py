"""The decision about the champion on a day: roll back, retrain, or keep. A pure function of the evidence.

The two decisions that it combines are in `rollback.py` and `retraining.py`; the requests for runs that follow from it
are in `retraining_runs.py`.
"""

from dataclasses import dataclass

from moovitamix_assets.automation.evidence import Evidence
from moovitamix_assets.automation.retraining import RetrainingDecision, decide_retraining
from moovitamix_assets.automation.rollback import RollbackDecision, decide_rollback
from moovitamix_assets.setting_groups import MonitoringSettings, RetrainingSettings


@dataclass(frozen=True)
class ChampionDecision:
    """Both decisions about the champion; a rollback goes first."""

    rollback: RollbackDecision
    retraining: RetrainingDecision

    @property
    def summary(self) -> str:
        """The action and its reason, in one or two sentences."""
        if self.rollback.roll_back:
            return f"Roll back. {self.rollback.reason}"
        if self.retraining.retrain:
            return f"Retrain. {self.retraining.reason}"
        return f"Keep it. {self.retraining.reason} {self.rollback.reason}"


def decide_about_champion(
    evidence: Evidence, retraining: RetrainingSettings, monitoring: MonitoringSettings
) -> ChampionDecision:
    """Decide whether the champion is rolled back, a candidate is trained, or nothing is done.

    Args:
        evidence: What is known.
        retraining: The limits of both decisions.
        monitoring: What counts as bad quality.
    """
    return ChampionDecision(
        rollback=decide_rollback(evidence, retraining, monitoring),
        retraining=decide_retraining(evidence, retraining, monitoring),
    )
