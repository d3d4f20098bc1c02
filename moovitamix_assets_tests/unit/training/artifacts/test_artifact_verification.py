from dataclasses import replace

import numpy as np
import pytest

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.artifact_verification import (
    verify_artifact,
    write_expected_recommendations,
)
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world

RECIPE = Recipe((WeightedComponent(LightFM(embedding_size=8, epochs=5), 1.0),))


@pytest.fixture(scope="module")
def world():
    return taste_world()


@pytest.fixture(scope="module")
def model(world):
    return Recommender.fit(world, RECIPE, Settings().training, cutoff="before_holdout")


@pytest.fixture
def stored(model, tmp_path):
    model.save(tmp_path)
    write_expected_recommendations(model, tmp_path)
    return tmp_path


def test_a_sound_artifact_has_no_faults(stored):
    found = verify_artifact(stored, Settings().training)
    assert found.faults == ()
    assert found.users > 50
    assert found.served_share == 1.0


def test_a_file_that_changed_is_found(stored):
    vectors = np.load(stored / "track_vectors.npy")
    np.save(stored / "track_vectors.npy", vectors[::-1])
    assert any(
        "other recommendations" in fault for fault in verify_artifact(stored, Settings().training).faults
    )


def test_scores_that_are_not_numbers_or_all_the_same_are_found(stored):
    vectors = np.load(stored / "user_vectors.npy")
    np.save(stored / "user_vectors.npy", vectors * np.nan)
    assert any("not numbers" in fault for fault in verify_artifact(stored, Settings().training).faults)
    np.save(stored / "user_vectors.npy", vectors * 0)
    assert any("the same score" in fault for fault in verify_artifact(stored, Settings().training).faults)


def test_low_coverage_is_found(stored):
    vectors = np.load(stored / "user_vectors.npy")
    np.save(stored / "user_vectors.npy", np.tile(vectors[0], (len(vectors), 1)))
    asking_much = Settings(artifact_minimum_coverage=1.0).training
    assert any("of the catalogue" in fault for fault in verify_artifact(stored, asking_much).faults)


def test_missing_recommendations_are_found(stored):
    vectors = np.load(stored / "user_vectors.npy")
    vectors[:4] = np.nan
    np.save(stored / "user_vectors.npy", vectors)
    found = verify_artifact(stored, Settings().training)
    assert found.served_share == pytest.approx(1 - 4 / found.users)
    assert any("get all the recommendations" in fault for fault in found.faults)
    lenient = verify_artifact(stored, Settings(artifact_minimum_served_share=found.served_share).training)
    assert not any("get all the recommendations" in fault for fault in lenient.faults)


def test_recommendations_may_be_as_few_as_there_are_tracks_left_and_not_one_fewer(tmp_path):
    world = taste_world(users=20, tracks=24, listens=600)
    small = Recommender.fit(world, RECIPE, Settings().training, cutoff="as_of")
    small.save(tmp_path)
    write_expected_recommendations(small, tmp_path)
    played = small.plays.toarray()[:-1] > 0
    assert (played.sum(axis=1) > 4).all(), "fewer than 20 tracks are left for every user"
    assert not played.all(axis=0).any(), "every track is left for some user"
    sound = verify_artifact(tmp_path, Settings().training)
    assert (sound.users, sound.coverage, sound.served_share) == (19, 1.0, 1.0)

    vectors = np.load(tmp_path / "track_vectors.npy")
    vectors[5] = np.nan  # The track is recommended to no user any more.
    np.save(tmp_path / "track_vectors.npy", vectors)
    found = verify_artifact(tmp_path, Settings().training)
    assert found.served_share == pytest.approx(played[:, 5].mean())
    assert found.coverage == pytest.approx(23 / 24)


def test_users_who_have_played_everything_are_no_fault(world, tmp_path):
    everything = world.interactions.iloc[:0].copy()
    every_one = [(user, track) for user in world.users["user_id"] for track in world.tracks["track_id"]]
    everything[["user_id", "track_id"]] = every_one
    everything = everything.assign(
        plays=1,
        plays_before_holdout=1,
        plays_before_validation=1,
        first_listened_at=world.interactions["first_listened_at"].iloc[0],
        last_listened_at=world.interactions["last_listened_at"].iloc[0],
    )
    saturated = Recommender.fit(
        replace(world, interactions=everything), RECIPE, Settings().training, cutoff="as_of"
    )
    saturated.save(tmp_path)
    write_expected_recommendations(saturated, tmp_path)
    assert verify_artifact(tmp_path, Settings().training).faults == ()
