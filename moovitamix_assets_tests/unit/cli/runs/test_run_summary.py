"""What a run ends with: the figures of its days alone, and nobody's name."""

import io
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.models.promotions import fall_back
from foundation.warehouse.rows import insert
from moovitamix_assets.cli.runs.run_summary import print_summary
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import REJECTED_TABLES
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session, add_tracks, add_users

BEFORE, FIRST, LAST, AFTER = (date(2026, 9, number) for number in (1, 2, 3, 4))
VERSION = f"{LAST}-aaaaaaaa"
METRICS = ("ndcg_at_10", "recall_at_20", "precision_at_10", "map_at_10", "coverage")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        add_users(connection, BEFORE, 1, 2, first_name="Ada", last_name="Lovelace", email="ada@example.org")
        add_tracks(connection, BEFORE, 10, 11, 12, 13, 14, 15, name="Song", artist="Someone")
        add_session(connection, BEFORE, 1, [10])
        for number, day in enumerate((BEFORE, FIRST, LAST, AFTER)):
            add_loads(connection, day, tables=("users",), received=10**number, rejected=number)
            add_rejected(connection, day, "no id")
            add_rejected(connection, day, "email: ada@example.org")
    return settings


def add_rejected(connection, day: date, reason: str) -> None:
    row = {"record": "{}", "reasons": [reason], "changed_on": pd.Timestamp(day)}
    insert(
        connection, REJECTED_TABLES["users"], pd.DataFrame([row | {"loaded_at": pd.Timestamp("2026-10-01")}])
    )


def decide_about(settings: Settings, version: str, decision: str) -> None:
    rows = [
        (version, LAST, subject, segment, metric, value, 0.01, 40)
        for subject, value in (("candidate", 0.25), ("popularity", 0.125))
        for segment in ("all", "new_tracks")
        for metric in METRICS
    ]
    columns = ["model_version", "as_of", "subject", "segment", "metric", "value", "standard_error", "users"]
    evaluations = pd.DataFrame(rows, columns=columns)
    with write_warehouse(settings.warehouse_path) as connection:
        candidate = Candidate(version, evaluations.assign(as_of=pd.Timestamp(LAST)), pd.DataFrame())
        as_of = date.fromisoformat(version[:10])
        record_decision(connection, candidate, as_of, Decision(decision, "It proved better."), {})


def printed(settings: Settings, seconds: dict[str, float] | None = None) -> str:
    file = io.StringIO()
    print_summary(Console(file=file, width=140), settings, FIRST, LAST, seconds or {})
    text = file.getvalue()
    assert not any(personal in text for personal in ("Ada", "Lovelace", "ada@"))
    return " ".join(text.split())


def test_records_are_counted_over_the_days_of_the_run_with_both_ends(settings: Settings) -> None:
    text = printed(settings)
    assert "Records from 2026-09-02 to 2026-09-03" in text
    assert "│ users │ 2 │ 110 │ 0 │ 3 │" in text


def test_reasons_are_counted_without_what_they_quote(settings: Settings) -> None:
    text = printed(settings)
    assert "│ rejected_users │ no id │ 2 │" in text
    assert "│ rejected_users │ email │ 2 │" in text
    with write_warehouse(settings.warehouse_path) as connection:
        connection.execute("DELETE FROM rejected_users")
    assert "Rejected nothing" in printed(settings)


def test_the_newest_decision_up_to_the_last_day_is_shown_with_its_figures(settings: Settings) -> None:
    assert f"Model there is no decision as of {LAST} or before Seconds" in printed(settings, {"checks": 1.0})
    decide_about(settings, f"{FIRST}-bbbbbbbb", "rejected")
    decide_about(settings, VERSION, "promoted")
    decide_about(settings, f"{AFTER}-cccccccc", "rejected")
    text = printed(settings)
    assert f"Model {VERSION} was promoted. It proved better." in text
    assert "│ all (40) │ " + " │ ".join(["0.2500 / 0.1250"] * 5) in text
    assert "new_tracks" not in text


def test_the_version_that_serves_is_named_where_the_last_decision_is_about_another(
    settings: Settings,
) -> None:
    champion, challenger = f"{FIRST}-bbbbbbbb", VERSION
    decide_about(settings, challenger, "shadow")
    assert f"Model {challenger} goes into shadow. It proved better. Popular tracks serve." in printed(
        settings
    )
    decide_about(settings, champion, "promoted")
    assert f"{challenger} goes into shadow. It proved better. {champion} serves." in printed(settings)
    with write_warehouse(settings.warehouse_path) as connection:
        fall_back(connection, LAST, "It lost.", popularity_days=7, worse_since=FIRST, metrics={})
    text = printed(settings)
    assert f"Model Popular tracks serve instead of {champion}. It lost." in text
    assert "On the hold-out days" not in text


def test_a_champion_trained_after_the_last_day_is_named(settings: Settings) -> None:
    version = f"{AFTER}-cccccccc"
    decide_about(settings, version, "promoted")
    said = printed(settings)
    assert (
        f"Model there is no decision as of {LAST} or before; {version} is the champion since {AFTER}" in said
    )


def test_three_users_are_shown_with_their_best_tracks_those_of_the_model_first(settings: Settings) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        add_users(connection, BEFORE, 3, 4)
        for user in (1, 2, 3, 4):
            add_list(connection, LAST, user, [15, 14, 13, 12, 11, 10], VERSION)
        add_list(connection, FIRST, 1, [10], VERSION)
        connection.execute("UPDATE recommendations SET source = 'cold_start' WHERE user_id <> 4")
    text = printed(settings)
    assert text.count("gets, from") == 3
    assert "User 4 (likes Pop; has played nothing yet) gets, from model:" in text
    assert text.count("from cold start:") == 2
    assert text.count("5. Song by Someone") == 3
    assert "6. Song" not in text


def test_seconds_are_printed_where_something_ran(settings: Settings) -> None:
    assert "Seconds" not in printed(settings)
    assert "Seconds ingestion 1.2, training 3.5" in printed(settings, {"ingestion": 1.23, "training": 3.49})
    assert str(settings.warehouse_path.name) in printed(settings)
