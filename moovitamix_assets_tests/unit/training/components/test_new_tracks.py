import numpy as np
import pytest
from scipy import sparse

from moovitamix_assets.training.components.new_tracks import (
    EXPECTED_AT_FIRST,
    SHRINKAGE,
    FeatureMeans,
    NewTrackCalibration,
    extended_scores,
    extended_vectors,
    popularity_evidence,
    spreads,
)

# Four known tracks, two of artist 0 and two of artist 1; new ones of artist 0, artist 1, and of nobody known.
FEATURES = sparse.csr_matrix([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1], [0, 0]], dtype=np.float32)
KNOWN, NEW = np.arange(4), np.arange(4, 7)


@pytest.fixture
def means():
    return FeatureMeans.of(FEATURES, KNOWN, NEW)


@pytest.fixture
def vectors():
    random = np.random.default_rng(1)
    return random.normal(size=(5, 3)).astype(np.float32), random.normal(size=(4, 3)).astype(np.float32)


def test_a_new_track_lies_where_the_tracks_of_its_artist_lie_but_nearer_to_the_mean(means):
    values = np.array([[3.0], [5.0], [1.0], [-1.0]])
    share = 2 / (2 + SHRINKAGE)
    np.testing.assert_allclose(means.deviations(values), [[2 * share], [-2 * share], [0]])


def test_products_of_extended_vectors_are_the_scores_of_both_kinds(means, vectors):
    users, known = vectors
    offsets = np.array([0.5, -1.0, 0.0])
    extended, of_known, of_new = extended_vectors(users, known, means, 2.0, offsets)
    scores = users @ known.T
    np.testing.assert_allclose(extended @ of_known.T, scores, rtol=1e-5, atol=1e-6)
    expected = extended_scores(scores, means, 2.0) + scores.std(axis=1)[:, None] * offsets
    np.testing.assert_allclose(extended @ of_new.T, expected, rtol=1e-4, atol=1e-5)


def test_a_track_without_known_features_gets_the_mean_score(means, vectors):
    users, known = vectors
    scores = users @ known.T
    np.testing.assert_allclose(extended_scores(scores, means, 3.0)[:, 2], scores.mean(axis=1), rtol=1e-5)


def test_spreads_are_the_deviations_of_the_scores(vectors):
    users, known = vectors
    np.testing.assert_allclose(spreads(users, known), (users @ known.T).std(axis=1), rtol=1e-5)
    np.testing.assert_allclose(spreads(users, known, 0.5), spreads(users, known) + 0.5)


def test_without_known_tracks_all_new_ones_are_equal():
    nothing = FeatureMeans.of(FEATURES, KNOWN[:0], np.arange(7))
    _, _, of_new = extended_vectors(
        np.ones((2, 3), np.float32), np.zeros((0, 3), np.float32), nothing, 1.0, np.zeros(7)
    )
    assert not of_new.any()


def test_evidence_compares_listeners_with_those_expected_of_the_age():
    ages = np.array([10.0, 10.0, 1.0, 300.0, np.nan, -3.0])
    listeners = np.array([20, 0, 0, 0, 3, 0])
    popular, ignored, fresh, forgotten, unknown, later = popularity_evidence(listeners, ages, np.arange(6))
    daily = 20 / (9.5 + 9.5 + 0.5)
    assert popular == pytest.approx(np.log((EXPECTED_AT_FIRST + 20) / (EXPECTED_AT_FIRST + 9.5 * daily)))
    assert popular > 0 > fresh > ignored > forgotten
    assert unknown == 0
    assert fresh > later


def test_of_tracks_that_come_during_the_measured_days_the_earlier_ones_count_more():
    ages = np.array([1.0, 0.0, -3.0, -6.0, 20.0])
    evidence = popularity_evidence(np.array([0, 0, 0, 0, 19]), ages, np.arange(4))
    assert (np.diff(evidence) < 0).all()
    assert evidence[1] - evidence[0] == pytest.approx(np.log(6 / 7))


def test_there_is_no_evidence_where_no_age_is_known():
    assert not popularity_evidence(np.array([5, 0]), np.full(2, np.nan), np.arange(2)).any()


def test_old_tracks_are_judged_by_each_other_where_none_is_young_and_only_fall_behind():
    evidence = popularity_evidence(np.array([60, 0]), np.array([300.0, 400.0]), np.arange(2))
    assert evidence[0] == 0 > evidence[1]


def test_a_calibration_is_read_back_as_it_was_written():
    calibration = NewTrackCalibration(2.0, 0.25, 1.5)
    assert NewTrackCalibration.from_json(calibration.to_json()) == calibration
    assert NewTrackCalibration.from_json({}) == NewTrackCalibration()
    np.testing.assert_allclose(calibration.offsets(np.array([0.0, 2.0])), [0.25, 3.25])
