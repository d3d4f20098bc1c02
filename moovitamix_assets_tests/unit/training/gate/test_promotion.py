from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import duckdb
import pandas as pd
import pytest

from foundation.models.decisions import Challenger, Fallback, Standing
from foundation.models.gate import Decision
from foundation.models.model_store import Candidate, ModelStore, Remedies
from foundation.models.promotions import champion_version, last_decision, standing
from foundation.statistics.paired_difference import paired_difference
from foundation.tables import empty_frame
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.gate import promotion
from moovitamix_assets.training.gate.promotion import (
    decide_about_candidate,
    judge,
    record_decision,
    roll_back,
)
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS


@pytest.fixture
def connection(tmp_path):
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        yield connection


def day(number: int) -> date:
    return date(2026, 9, number)


def decide_about(connection, version: str, as_of: date, verdict: str = "promoted") -> Decision:
    candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), pd.DataFrame())
    return record_decision(connection, candidate, as_of, Decision(verdict, "Why."), {"ndcg_at_10": 0.1})


def measured(**means: float) -> Candidate:
    """A candidate whose subjects all have the same figure for each of 100 users."""
    per_user = pd.concat(
        pd.DataFrame({"user_id": range(100), "subject": subject, "ndcg_at_10": mean})
        for subject, mean in means.items()
    )
    return Candidate("2026-09-10-00000000", empty_frame(MODEL_EVALUATIONS), per_user)


def test_a_candidate_is_judged_against_every_rival_measured():
    settings = Settings().promotion
    first = judge(measured(candidate=0.4, popularity=0.1), settings, seed=1)
    assert first.decision.decision == "promoted"
    assert set(first.metrics) == {"popularity"}
    worse = judge(measured(candidate=0.4, popularity=0.1, champion=0.5), settings, seed=1)
    assert worse.decision.decision == "rejected"
    assert worse.metrics["champion"]["users"] == 100
    candidate = measured(candidate=0.4, popularity=0.1)
    expected = paired_difference(
        candidate.of("candidate", "ndcg_at_10"), candidate.of("popularity", "ndcg_at_10"), 1
    )
    assert first.differences["popularity"] == expected


def test_without_users_measured_a_candidate_goes_into_shadow():
    empty = Candidate(
        "2026-09-10-00000000", empty_frame(MODEL_EVALUATIONS), measured(candidate=0.4).per_user[:0]
    )
    judgement = judge(empty, Settings().promotion, seed=1)
    assert judgement.decision.decision == "shadow"
    assert judgement.metrics == {}


def test_decisions_of_an_older_version_stay_in_their_order(tmp_path):
    path = tmp_path / "old.duckdb"
    with write_warehouse(path) as connection:
        for number, version in ((10, "a"), (12, "b"), (12, "c")):
            decide_about(connection, version, day(number))
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE promotions DROP COLUMN decision_number")
    with read_warehouse(path) as connection:
        assert champion_version(connection, day(12)) == "c"
    with write_warehouse(path) as connection:
        assert roll_back(connection, "worse") == ("b", "c")
        assert champion_version(connection, day(12)) == "b"


def test_a_rollback_takes_effect_on_the_newest_day_recommended(connection):
    decide_about(connection, "a", day(10))
    decide_about(connection, "b", day(12))
    connection.execute(
        """INSERT INTO recommendations VALUES
           (1, 1, 1, 1.0, 'model', 'b', '2026-09-20', '2026-09-21', '2026-09-23')"""
    )
    roll_back(connection, "why")
    assert champion_version(connection, day(19)) == "b"
    assert champion_version(connection, day(20)) == "a"


def test_obsolete_models_are_removed_after_the_commit_and_not_before(tmp_path, monkeypatch):
    """A decision that cannot be committed removes nothing; once it is, the folder of the obsolete version goes."""
    warehouse, settings = tmp_path / "warehouse.duckdb", Settings()
    models = ModelStore(tmp_path / "models", lambda folder: folder.name, Remedies("", "", "", ""))
    old, new = "2026-09-01-aaaaaaaa", "2026-09-10-00000000"
    for version in (old, new):
        candidate = replace(measured(candidate=0.4, popularity=0.1), model_version=version)
        models.write(candidate, lambda folder: (folder / "model").touch())
    with write_warehouse(warehouse) as connection:
        record_decision(connection, models.candidate(day(1)), day(1), Decision("rejected", "Worse."), {})

    def gate():
        return decide_about_candidate(
            warehouse, models, day(10), settings.promotion, seed=1, models_kept=1, served_days=1
        )

    @contextmanager
    def failing(path):
        with write_warehouse(path) as connection:
            yield connection
            raise OSError("disk full")

    monkeypatch.setattr(promotion, "write_warehouse", failing)
    with pytest.raises(OSError, match="disk full"):
        gate()
    assert models.versions() == [old, new]
    monkeypatch.undo()
    outcome = gate()
    assert (outcome.candidate, outcome.champion, outcome.removed) == (new, new, [old])
    assert models.versions() == [new]


NOTHING_CLEAR = {"candidate": 0.1, "popularity": 0.1}
CLEARLY_BETTER = {"candidate": 0.4, "popularity": 0.1}
FELL_BACK = Fallback(day(8), 30, day(7))


def in_shadow_since(number: int, **more) -> Standing:
    return Standing("a", Challenger("b", day(number)), serving_since=day(1), **more)


def test_where_popular_tracks_serve_a_clearly_better_candidate_must_prove_itself():
    during = Standing("a", None, FELL_BACK, FELL_BACK, day(8))
    judgement = judge(measured(**CLEARLY_BETTER), Settings().promotion, 1, during)
    assert judgement.decision.decision == "shadow"
    assert "popular tracks serve since the champion lost to them" in judgement.decision.reason
    alone = judge(measured(**CLEARLY_BETTER), Settings(shadow_days=0).promotion, 1, during)
    assert alone.decision.decision == "promoted"


def test_one_that_passes_the_gate_is_promoted_whatever_is_in_shadow():
    judgement = judge(measured(**CLEARLY_BETTER), Settings().promotion, 1, in_shadow_since(9))
    assert judgement.decision.decision == "promoted"


@pytest.mark.parametrize(
    ("since", "fell_back", "outcome"),
    [
        (9, False, "rejected"),
        (4, False, "rejected"),
        (3, False, "shadow"),  # its seven days are over
        (9, True, "rejected"),
        (8, True, "shadow"),
    ],
)
def test_one_is_in_shadow_at_a_time_and_soon_replaced_only_after_tastes_changed(since, fell_back, outcome):
    standing = in_shadow_since(since, last_fallback=FELL_BACK if fell_back else None)
    decision = judge(measured(**NOTHING_CLEAR), Settings().promotion, 1, standing).decision
    assert decision.decision == outcome
    if outcome == "rejected":
        assert decision.reason.startswith(f"b is in shadow since {day(since)}. Not clearly better")


def test_a_change_of_tastes_long_ago_lets_no_one_be_replaced():
    long_ago = Fallback(date(2026, 8, 1), 30, date(2026, 7, 31))
    decision = judge(
        measured(**NOTHING_CLEAR), Settings().promotion, 1, in_shadow_since(7, last_fallback=long_ago)
    ).decision
    assert decision.decision == "rejected"


@pytest.mark.parametrize(
    ("verdict", "challenger", "said"),
    [
        ("promoted", None, "c was promoted."),
        ("shadow", "c", "c knows more days and replaces it in shadow."),
        ("rejected", "b", None),
    ],
)
def test_one_in_shadow_is_withdrawn_by_the_candidate_that_replaces_it(connection, verdict, challenger, said):
    decide_about(connection, "a", day(1))
    decide_about(connection, "b", day(8), "shadow")
    for _ in range(2):  # trained again, nothing more is recorded
        decide_about(connection, "c", day(10), verdict)
    now = standing(connection, day(10)).challenger
    assert (now.model_version if now else None) == challenger
    of_b = connection.execute(
        "SELECT decision, reason FROM promotions WHERE model_version = 'b' ORDER BY decision_number"
    ).fetchall()
    assert of_b[1:] == ([("rejected", said)] if said else [])
    assert last_decision(connection, day(10)).model_version == "c"
