"""A service that decides for itself, day after day, with the registry's rules and nothing else around it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from foundation.models.decisions import Champion
from moovitamix_assets.automation.evidence import DayDrift, DayQuality, Evidence, Training
from moovitamix_assets.automation.retraining import RetrainingDecision, decide_retraining
from moovitamix_assets.automation.rollback import RollbackDecision, decide_rollback
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.unit.automation.served_days import day


@dataclass(frozen=True)
class Phase:
    """Some days of the world, and what becomes of a training that starts on one of them."""

    days: int
    ndcg: float
    drift: float
    users: int
    ask_share: float
    switched_on: bool
    outcome: Literal["promoted", "rejected", "failed"]
    days_under_way: int
    worth: float  # of a candidate that is promoted, as a multiple of what lists are worth in general


@dataclass(frozen=True)
class Decided:
    """What was known on a day, what was decided, and whether a training began: a rollback goes first."""

    evidence: Evidence
    settings: Settings
    retraining: RetrainingDecision
    rollback: RollbackDecision
    begun: bool


@dataclass
class ServedWorld:
    """Serves, measures, decides, and does what was decided."""

    settings: Settings
    random: random.Random
    champion: Champion | None = None
    worth: dict[str, float] = field(default_factory=dict)
    replaced: dict[str, str | None] = field(default_factory=dict)
    quality: list[DayQuality] = field(default_factory=list)
    drift: list[DayDrift] = field(default_factory=list)
    trainings: dict[date, str] = field(default_factory=dict)
    due: dict[date, tuple[date, str, float]] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    requested_on: date | None = None

    def live(self, phases: list[Phase]) -> Iterator[Decided]:
        """Go through the phases, one day after another."""
        today = day(1)
        for phase in phases:
            settings = self.settings.changed(automatic_retraining=phase.switched_on)
            for _ in range(phase.days):
                yield self._day(today, phase, settings)
                today += timedelta(days=1)

    def _day(self, today: date, phase: Phase, settings: Settings) -> Decided:
        self._finish(today)
        self._measure(today, phase)
        if self.random.random() < phase.ask_share:
            self.requested_on = today
        known = self._known(today)
        retraining, rollback = (
            decide_retraining(known, settings.retraining, settings.monitoring),
            decide_rollback(known, settings.retraining, settings.monitoring),
        )
        if rollback.roll_back:
            self._roll_back(today, str(rollback.to))
        elif retraining.retrain:
            ends = today + timedelta(days=phase.days_under_way)
            self.trainings[today] = "under_way"
            self.due[ends] = (today, phase.outcome, phase.worth)
            if ends == today:
                self._finish(today)
        return Decided(known, settings, retraining, rollback, begun=today in self.trainings)

    def _measure(self, today: date, phase: Phase) -> None:
        drift = phase.drift * self.random.uniform(0.9, 1.1)
        self.drift.append(DayDrift(today, "listen_hour", drift, 0.15, drift > 0.15))
        if self.champion:
            version = self.champion.model_version
            self.listed.add(version)
            ndcg = phase.ndcg * self.worth[version] * self.random.uniform(0.9, 1.1)
            self.quality.append(DayQuality(today, version, phase.users, ndcg, 0.03))

    def _known(self, today: date) -> Evidence:
        return Evidence(
            day=today,
            champion=self.champion,
            quality=tuple(self.quality),
            drift=tuple(self.drift),
            trainings=tuple(Training(past, self.trainings[past]) for past in sorted(self.trainings)),
            requested_on=self.requested_on,
            recommending_versions=frozenset(self.listed),
        )

    def _finish(self, today: date) -> None:
        if today not in self.due:
            return
        as_of, outcome, worth = self.due.pop(today)
        self.trainings[as_of] = outcome
        if outcome == "promoted":
            version = f"{as_of}-00000000"
            previous = self.champion.model_version if self.champion else None
            self.worth[version], self.replaced[version] = worth, previous
            self.champion = Champion(version, as_of, as_of, "promoted", previous)

    def _roll_back(self, today: date, to: str) -> None:
        self.trainings[self.champion.as_of] = "rolled_back"
        as_of = date.fromisoformat(to[:10])
        self.champion = Champion(to, as_of, today, "rolled_back", self.replaced[to])
