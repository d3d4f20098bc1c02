"""Record what RecTools says of some lists in `metrics_by_rectools.json`, which the tests of the metrics are pinned to.

    python -m moovitamix_assets_tests.unit.training.evaluation.golden.record_metrics

Needs RecTools, which nothing else of the tests does (see the extra `benchmark`). Run once, with RecTools 0.19.0; to be
run again only where a case is added.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("metrics_by_rectools.json")
TRACKS = 60
LENGTHS = (1, 3, 10, 20)


def cases():
    """Lists, -1 as padding, and the relevant tracks of each, by what the case is about."""
    random = np.random.default_rng(20260901)
    yield "a single user", [list(range(20))], [[0, 3, 15]]
    yield "a single list of one track", [[7]], [[7, 9]]
    yield "nothing recommended at all", [[-1] * 20], [[1, 2]]
    yield "nothing relevant in the list", [[1, 2, 3], [4, 5, 6]], [[40, 41], [5]]
    yield "short lists", [[1, 2, 3, -1, -1], [4, -1, -1, -1, -1], [-1] * 5], [[2, 3], [4, 5, 6], [1]]
    yield "padding in between", [[1, -1, 2, -1, 3], [-1, 4, -1, -1, 5]], [[2, 3], [4, 5, 9]]
    yield (
        "more relevant than k",
        [random.permutation(TRACKS)[:20].tolist()] * 2,
        [list(range(30)), list(range(55))],
    )
    yield "everything relevant", [list(range(20)), list(range(20, 40))], [list(range(TRACKS))] * 2
    yield "someone without anything relevant", [[1, 2], [3, 4], [5, 6]], [[1], [], [6]]
    lists = np.array([random.permutation(TRACKS)[:20] for _ in range(12)])
    lists[random.random(lists.shape) < 0.15] = -1
    relevant = [sorted(random.choice(TRACKS, random.integers(1, 25), replace=False).tolist()) for _ in lists]
    yield "a dozen users", lists.tolist(), relevant


def recorded(lists, relevant):
    """Every metric by RecTools at every length; null for users without anything relevant, whom it leaves out."""
    import pandas as pd
    from rectools.metrics import MAP, NDCG, HitRate, Precision, Recall

    shown = [
        (user, track, rank)
        for user, one in enumerate(lists)
        for rank, track in enumerate(one, 1)
        if track >= 0
    ]
    recommended = pd.DataFrame(shown, columns=["user_id", "item_id", "rank"], dtype=np.int64)
    pairs = [(user, track) for user, tracks in enumerate(relevant) for track in tracks]
    interactions = pd.DataFrame(pairs, columns=["user_id", "item_id"], dtype=np.int64)
    values = {}
    for k in LENGTHS:
        for name, metric in {
            "ndcg": NDCG(k=k, divide_by_achievable=True),
            "recall": Recall(k=k),
            "precision": Precision(k=k),
            "average_precision": MAP(k=k),
            "hit_rate": HitRate(k=k),
        }.items():
            found = metric.calc_per_user(recommended, interactions).to_dict()
            values.setdefault(name, {})[str(k)] = [found.get(user) for user in range(len(lists))]
    return values


def main():
    """Write the file."""
    golden = [
        {"case": name, "lists": lists, "relevant": relevant, "values": recorded(lists, relevant)}
        for name, lists, relevant in cases()
    ]
    lines = ",\n".join(json.dumps(case) for case in golden)
    GOLDEN.write_text(
        f'{{"rectools": "{version("rectools")}", "tracks": {TRACKS}, "cases": [\n{lines}\n]}}\n'
    )


if __name__ == "__main__":
    main()
