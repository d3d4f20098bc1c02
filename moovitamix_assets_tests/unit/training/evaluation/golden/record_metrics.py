"""Record RecTools' values for rankings in `metrics_by_rectools.json`, to which the tests of the metrics are pinned.

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
    """Rankings, -1 as padding, and the relevant tracks of each, by the name of the case."""
    random = np.random.default_rng(20260901)
    yield "a single user", [list(range(20))], [[0, 3, 15]]
    yield "a single ranking of one track", [[7]], [[7, 9]]
    yield "nothing recommended at all", [[-1] * 20], [[1, 2]]
    yield "nothing relevant recommended", [[1, 2, 3], [4, 5, 6]], [[40, 41], [5]]
    yield "short rankings", [[1, 2, 3, -1, -1], [4, -1, -1, -1, -1], [-1] * 5], [[2, 3], [4, 5, 6], [1]]
    yield "padding in between", [[1, -1, 2, -1, 3], [-1, 4, -1, -1, 5]], [[2, 3], [4, 5, 9]]
    yield (
        "more relevant than k",
        [random.permutation(TRACKS)[:20].tolist()] * 2,
        [list(range(30)), list(range(55))],
    )
    yield "everything relevant", [list(range(20)), list(range(20, 40))], [list(range(TRACKS))] * 2
    yield "a user without anything relevant", [[1, 2], [3, 4], [5, 6]], [[1], [], [6]]
    ranked = np.array([random.permutation(TRACKS)[:20] for _ in range(12)])
    ranked[random.random(ranked.shape) < 0.15] = -1
    relevant = [sorted(random.choice(TRACKS, random.integers(1, 25), replace=False).tolist()) for _ in ranked]
    yield "a dozen users", ranked.tolist(), relevant


def recorded(ranked, relevant):
    """Every metric by RecTools at every length; null for users without relevant tracks, whom it leaves out."""
    import pandas as pd
    from rectools.metrics import MAP, NDCG, HitRate, Precision, Recall

    shown = [
        (user, track, rank)
        for user, one in enumerate(ranked)
        for rank, track in enumerate(one, 1)
        if track >= 0
    ]
    recommended = pd.DataFrame(shown, columns=["user_id", "item_id", "rank"], dtype=np.int64)
    wanted = [(user, track) for user, tracks in enumerate(relevant) for track in tracks]
    interactions = pd.DataFrame(wanted, columns=["user_id", "item_id"], dtype=np.int64)
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
            values.setdefault(name, {})[str(k)] = [found.get(user) for user in range(len(ranked))]
    return values


def main():
    """Write the file."""
    golden = [
        {"case": name, "ranked": ranked, "relevant": relevant, "values": recorded(ranked, relevant)}
        for name, ranked, relevant in cases()
    ]
    lines = ",\n".join(json.dumps(case) for case in golden)
    GOLDEN.write_text(
        f'{{"rectools": "{version("rectools")}", "tracks": {TRACKS}, "cases": [\n{lines}\n]}}\n'
    )


if __name__ == "__main__":
    main()
