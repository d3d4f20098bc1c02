"""What lists were worth: a tiny world worked out by hand, and who counts where."""

from dataclasses import replace
from datetime import date, timedelta
from math import log2

import numpy as np
import pandas as pd
import pytest

from foundation.tables import to_arrow
from moovitamix_assets.monitoring.quality import Evidence, lists_are_stored, quality_rows, read_evidence
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

    Ann is warm and Ben is cold, with lists of version v; Cleo, without plays, has a popular list.
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
    evidence = read_evidence(warehouse, day)
    assert evidence is not None
    rows = quality_rows(evidence)
    assert to_arrow(RECOMMENDATION_QUALITY, rows).num_rows == len(rows)
    return rows.set_index(["model_version", "segment"])


def test_a_day_worked_out_by_hand(warehouse):
    add_session(warehouse, DAY, ANN, [40, 31, 45])  # 40 she knew; her second and third
    add_session(warehouse, DAY, BEN, [48])  # not on his list, and nobody had played it before
    add_session(warehouse, DAY, CLEO, [31])  # her second
    rows = measured(warehouse)
    ann = (1 / log2(3) + 1 / log2(4)) / BEST_OF_TWO
    # Without what she had heard, Ann's popular list is 31 to 39 and 45: her two are first and tenth.
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
    # 45 had been played by nobody either: third on Ann's list.
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
    """What Ben's popular list is worth to him if he plays one track: 30, 31, 32, then the others by number."""
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


def test_a_track_that_came_on_the_day_counts_and_nobody_could_list_it(warehouse):
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


def test_no_lists_or_nothing_new_is_no_evidence(warehouse):
    add_session(warehouse, DAY, ANN, [40, 41])
    add_users(warehouse, DAY, 5)
    add_session(warehouse, DAY, 5, [45])  # came today: no list yet
    assert read_evidence(warehouse, DAY) is None
    add_session(warehouse, BEFORE, ANN, [45])
    assert read_evidence(warehouse, BEFORE) is None
    assert lists_are_stored(warehouse, BEFORE)
    assert not lists_are_stored(warehouse, DAY)


def test_what_happens_later_changes_nothing(warehouse):
    add_session(warehouse, DAY, ANN, [31])
    before = measured(warehouse)
    after = DAY + timedelta(days=1)
    add_session(warehouse, after, ANN, [46])
    add_tracks(warehouse, after, 70)
    add_list(warehouse, DAY, ANN, [31], "w")
    pd.testing.assert_frame_equal(measured(warehouse), before)


def random_evidence(seed, people=40, tracks=60):
    random = np.random.default_rng(seed)
    lists = pd.DataFrame(
        [
            (user, place + 1, track, ("v", "popularity")[user % 5 == 0])
            for user in range(people)
            for place, track in enumerate(random.choice(tracks, 20, replace=False))
        ],
        columns=["user_id", "rank", "track_id", "model_version"],
    )
    pairs = pd.DataFrame(
        {"user_id": random.integers(0, people + 5, 200), "track_id": random.integers(0, tracks, 200)}
    )
    pairs = pairs.drop_duplicates(ignore_index=True)
    heard = pairs.iloc[100:].assign(plays=random.integers(1, 5, len(pairs) - 100))
    catalogue = pd.DataFrame(
        {"track_id": range(tracks), "genres": None, "plays_last_30_days": random.integers(0, 9, tracks)}
    )
    return Evidence(DAY, lists, pairs.iloc[:100], heard, catalogue, set(range(0, tracks, 2)))


@pytest.mark.parametrize("seed", range(5))
def test_figures_do_not_depend_on_the_order_of_rows(seed):
    evidence = random_evidence(seed)
    names = ("lists", "new", "heard")
    shuffled = replace(
        evidence, **{name: getattr(evidence, name).sample(frac=1, random_state=1) for name in names}
    )
    pd.testing.assert_frame_equal(quality_rows(shuffled), quality_rows(evidence))


@pytest.mark.parametrize("seed", range(5))
def test_segments_part_everyone_and_lists_of_popularity_are_worth_what_popularity_is(seed):
    evidence = random_evidence(seed)
    rows = quality_rows(evidence).set_index(["model_version", "segment"])
    for version in ("v", "popularity"):
        both = rows.loc[version]
        assert both.loc["warm", "users"] + both.loc["cold", "users"] == both.loc["all", "users"]
    # Lists that are popularity's own, without what each person had heard.
    order = evidence.tracks.sort_values("plays_last_30_days", ascending=False, kind="stable")["track_id"]
    own = []
    for user in range(40):
        known = set(evidence.heard[evidence.heard["user_id"] == user]["track_id"])
        left = [track for track in order if track not in known][:20]
        own += [(user, place + 1, track, "v") for place, track in enumerate(left)]
    lists = pd.DataFrame(own, columns=evidence.lists.columns)
    popular = quality_rows(replace(evidence, lists=lists))
    assert popular["ndcg_at_10"].tolist() == pytest.approx(popular["popularity_ndcg_at_10"].tolist())


def test_a_popular_list_that_ends_early_lists_nothing_twice(warehouse):
    """Ann has not heard two tracks of the catalogue, 45 and its last one: her popular list ends with them."""
    add_session(warehouse, date(2026, 6, 2), ANN, [*range(30, 45), 46, 47, 48])
    add_session(warehouse, DAY, ANN, [49])
    assert measured(warehouse).loc[("v", "all"), "popularity_ndcg_at_10"] == pytest.approx(1 / log2(3))
