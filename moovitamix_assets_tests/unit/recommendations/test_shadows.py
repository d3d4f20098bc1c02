"""Which version recommends what as of a day: during a fallback, and in shadow. How a version does, is left out."""

from datetime import date, timedelta

import pandas as pd
import pytest

from foundation.models import promotions
from foundation.models.gate import Decision
from foundation.tables import to_arrow
from moovitamix_assets.recommendations import batch
from moovitamix_assets.recommendations.batch import recommend_day, recommend_shadows
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import SHADOW_RECOMMENDATIONS
from moovitamix_assets_tests.unit.warehouse.rows import add_session, add_tracks, add_users

DAY = date(2026, 9, 20)
A, B = "2026-09-14-aaaaaaaa", "2026-09-17-bbbbbbbb"
KNOWN, STRANGER = 1, 2


@pytest.fixture
def warehouse(tmp_path):
    """Track 10 was played most in thirty days, 11 in seven, 12 in three."""
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        add_users(connection, date(2026, 6, 1), KNOWN, STRANGER, 3)
        add_tracks(connection, date(2026, 6, 1), 10, 11, 12, 13)
        for track, days in ((10, (10, 11, 12)), (11, (4, 5)), (12, (0,))):
            for back in days:
                add_session(connection, DAY - timedelta(days=back), 3, [track])
        yield connection


@pytest.fixture
def loaded(monkeypatch):
    """Versions stand for their models, and each knows one user."""
    versions = []

    class Store:
        def load(self, version):
            versions.append(version)
            return version

    def fake(known, model, **_):
        if model is None:
            return known.tracks
        sources = {KNOWN: ("model", model), STRANGER: ("popular", "popularity")}
        return pd.DataFrame(
            [
                {
                    "user_id": user,
                    "rank": 1,
                    "track_id": 10,
                    "score": 1.0,
                    "source": source,
                    "model_version": version,
                }
                | dict.fromkeys(["generated_for", "generated_at", "expires_at"], pd.Timestamp(DAY))
                for user, (source, version) in sources.items()
            ]
        )

    monkeypatch.setattr(batch, "model_store", lambda *_: Store())
    monkeypatch.setattr(batch, "recommend_users", fake)
    return versions


def decide(warehouse, version, verdict):
    promotions.record(warehouse, version, DAY, Decision(verdict, "Why."), {})


def fall_back(warehouse, days):
    promotions.fall_back(warehouse, DAY, "Lost.", popularity_days=days, worse_since=DAY, metrics={})


def recommended(warehouse, tmp_path, recommend=recommend_day, day=DAY):
    return recommend(warehouse, day, tmp_path, Settings().recommendations)


@pytest.mark.parametrize(("days", "best"), [(3, 12), (7, 11), (30, 10)])
def test_a_fallback_serves_the_popular_tracks_of_its_days(warehouse, tmp_path, loaded, days, best):
    decide(warehouse, A, "promoted")
    fall_back(warehouse, days)
    tracks = recommended(warehouse, tmp_path).set_index("track_id")["plays_last_30_days"]
    assert tracks.idxmax() == best
    assert list(tracks.index) == [10, 11, 12, 13]
    assert tracks[13] == 0
    assert loaded == []


def test_without_a_fallback_the_champion_serves_and_before_it_popular_tracks_of_thirty_days(
    warehouse, tmp_path, loaded
):
    before = recommended(warehouse, tmp_path).set_index("track_id")["plays_last_30_days"]
    assert before.idxmax() == 10
    decide(warehouse, A, "promoted")
    assert A in set(recommended(warehouse, tmp_path)["model_version"])


def test_a_day_before_the_fallback_is_served_as_it_was(warehouse, tmp_path, loaded):
    promotions.record(warehouse, A, DAY - timedelta(days=3), Decision("promoted", "Why."), {})
    fall_back(warehouse, 7)
    rows = recommended(warehouse, tmp_path, day=DAY - timedelta(days=1))
    assert A in set(rows["model_version"])


def test_nothing_is_recommended_in_shadow_while_no_version_is(warehouse, tmp_path, loaded):
    decide(warehouse, A, "promoted")
    rows = recommended(warehouse, tmp_path, recommend_shadows)
    assert (len(rows), loaded) == (0, [])
    assert to_arrow(SHADOW_RECOMMENDATIONS, rows).num_rows == 0


def test_each_version_in_shadow_recommends_to_the_users_it_knows_the_champion_first(
    warehouse, tmp_path, loaded
):
    decide(warehouse, A, "promoted")
    decide(warehouse, B, "shadow")
    rows = recommended(warehouse, tmp_path, recommend_shadows)
    assert rows[["model_version", "user_id"]].to_numpy().tolist() == [[B, KNOWN]]
    fall_back(warehouse, 7)
    rows = recommended(warehouse, tmp_path, recommend_shadows)
    assert rows[["model_version", "user_id"]].to_numpy().tolist() == [[A, KNOWN], [B, KNOWN]]
    assert to_arrow(SHADOW_RECOMMENDATIONS, rows).num_rows == 2
