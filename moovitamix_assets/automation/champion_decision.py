"""The decision about the champion on a day: who serves, roll back, retrain, or keep. A pure function of the evidence.

The decisions that it combines are in `serving_decision.py`, `rollback.py` and `retraining.py`; the requests for runs
that follow from it are in `retraining_runs.py`.
"""

from dataclasses import dataclass

from moovitamix_assets.automation.evidence import Evidence
from moovitamix_assets.automation.retraining import RetrainingDecision, decide_retraining
from moovitamix_assets.automation.rollback import RollbackDecision, decide_rollback
from moovitamix_assets.automation.serving_decision import Action, ServingDecision, decide_serving
from moovitamix_assets.settings import Settings

_ACTIONS: dict[Action, str] = {
    "promote": "Promote the challenger.",
    "reject": "Take the challenger out of shadow.",
    "fall_back": "Fall back to popular tracks.",
    "return": "Return to the champion.",
}


@dataclass(frozen=True)
class ChampionDecision:
    """The decisions about the champion; who serves goes first, then a rollback."""

    serving: ServingDecision
    rollback: RollbackDecision
    retraining: RetrainingDecision

    @property
    def summary(self) -> str:
        """The action and its reason, in one or two sentences."""
        if self.serving.action:
            return f"{_ACTIONS[self.serving.action]} {self.serving.reason}"
        if self.rollback.roll_back:
            return f"Roll back. {self.rollback.reason}"
        if self.retraining.retrain:
            return f"Retrain. {self.retraining.reason}"
        reasons = (self.retraining.reason, self.serving.reason, self.rollback.reason)
        return f"Nothing changes. {' '.join(reason for reason in reasons if reason)}"


def decide_about_champion(evidence: Evidence, settings: Settings) -> ChampionDecision:
    """Decide which version serves, whether the champion is rolled back, and whether a candidate is trained.

    Args:
        evidence: What is known.
        settings: The limits of all decisions, and what counts as bad quality.
    """
    promotion, retraining, monitoring = settings.promotion, settings.retraining, settings.monitoring
    return ChampionDecision(
        serving=decide_serving(evidence, promotion, retraining, monitoring),
        rollback=decide_rollback(evidence, retraining, monitoring),
        retraining=decide_retraining(evidence, retraining, monitoring),
    )
