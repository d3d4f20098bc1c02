"""The content of the table `promotions`, as records: the standing of the versions as of a day, and a decision taken.

Types, and the fold from decisions to a standing; they are read and written by `promotions.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

CandidateOutcome = Literal["promoted", "rejected", "shadow", "rolled_back"]
Verdict = Literal[CandidateOutcome, "fallback"]

_RECOVERY_DAYS = 30

POPULARITY = "popularity"
"""The version that stands for popular tracks, which serve where no model does."""


@dataclass(frozen=True)
class Champion:
    """The current champion as of a day.

    Attributes:
        model_version: Its version.
        as_of: The day its training set ends.
        active_since: The day from which it is the champion; its first recommendations are that day's.
        activated_by: Promoted, or returned to by a rollback.
        previous_version: The version it replaced when it was promoted; None if it was the first.
    """

    model_version: str
    as_of: date
    active_since: date
    activated_by: Literal["promoted", "rolled_back"]
    previous_version: str | None


@dataclass(frozen=True)
class Challenger:
    """The candidate in shadow: recommendations are computed with it and measured, but not served.

    Attributes:
        model_version: Its version.
        since: The day from which it is in shadow; its first recommendations are that day's.
    """

    model_version: str
    since: date


@dataclass(frozen=True)
class Fallback:
    """Popular tracks that serve instead of the champion.

    Attributes:
        since: The day from which they do; the first such recommendations are that day's.
        popularity_days: The days whose plays make tracks popular.
        worse_since: The first of the days on which the champion lost to popular tracks.
    """

    since: date
    popularity_days: int
    worse_since: date


@dataclass(frozen=True)
class RecordedDecision:
    """A decision as recorded.

    Attributes:
        model_version: The version decided about; for a rollback the one returned to.
        as_of: The day from which it holds.
        decision: The verdict.
        reason: One sentence.
        previous_version: The champion before; None if there was none.
    """

    model_version: str
    as_of: date
    decision: Verdict
    reason: str
    previous_version: str | None

    @property
    def kind(self) -> Verdict | Literal["returned"]:
        """The verdict; the champion's return after a fallback is recorded as another promotion of it."""
        returns = self.decision == "promoted" and self.model_version == self.previous_version
        return "returned" if returns else self.decision

    @property
    def sentence(self) -> str:
        """What was decided, without the reason."""
        version, previous = self.model_version, self.previous_version
        return {
            "promoted": f"{version} was promoted.",
            "returned": f"{version} serves again.",
            "rejected": f"{version} was rejected.",
            "shadow": f"{version} goes into shadow.",
            "fallback": f"Popular tracks serve instead of {previous}.",
            "rolled_back": f"{version} is the champion again, instead of {previous}.",
        }[self.kind]


@dataclass(frozen=True)
class Standing:
    """The versions that matter as of a day, and which of them serves.

    Attributes:
        champion: The version of the best model known, serving or not; None before the first promotion.
        challenger: The candidate in shadow.
        fallback: Set while popular tracks serve instead of the champion.
        last_fallback: The same after it has ended; None if there never was one.
        serving_since: The day from which the version that serves does; None before the first promotion.
    """

    champion: str | None = None
    challenger: Challenger | None = None
    fallback: Fallback | None = None
    last_fallback: Fallback | None = None
    serving_since: date | None = None

    @property
    def serving(self) -> str:
        """The version whose recommendations users get."""
        return POPULARITY if self.champion is None or self.fallback else self.champion

    @property
    def shadows(self) -> tuple[str, ...]:
        """The versions whose recommendations are computed and measured but not served."""
        sidelined = [self.champion] if self.champion and self.fallback else []
        return (*sidelined, *([self.challenger.model_version] if self.challenger else []))

    def recovers(self, day: date) -> bool:
        """Return whether popular tracks won so lately that candidates learn much from each further day."""
        last = self.last_fallback
        return last is not None and (day - last.worse_since).days < _RECOVERY_DAYS

    def after(self, decision: RecordedDecision, fallback: Fallback | None = None) -> "Standing":
        """The standing once a decision holds; `fallback` describes one that begins."""
        match decision.decision:
            case "promoted" | "rolled_back":
                return self._with_champion(decision.model_version, decision.as_of)
            case "shadow":
                return replace(self, challenger=Challenger(decision.model_version, decision.as_of))
            case "fallback":
                return replace(self, fallback=fallback, last_fallback=fallback, serving_since=decision.as_of)
            case "rejected" if self._challenger_version == decision.model_version:
                return replace(self, challenger=None)
        return self

    @property
    def _challenger_version(self) -> str | None:
        return self.challenger.model_version if self.challenger else None

    def _with_champion(self, model_version: str, as_of: date) -> "Standing":
        won = self._challenger_version == model_version
        return replace(
            self,
            champion=model_version,
            challenger=None if won else self.challenger,
            fallback=None,
            serving_since=as_of,
        )


def standing_after(decisions: Iterable[tuple[RecordedDecision, Fallback | None]]) -> Standing:
    """The standing after some decisions, in the order in which they hold."""
    standing = Standing()
    for decision, fallback in decisions:
        standing = standing.after(decision, fallback)
    return standing
