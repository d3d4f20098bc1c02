from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import AS_OF, changed_world, taste_world


def interactions_of(matrix, view):
    rows, cells = matrix.nonzero()
    return set(zip(view.user_ids[rows].tolist(), view.track_ids[cells].tolist(), strict=True))


@pytest.mark.parametrize(
    ("cutoff", "known", "until"),
    [
        ("before_validation", "plays_before_validation", "plays_before_holdout"),
        ("before_holdout", "plays_before_holdout", "plays"),
    ],
)
def test_a_view_knows_the_past_and_is_tested_on_interactions_first_played_later(cutoff, known, until):
    world = taste_world()
    view = split(world, cutoff)
    frame = world.interactions
    ids = ["user_id", "track_id"]
    past = frame[frame[known] > 0]
    assert interactions_of(view.plays, view) == set(past[ids].itertuples(index=False, name=None))
    assert view.plays.sum() == past[known].sum()
    new = frame[(frame[known] == 0) & (frame[until] > 0)]
    assert interactions_of(view.test, view) == set(new[ids].itertuples(index=False, name=None))
    assert set(view.test.data.tolist()) == {1.0}


def test_the_last_view_knows_everything_and_tests_nothing():
    world = taste_world()
    view = split(world, "as_of")
    assert view.plays.sum() == world.interactions["plays"].sum()
    assert view.test.nnz == 0
    assert len(view.test_users) == 0
    assert view.recent_plays.tolist() == world.tracks["plays_last_30_days"].tolist()


def test_tracks_that_appear_later_are_in_every_view_without_plays():
    view = split(taste_world(), "before_holdout")
    assert (view.track_plays[-4:] == 0).all()
    assert view.test[:, -4:].nnz > 0


def test_an_interaction_named_twice_or_an_unknown_user_is_refused():
    world = taste_world()
    twice = replace(world, interactions=pd.concat([world.interactions, world.interactions.tail(1)]))
    with pytest.raises(ValueError, match="twice"):
        split(twice, "as_of")
    stranger = world.interactions.assign(user_id=lambda frame: frame["user_id"].where(frame.index != 7, 5))
    with pytest.raises(ValueError, match="user 5 is not in the training set"):
        split(replace(world, interactions=stranger), "as_of")


@pytest.mark.parametrize(
    ("cutoff", "suffix"),
    [("before_validation", "_before_validation"), ("before_holdout", "_before_holdout"), ("as_of", "")],
)
def test_popularity_and_time_decay_know_what_the_plays_of_a_view_know(cutoff, suffix):
    world = taste_world(users=20, tracks=40, listens=400, moved_on=0)
    view = split(world, cutoff)
    assert view.recent_plays.tolist() == world.tracks[f"plays_last_30_days{suffix}"].tolist()
    played = world.interactions[world.interactions[f"plays{suffix}"] > 0]
    left = np.maximum(played[f"faded_plays{suffix}"], 1) / (1000 * played[f"plays{suffix}"])
    assert view.freshness is not None
    np.testing.assert_array_equal(view.freshness.indices, view.plays.indices)
    np.testing.assert_allclose(view.freshness.data, left, rtol=1e-6)
    assert 0 < view.freshness.data.min() < view.freshness.data.max() <= 1


@pytest.mark.parametrize("cutoff", ["before_validation", "before_holdout", "as_of"])
def test_since_a_change_only_newer_plays_are_learned_from_and_all_count_as_seen(cutoff):
    world = changed_world(taste_world(moved_on=0), AS_OF - timedelta(days=20))
    whole, since = split(world, cutoff), split(world, cutoff, since_change=True)
    assert 0 < since.plays.sum() < whole.plays.sum()
    assert since.plays.data.min() >= 1
    assert interactions_of(since.seen, since) == interactions_of(whole.plays, whole)
    assert (since.seen != whole.plays).nnz == 0
    assert (since.test != whole.test).nnz == 0
    assert since.freshness is None
    assert since.recent_plays.tolist() == whole.recent_plays.tolist()
    assert whole.seen is whole.plays


def test_where_tastes_did_not_change_all_plays_are_learned_from():
    world = taste_world(moved_on=0)
    since = split(world, "before_holdout", since_change=True)
    assert since.older_plays is None
    assert (since.plays != split(world, "before_holdout").plays).nnz == 0
    assert since.freshness is not None


def test_a_change_after_the_cutoff_leaves_nothing_to_learn_from():
    world = changed_world(taste_world(), AS_OF)
    world = replace(
        world, interactions=world.interactions.assign(plays_before_change=world.interactions["plays"])
    )
    since = split(world, "before_holdout", since_change=True)
    assert since.plays.nnz == 0
    assert since.seen.nnz > 0
