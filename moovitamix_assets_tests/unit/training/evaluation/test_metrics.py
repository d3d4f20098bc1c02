"""The metrics against RecTools' values, recorded by `golden/record_metrics.py`, and against scikit-learn's NDCG."""

import json

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import ndcg_score

from moovitamix_assets.training.evaluation.metrics import hits
from moovitamix_assets.training.evaluation.offline import metrics
from moovitamix_assets_tests.unit.training.evaluation.golden.record_metrics import GOLDEN

RECORDED = json.loads(GOLDEN.read_text())
NAMES = ["ndcg", "recall", "precision", "average_precision", "hit_rate"]


def matrix(relevant, tracks=RECORDED["tracks"]):
    rows = np.repeat(np.arange(len(relevant)), [len(each) for each in relevant])
    columns = np.concatenate([np.array(each, dtype=np.int64) for each in relevant])
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(relevant), tracks))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["case"])
def test_values_are_those_of_rectools(case, name):
    found = hits(np.array(case["ranked"], dtype=np.int32), matrix(case["relevant"]))
    measured = [bool(tracks) for tracks in case["relevant"]]
    for k, expected in case["values"][name].items():
        values = getattr(metrics, name)(found, int(k))
        assert values.dtype == np.float64
        expected = np.array(expected, dtype=np.float64)
        np.testing.assert_allclose(values[measured], expected[measured], rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_ndcg_is_that_of_scikit_learn(k):
    random = np.random.default_rng(7)
    scores = random.random((50, 60))
    wanted = random.random((50, 60)) < 0.15
    wanted[:, 0] = True
    ranked = np.argsort(-scores, axis=1)[:, :20].astype(np.int32)
    values = metrics.ndcg(hits(ranked, sparse.csr_matrix(wanted)), k)
    expected = [ndcg_score(wanted[[row]], scores[[row]], k=k) for row in range(50)]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["ndcg", "recall", "average_precision"])
def test_a_share_of_nothing_is_not_a_number(name):
    found = hits(np.array([[0, 1], [0, 1]], dtype=np.int32), matrix([[], [1]]))
    assert np.isnan(getattr(metrics, name)(found, 10)).tolist() == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_a_value_does_not_depend_on_the_other_users_measured(name):
    random = np.random.default_rng(3)
    ranked = np.array([random.permutation(40)[:20] for _ in range(200)], dtype=np.int32)
    relevant = sparse.csr_matrix(random.random((200, 40)) < 0.5)
    metric = getattr(metrics, name)
    together = metric(hits(ranked, relevant), 10)
    alone = [metric(hits(ranked[[row]], relevant[[row]]), 10)[0] for row in range(200)]
    assert together.tolist() == alone


def test_any_stored_entry_counts_and_the_order_of_entries_does_not():
    ranked = np.array([[4, 2, 9]], dtype=np.int32)
    weighted = sparse.csr_matrix((np.array([0.0, 7.0]), np.array([9, 4]), np.array([0, 2])), shape=(1, 10))
    found = hits(ranked, weighted)
    assert found.found[:, 0].tolist() == [True, False, True]
    assert found.relevant.tolist() == [2]


def test_rankings_and_relevant_tracks_of_different_users_are_refused():
    with pytest.raises(ValueError, match="2 ranked lists, but relevant tracks of 1 users"):
        hits(np.zeros((2, 3), dtype=np.int32), matrix([[1]]))
