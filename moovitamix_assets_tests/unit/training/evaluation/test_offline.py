"""Metrics against figures worked out by hand and against a second implementation written from the formulas."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import ndcg_score

from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import (
    best_positions,
    evaluate,
    evaluate_ranked,
    metrics_per_user,
    ndcg_per_user,
    rank,
)
from moovitamix_assets_tests.unit.training.worlds import taste_world


@dataclass(frozen=True)
class Table:
    """A scorer that reads its scores from a table."""

    values: np.ndarray

    def scores(self, users):
        return self.values[users]


def reference(ranked, wanted):
    """Return the five metrics of one ranked list, from their formulas."""
    hits = [track in wanted for track in ranked]
    gains = sum(1 / np.log2(place + 2) for place, hit in enumerate(hits[:10]) if hit)
    best = sum(1 / np.log2(place + 2) for place in range(min(len(wanted), 10)))
    precisions = [sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits[:10]) if hit]
    return {
        "ndcg_at_10": gains / best,
        "recall_at_20": sum(hits[:20]) / len(wanted),
        "precision_at_10": sum(hits[:10]) / 10,
        "map_at_10": sum(precisions) / len(wanted),
        "hit_rate_at_10": float(any(hits[:10])),
    }


def test_figures_worked_out_by_hand():
    ranked = np.arange(20, dtype=np.int32)[None, :]
    relevant = sparse.csr_matrix(([1.0, 1.0, 1.0], ([0, 0, 0], [0, 3, 15])), shape=(1, 30))
    values = metrics_per_user(ranked, relevant).iloc[0]
    assert values["ndcg_at_10"] == pytest.approx((1 + 0.430677) / (1 + 0.630930 + 0.5), abs=1e-6)
    assert values["recall_at_20"] == pytest.approx(1.0)
    assert values["precision_at_10"] == pytest.approx(0.2)
    assert values["map_at_10"] == pytest.approx((1 + 2 / 4) / 3)
    assert values["hit_rate_at_10"] == 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(3, 40))
def test_metrics_agree_with_their_formulas(seed, users, tracks):
    random = np.random.default_rng(seed)
    scores = random.random((users, tracks)).astype(np.float32)
    wanted = random.random((users, tracks)) < 0.2
    ranked = best_positions(scores, 20)
    values = metrics_per_user(ranked, sparse.csr_matrix(wanted.astype(np.float32)))
    assert values.index.tolist() == np.flatnonzero(wanted.any(axis=1)).tolist()
    for row in values.index:
        expected = reference([at for at in ranked[row] if at >= 0], set(np.flatnonzero(wanted[row])))
        for metric, value in expected.items():
            assert values.loc[row, metric] == pytest.approx(value), metric


def test_ndcg_agrees_with_scikit_learn():
    random = np.random.default_rng(7)
    scores = random.random((50, 60)).astype(np.float32)
    wanted = random.random((50, 60)) < 0.15
    wanted[:, 0] = True
    values = ndcg_per_user(best_positions(scores, 10), sparse.csr_matrix(wanted.astype(np.float32)))
    assert values.mean() == pytest.approx(ndcg_score(wanted, scores, k=10))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 300), st.integers(1, 25))
def test_the_best_positions_are_those_of_a_full_stable_sort(seed, users, tracks, length):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 5, (users, tracks)).astype(np.float32)
    scores[random.random(scores.shape) < 0.2] = -np.inf
    found = best_positions(scores, length)
    for row in range(users):
        order = [at for at in np.argsort(-scores[row], kind="stable") if scores[row, at] > -np.inf]
        expected = order[:length] + [-1] * (length - len(order[:length]))
        assert found[row].tolist() == expected


def test_seen_tracks_are_left_out_and_short_rankings_are_padded():
    scores = Table(np.array([[5, 4, 3, 2], [2, 3, 4, 5]], dtype=np.float32))
    seen = sparse.csr_matrix(np.array([[1, 0, 0, 0], [0, 1, 1, 1]], dtype=np.float32))
    assert rank(scores, np.array([0, 1]), seen, length=3).tolist() == [[1, 2, 3], [0, -1, -1]]
    assert rank(scores, np.array([1]), None, length=2).tolist() == [[3, 2]]


def test_every_user_of_a_crowd_gets_their_own_ranking():
    crowd = np.arange(600)
    own = np.zeros((600, 40), dtype=np.float32)
    own[crowd, crowd % 37] = 2
    own[crowd, crowd % 37 + 3] += 1
    seen = sparse.csr_matrix((np.ones(600, dtype=np.float32), (crowd, crowd % 37)), shape=own.shape)
    assert rank(Table(own), crowd, None, length=1).ravel().tolist() == (crowd % 37).tolist()
    assert rank(Table(own), crowd[::-1], seen, length=1).ravel().tolist() == (crowd % 37 + 3)[::-1].tolist()


def test_what_was_seen_before_the_cutoff_is_not_ranked():
    view = split(taste_world(), "before_holdout")
    likes_the_old_more = Table(view.test.toarray() + 2 * view.plays.toarray())
    assert evaluate(view, likes_the_old_more).value("ndcg_at_10") == pytest.approx(1.0)


def test_a_scorer_that_knows_the_test_gets_the_highest_marks():
    view = split(taste_world(), "before_holdout")
    evaluation = evaluate(view, Table(view.test.toarray()))
    for segment in ("all", "warm", "new_tracks"):
        assert evaluation.value("hit_rate_at_10", segment) == 1.0
    assert evaluation.value("ndcg_at_10") == pytest.approx(1.0)
    assert evaluation.value("ndcg_at_10") == pytest.approx(evaluation.per_user["ndcg_at_10"].mean())


def test_the_table_has_the_form_of_model_evaluations():
    world = taste_world()
    view = split(world, "before_holdout")
    scorer = Popularity().fit(view, 1, 1)
    evaluation = evaluate(view, scorer, model_version="v", as_of=world.as_of, subject="popularity")
    table = evaluation.table
    assert table.columns.tolist() == [
        "model_version", "as_of", "subject", "segment", "metric", "value", "standard_error", "users",
    ]  # fmt: skip
    assert not table.duplicated(["segment", "metric"]).any()
    assert set(table["subject"]) == {"popularity"}
    overall = table[table["segment"] == "all"].set_index("metric")
    per_user = evaluation.per_user["ndcg_at_10"]
    assert per_user.index.tolist() == view.user_ids[view.test_users].tolist()
    assert overall.loc["ndcg_at_10", "users"] == len(per_user)
    assert overall.loc["ndcg_at_10", "standard_error"] == pytest.approx(per_user.sem())
    assert np.isnan(overall.loc["coverage", "standard_error"])


def test_users_are_warm_or_cold_by_five_plays():
    view = split(taste_world(users=400, listens=1500), "before_holdout")
    table = evaluate(view, Popularity().fit(view, 1, 1)).table
    users = table[table["metric"] == "ndcg_at_10"].set_index("segment")["users"]
    cold = (view.user_plays[view.test_users] <= 5).sum()
    assert 0 < cold < len(view.test_users)
    assert users["cold"] == cold
    assert users["warm"] == len(view.test_users) - cold


def test_popularity_shows_few_tracks_all_of_them_popular():
    view = split(taste_world(), "before_holdout")
    evaluation = evaluate_ranked(
        view, np.tile(np.argsort(-view.track_plays)[:20].astype(np.int32), (len(view.test_users), 1))
    )
    assert evaluation.value("coverage") == pytest.approx(10 / 120)
    assert evaluation.value("coverage_at_20") == pytest.approx(20 / 120)
    assert evaluation.value("popular_share_at_10") == 1.0
    rare = evaluate_ranked(
        view, np.tile(np.argsort(view.track_plays)[:20].astype(np.int32), (len(view.test_users), 1))
    )
    assert rare.value("novelty_at_10") > evaluation.value("novelty_at_10")
    assert rare.value("popular_share_at_10") == 0.0


def test_rankings_for_other_users_are_refused():
    view = split(taste_world(), "before_holdout")
    with pytest.raises(ValueError, match="1 ranked lists for"):
        evaluate_ranked(view, np.zeros((1, 20), dtype=np.int32))


def test_a_place_that_was_not_filled_is_no_track():
    """Eight of ten users have played the first track, one the second and the last, which padding would read as."""
    plays = np.zeros((10, 10), dtype=np.float32)
    plays[:8, 0] = 1
    plays[0, [1, 9]] = [1, 30]
    test = np.zeros((10, 10), dtype=np.float32)
    test[:3, [5, 9]] = 1
    view = replace(
        split(taste_world(users=10, tracks=10, listens=60), "before_holdout"),
        plays=sparse.csr_matrix(plays),
        test=sparse.csr_matrix(test),
    )
    ranked = np.full((3, 20), -1, dtype=np.int32)
    ranked[0, 0], ranked[1, :2] = 0, [0, 1]
    evaluation = evaluate_ranked(view, ranked)
    assert evaluation.value("coverage") == pytest.approx(2 / 10)
    assert evaluation.value("coverage_at_20") == pytest.approx(2 / 10)
    assert evaluation.per_user["novelty_at_10"].tolist() == pytest.approx([0, np.log2(8) / 2, 0])
    assert evaluation.per_user["popular_share_at_10"].tolist() == [0, 0, 0]
    assert evaluation.value("hit_rate_at_10") == 0


def test_more_places_than_ten_count_for_coverage_at_20_alone():
    view = split(taste_world(), "before_holdout")
    ranked = np.tile(np.arange(20, dtype=np.int32), (len(view.test_users), 1))
    one = ranked.copy()
    one[0, 10:] = np.arange(50, 60)
    before, after = evaluate_ranked(view, ranked), evaluate_ranked(view, one)
    assert after.value("coverage") == before.value("coverage")
    assert after.value("coverage_at_20") == pytest.approx(30 / 120)
    assert after.per_user["novelty_at_10"].equals(before.per_user["novelty_at_10"])


def test_the_segment_of_new_tracks_is_about_these_alone():
    view = split(taste_world(), "before_holdout")
    new = view.track_plays == 0
    truth = view.test.toarray()
    evaluation = evaluate(view, Table(truth))
    users = evaluation.table.set_index(["segment", "metric"])["users"]
    assert 0 < new.sum() < len(new)
    assert (
        users["new_tracks", "ndcg_at_10"]
        == (truth[:, new].sum(axis=1) > 0).sum()
        < users["all", "ndcg_at_10"]
    )
    only_old = evaluate(view, Table(np.where(new, -np.inf, truth).astype(np.float32)))
    assert only_old.value("hit_rate_at_10", "new_tracks") == 0
    only_new = evaluate(view, Table(np.where(new, truth, -np.inf).astype(np.float32)))
    assert only_new.value("recall_at_20", "new_tracks") == 1
