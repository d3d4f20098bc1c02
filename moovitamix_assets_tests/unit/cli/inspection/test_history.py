"""What `history` says of decisions put into a warehouse by hand."""

import io
import json
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from foundation.models.promotions import fall_back, insert_decision
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.inspection.history import print_history, read_history
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import decide_about

CHAMPION, REJECTED = "2026-09-05-aaaaaaaa", "2026-09-12-bbbbbbbb"
FELL_BACK, RETURNED = date(2026, 9, 18), date(2026, 9, 20)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=tmp_path)
    with write_warehouse(made.warehouse_path) as connection:
        decide_about(connection, CHAMPION)
        decide_about(connection, REJECTED, "rejected")
    return made


def printed(decisions: list[dict[str, object]]) -> str:
    text = io.StringIO()
    print_history(Console(file=text, width=150), decisions)
    return text.getvalue()


def test_the_newest_decision_is_shown_first(settings: Settings) -> None:
    decisions = read_history(settings)
    assert [(row["decision"], row["model_version"]) for row in decisions] == [
        ("rejected", REJECTED),
        ("promoted", CHAMPION),
    ]
    assert (decisions[0]["previous_version"], decisions[1]["previous_version"]) == (CHAMPION, None)
    said = printed(decisions)
    assert said.index(REJECTED) < said.index("promoted")
    assert "No candidate was decided" in printed([])


def test_a_fallback_and_the_return_after_it_are_shown_as_such(settings: Settings) -> None:
    with write_warehouse(settings.warehouse_path) as connection:
        fall_back(
            connection, FELL_BACK, "Clearly worse.", popularity_days=7, worse_since=FELL_BACK, metrics={}
        )
        insert_decision(connection, CHAMPION, RETURNED, "promoted", "Clearly better again.", {}, CHAMPION)
        insert_decision(connection, CHAMPION, RETURNED, "rolled_back", "requested by a user", {}, REJECTED)
    shown = printed(read_history(settings))
    places = [shown.index(word) for word in ("rolled back", "returned", "fallback", "rejected", "promoted")]
    assert places == sorted(places)


def test_json_holds_the_same_as_the_table(settings: Settings) -> None:
    given = CliRunner().invoke(app, ["history", "--json", "--data-dir", str(settings.data_dir)])
    assert json.loads(given.stdout) == read_history(settings)


def test_before_the_first_load_the_remedy_is_named(tmp_path: Path) -> None:
    given = CliRunner().invoke(app, ["history", "--data-dir", str(tmp_path)])
    assert given.exit_code == 1
    assert "moovitamix run" in given.output
