"""The quality of recommendations: a tiny world worked out by hand, and which users count where."""

from dataclasses import replace
from datetime import date, timedelta
from math import isnan, log2, sqrt

import numpy as np
import pandas as pd
import pytest

from foundation.models import promotions
from foundation.tables import to_arrow
from moovitamix_assets.monitoring.quality import quality_rows
from moovitamix_assets.monitoring.served_day import Recommended, ServedDay, read_served_day
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import RECOMMENDATION_QUALITY, SHADOW_RECOMMENDATIONS
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
    popularity = {f"plays_last_{days}_days": random.integers(0, 9, tracks) for days in (3, 7, 30)}
    catalogue = pd.DataFrame({"track_id": range(tracks), **popularity})
    return ServedDay(
        day=DAY,
        served=Recommended("champion", recommended),
        shadows=[Recommended("challenger", recommended_in_shadow(random, users, tracks))],
        new=interactions.iloc[:100],
        seen=seen,
        tracks=catalogue,
        played=set(range(0, tracks, 2)),
    )


def recommended_in_shadow(random, users, tracks):
    """By a version w that knows every second user."""
    return pd.DataFrame(
        [
            (user, place + 1, track, "w")
            for user in range(0, users, 2)
            for place, track in enumerate(random.choice(tracks, 20, replace=False))
        ],
        columns=["user_id", "rank", "track_id", "model_version"],
    )


@pytest.mark.parametrize("seed", range(5))
def test_figures_do_not_depend_on_the_order_of_rows(seed):
    served = random_served_day(seed)

    def shuffle(frame):
        return frame.sample(frac=1, random_state=1)

    shuffled = replace(
        served,
        served=replace(served.served, rows=shuffle(served.served.rows)),
        shadows=[replace(shadow, rows=shuffle(shadow.rows)) for shadow in served.shadows],
        new=shuffle(served.new),
        seen=shuffle(served.seen),
    )
    pd.testing.assert_frame_equal(quality_rows(shuffled), quality_rows(served))


@pytest.mark.parametrize("seed", range(5))
def test_segments_partition_users_and_popular_recommendations_score_what_popularity_does(seed):
    served = random_served_day(seed)
    rows = quality_rows(served).set_index(["model_version", "segment"])
    for version in ("v", "popularity", "w"):
        both = rows.loc[version]
        assert both.loc["warm", "users"] + both.loc["cold", "users"] == both.loc["all", "users"]
    # Popularity's own recommendations, without what each user had seen.
    order = served.tracks.sort_values("plays_last_30_days", ascending=False, kind="stable")["track_id"]
    own = []
    for user in range(40):
        known = set(served.seen[served.seen["user_id"] == user]["track_id"])
        left = [track for track in order if track not in known][:20]
        own += [(user, place + 1, track, "v") for place, track in enumerate(left)]
    recommended = pd.DataFrame(own, columns=served.served.rows.columns)
    popular = quality_rows(replace(served, served=Recommended("champion", recommended), shadows=[]))
    assert popular["ndcg_at_10"].tolist() == pytest.approx(popular["popularity_ndcg_at_10"].tolist())


def test_a_short_popular_ranking_repeats_nothing(warehouse):
    """Ann has not played two tracks of the catalogue, 45 and its last one: her popular ranking ends with them."""
    add_session(warehouse, date(2026, 6, 2), ANN, [*range(30, 45), 46, 47, 48])
    add_session(warehouse, DAY, ANN, [49])
    assert measured(warehouse).loc[("v", "all"), "popularity_ndcg_at_10"] == pytest.approx(1 / log2(3))


@pytest.mark.parametrize("seed", range(3))
def test_versions_in_shadow_change_no_figure_of_what_was_served(seed):
    served = random_served_day(seed)
    rows, alone = quality_rows(served), quality_rows(replace(served, shadows=[]))
    pd.testing.assert_frame_equal(rows[rows["model_version"] != "w"].reset_index(drop=True), alone)


def test_what_was_served_differs_from_itself_by_nothing():
    rows = quality_rows(replace(random_served_day(1), shadows=[]))
    assert rows["served_ndcg_at_10"].tolist() == rows["ndcg_at_10"].tolist()
    assert (rows["served_gain_standard_error"][rows["users"] > 1] == 0).all()


def test_a_challenger_is_compared_with_what_the_same_users_were_served(warehouse):
    """Ann is served her track second, Ben first; the challenger has Ann's first and Ben's not at all."""
    add_session(warehouse, DAY, ANN, [31])
    add_session(warehouse, DAY, BEN, [45])
    add_session(warehouse, DAY, CLEO, [30])
    add_list(warehouse, BEFORE, ANN, [31, 46], "w", SHADOW_RECOMMENDATIONS)
    add_list(warehouse, BEFORE, BEN, [46], "w", SHADOW_RECOMMENDATIONS)
    rows = measured(warehouse)
    assert rows["role"].to_dict() == {
        ("v", "all"): "champion", ("v", "warm"): "champion", ("v", "cold"): "champion",
        ("v", "new_tracks"): "champion",
        ("popularity", "all"): "champion", ("popularity", "cold"): "champion",
        ("w", "all"): "challenger", ("w", "warm"): "challenger", ("w", "cold"): "challenger",
        ("w", "new_tracks"): "challenger",
    }  # fmt: skip
    of_w = rows.loc[("w", "all")]
    second = 1 / log2(3)
    assert (of_w["users"], of_w["ndcg_at_10"]) == (2, pytest.approx(0.5))
    assert of_w["served_ndcg_at_10"] == pytest.approx((second + 1) / 2)
    # Of the two differences 1 - second and 0 - 1: their standard deviation is half their distance times root two.
    distance = (1 - second) - (0 - 1)
    assert of_w["served_gain_standard_error"] == pytest.approx(distance / sqrt(2) / sqrt(2))
    popular = [1.0, popular_rank(45)]
    assert of_w["popularity_ndcg_at_10"] == pytest.approx(sum(popular) / 2)
    gains = [1 - popular[0], 0 - popular[1]]
    assert of_w["popularity_gain_standard_error"] == pytest.approx(abs(gains[0] - gains[1]) / 2)
    assert isnan(rows.loc[("popularity", "all"), "popularity_gain_standard_error"])


def test_users_without_served_recommendations_do_not_count_in_shadow(warehouse):
    add_users(warehouse, date(2026, 6, 1), 5)
    add_session(warehouse, DAY, ANN, [31])
    add_session(warehouse, DAY, 5, [31])
    for user in (ANN, 5):
        add_list(warehouse, BEFORE, user, [31], "w", SHADOW_RECOMMENDATIONS)
    assert measured(warehouse).loc[("w", "all"), "users"] == 1


def test_each_number_of_days_has_its_own_popular_tracks(warehouse):
    """In the last three days that is 49, in the last seven first 48, then 30 and 49 with a play each."""
    add_session(warehouse, BEFORE, DAN, [49])
    for days in (4, 5):
        add_session(warehouse, DAY - timedelta(days=days), DAN, [48])
    add_session(warehouse, DAY, BEN, [49])
    of_v = measured(warehouse).loc[("v", "cold")]
    assert of_v["popularity_3_days_ndcg_at_10"] == 1
    assert of_v["popularity_7_days_ndcg_at_10"] == pytest.approx(1 / log2(4))
    # After 30, 31, 48 and 32 with their three, two, two and one plays.
    assert of_v["popularity_ndcg_at_10"] == pytest.approx(1 / log2(6))


def test_during_a_fallback_popular_tracks_are_what_was_served_and_the_champion_is_in_shadow(warehouse):
    promotions.insert_decision(warehouse, "v", date(2026, 9, 1), "promoted", "Better.", {}, None)
    warehouse.execute("DELETE FROM recommendations")
    for user in (ANN, BEN):
        add_list(warehouse, BEFORE, user, [30, 31], "popularity")
        add_list(warehouse, BEFORE, user, [45], "v", SHADOW_RECOMMENDATIONS)
        add_session(warehouse, DAY, user, [45])
    rows = measured(warehouse)
    assert rows.loc[("popularity", "all"), "role"] == "fallback"
    of_v = rows.loc[("v", "all")]
    assert (of_v["role"], of_v["ndcg_at_10"], of_v["served_ndcg_at_10"]) == ("champion", 1, 0)
    assert of_v["served_gain_standard_error"] == 0
