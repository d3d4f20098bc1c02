"""The quality of recommendations: a tiny world worked out by hand, and which users count where."""

from dataclasses import replace
from datetime import date, timedelta
from math import log2

import numpy as np
import pandas as pd
import pytest

from foundation.tables import to_arrow
from moovitamix_assets.monitoring.quality import ServedDay, has_recommendations, quality_rows, read_served_day
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import RECOMMENDATION_QUALITY
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session, add_tracks, add_users

DAY = date(2026, 9, 10)
BEFORE = DAY - timedelta(days=1)
ANN, BEN, CLEO, DAN = 1, 2, 3, 4
BEST_OF_TWO = 1 + 1 / log2(3)


@pytest.fixture
def warehouse(tmp_path):
    """A catalogue of twenty; 30 to 32 were played thrice, twice and once by Dan, who listens no more.

    Ann is warm and Ben is cold, with recommendations of version v; Cleo, without plays, has popular ones.
    """
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        long_ago = date(2026, 6, 1)
        add_users(connection, long_ago, ANN, BEN, CLEO, DAN)
        add_tracks(connection, long_ago, *range(30, 50))
        add_session(connection, date(2026, 9, 1), DAN, [30, 31, 32])
        add_session(connection, date(2026, 9, 2), DAN, [30, 31])
        add_session(connection, date(2026, 9, 3), DAN, [30])
        add_session(connection, long_ago, ANN, [40, 41, 42, 43, 44, 30])
        add_session(connection, long_ago, BEN, [40])
        add_list(connection, BEFORE, ANN, [46, 31, 45], "v")
        add_list(connection, BEFORE, BEN, [45, 46], "v")
        add_list(connection, BEFORE, CLEO, [30, 31], "popularity")
        add_list(connection, BEFORE, DAN, [47], "v")
        yield connection


def measured(warehouse, day=DAY):
    served = read_served_day(warehouse, day)
    assert served is not None
    rows = quality_rows(served)
    assert to_arrow(RECOMMENDATION_QUALITY, rows).num_rows == len(rows)
    return rows.set_index(["model_version", "segment"])


def test_a_day_worked_out_by_hand(warehouse):
    add_session(warehouse, DAY, ANN, [40, 31, 45])  # 40 she knew; her second and third
    add_session(warehouse, DAY, BEN, [48])  # not recommended to him, and played by no user before
    add_session(warehouse, DAY, CLEO, [31])  # her second
    rows = measured(warehouse)
    ann = (1 / log2(3) + 1 / log2(4)) / BEST_OF_TWO
    # Without what she had seen, Ann's popular ranking is 31 to 39 and 45: her two are first and tenth.
    popular_for_ann = (1 + 1 / log2(11)) / BEST_OF_TWO
    of_v = rows.loc[("v", "all")]
    assert of_v["users"] == 2
    assert of_v["ndcg_at_10"] == pytest.approx(ann / 2)
    assert of_v["recall_at_20"] == pytest.approx(0.5)
    assert of_v["precision_at_10"] == pytest.approx(0.1)
    assert of_v["map_at_10"] == pytest.approx((1 / 2 + 2 / 3) / 2 / 2)
    assert of_v["hit_rate_at_10"] == pytest.approx(0.5)
    assert of_v["coverage"] == pytest.approx(3 / 20)
    assert of_v["popularity_ndcg_at_10"] == pytest.approx((popular_for_ann + popular_rank(48)) / 2)
    assert rows.loc[("v", "warm"), "ndcg_at_10"] == pytest.approx(ann)
    assert rows.loc[("v", "cold"), "ndcg_at_10"] == 0
    assert rows.loc[("v", "warm"), "coverage"] == pytest.approx(3 / 20)
    assert rows.loc[("v", "cold"), "coverage"] == pytest.approx(2 / 20)
    # 45 had been played by no user either: third of Ann's recommendations.
    assert rows.loc[("v", "new_tracks"), "users"] == 2
    assert rows.loc[("v", "new_tracks"), "ndcg_at_10"] == pytest.approx(1 / log2(4) / 2)
    fallback = rows.loc[("popularity", "all")]
    assert fallback["users"] == 1
    assert fallback["ndcg_at_10"] == pytest.approx(1 / log2(3))
    assert fallback["popularity_ndcg_at_10"] == pytest.approx(1 / log2(3))
    assert set(rows.index) == {
        ("v", "all"), ("v", "warm"), ("v", "cold"), ("v", "new_tracks"),
        ("popularity", "all"), ("popularity", "cold"),
    }  # fmt: skip


def popular_rank(track):
    """The NDCG of Ben's popular ranking if he plays one track: 30, 31, 32, then the others by number."""
    order = [30, 31, 32, *[other for other in range(33, 50) if other != 40]]
    place = order.index(track)
    return 1 / log2(place + 2) if place < 10 else 0.0


def test_popular_is_what_was_played_in_the_last_thirty_days_as_of_the_day_before(warehouse):
    add_session(warehouse, DAY, BEN, [32])
    for _ in range(5):
        add_session(warehouse, DAY, DAN, [49])  # the day itself is not yet known
    rows = measured(warehouse)
    assert rows.loc[("v", "cold"), "popularity_ndcg_at_10"] == pytest.approx(1 / log2(4))


def test_six_plays_are_warm_and_five_are_not(warehouse):
    add_session(warehouse, date(2026, 6, 2), BEN, [41, 42, 43, 44])
    add_session(warehouse, DAY, ANN, [45])
    add_session(warehouse, DAY, BEN, [45])
    rows = measured(warehouse)
    assert rows.loc[("v", "cold"), "ndcg_at_10"] == 1
    assert rows.loc[("v", "warm"), "ndcg_at_10"] == pytest.approx(1 / log2(4))


def test_a_track_that_came_on_the_day_counts_though_none_could_recommend_it(warehouse):
    add_tracks(warehouse, DAY, 60)
    add_session(warehouse, DAY, BEN, [45, 60])
    rows = measured(warehouse)
    assert rows.loc[("v", "all"), "ndcg_at_10"] == pytest.approx(1 / BEST_OF_TWO)
    assert rows.loc[("v", "all"), "coverage"] == pytest.approx(2 / 20)
    assert rows.loc[("v", "new_tracks"), "recall_at_20"] == pytest.approx(0.5)


def test_a_track_that_was_played_long_ago_only_is_not_new(warehouse):
    add_session(warehouse, DAY, BEN, [41, 45])
    rows = measured(warehouse)
    assert rows.loc[("v", "all"), "recall_at_20"] == pytest.approx(0.5)
    assert rows.loc[("v", "new_tracks"), "recall_at_20"] == 1


def test_without_recommendations_or_anything_new_there_is_nothing_to_measure(warehouse):
    add_session(warehouse, DAY, ANN, [40, 41])
    add_users(warehouse, DAY, 5)
    add_session(warehouse, DAY, 5, [45])  # came today: no recommendations yet
    assert read_served_day(warehouse, DAY) is None
    add_session(warehouse, BEFORE, ANN, [45])
    assert read_served_day(warehouse, BEFORE) is None
    assert has_recommendations(warehouse, BEFORE)
    assert not has_recommendations(warehouse, DAY)


def test_what_happens_later_changes_nothing(warehouse):
    add_session(warehouse, DAY, ANN, [31])
    before = measured(warehouse)
    after = DAY + timedelta(days=1)
    add_session(warehouse, after, ANN, [46])
    add_tracks(warehouse, after, 70)
    add_list(warehouse, DAY, ANN, [31], "w")
    pd.testing.assert_frame_equal(measured(warehouse), before)


def random_served_day(seed, users=40, tracks=60):
    random = np.random.default_rng(seed)
    recommended = pd.DataFrame(
        [
            (user, place + 1, track, ("v", "popularity")[user % 5 == 0])
            for user in range(users)
            for place, track in enumerate(random.choice(tracks, 20, replace=False))
        ],
        columns=["user_id", "rank", "track_id", "model_version"],
    )
    interactions = pd.DataFrame(
        {"user_id": random.integers(0, users + 5, 200), "track_id": random.integers(0, tracks, 200)}
    )
    interactions = interactions.drop_duplicates(ignore_index=True)
    seen = interactions.iloc[100:].assign(plays=random.integers(1, 5, len(interactions) - 100))
    catalogue = pd.DataFrame(
        {"track_id": range(tracks), "genres": None, "plays_last_30_days": random.integers(0, 9, tracks)}
    )
    return ServedDay(DAY, recommended, interactions.iloc[:100], seen, catalogue, set(range(0, tracks, 2)))


@pytest.mark.parametrize("seed", range(5))
def test_figures_do_not_depend_on_the_order_of_rows(seed):
    served = random_served_day(seed)
    names = ("recommended", "new", "seen")
    shuffled = replace(
        served, **{name: getattr(served, name).sample(frac=1, random_state=1) for name in names}
    )
    pd.testing.assert_frame_equal(quality_rows(shuffled), quality_rows(served))


@pytest.mark.parametrize("seed", range(5))
def test_segments_partition_users_and_popular_recommendations_score_what_popularity_does(seed):
    served = random_served_day(seed)
    rows = quality_rows(served).set_index(["model_version", "segment"])
    for version in ("v", "popularity"):
        both = rows.loc[version]
        assert both.loc["warm", "users"] + both.loc["cold", "users"] == both.loc["all", "users"]
    # Popularity's own recommendations, without what each user had seen.
    order = served.tracks.sort_values("plays_last_30_days", ascending=False, kind="stable")["track_id"]
    own = []
    for user in range(40):
        known = set(served.seen[served.seen["user_id"] == user]["track_id"])
        left = [track for track in order if track not in known][:20]
        own += [(user, place + 1, track, "v") for place, track in enumerate(left)]
    recommended = pd.DataFrame(own, columns=served.recommended.columns)
    popular = quality_rows(replace(served, recommended=recommended))
    assert popular["ndcg_at_10"].tolist() == pytest.approx(popular["popularity_ndcg_at_10"].tolist())


def test_a_short_popular_ranking_repeats_nothing(warehouse):
    """Ann has not played two tracks of the catalogue, 45 and its last one: her popular ranking ends with them."""
    add_session(warehouse, date(2026, 6, 2), ANN, [*range(30, 45), 46, 47, 48])
    add_session(warehouse, DAY, ANN, [49])
    assert measured(warehouse).loc[("v", "all"), "popularity_ndcg_at_10"] == pytest.approx(1 / log2(3))
