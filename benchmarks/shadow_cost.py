"""Processor seconds of a night with a challenger in shadow, against one without: `python -m benchmarks.shadow_cost`.

A warehouse of simulated plays, a champion and a challenger fitted with the same recipe. Measured is what a nightly run
computes from loaded partitions: recommendations, those in shadow, quality and drift, written as the assets write them.
Reading and cleaning the day are left out: they cost the same in both.
"""

import argparse
import json
import tempfile
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from benchmarks.recovery.night import compute_night, recommend
from benchmarks.simulation import AS_OF, simulated_training_set
from foundation.models import promotions
from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.warehouse.rows import insert
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import (
    LISTENS,
    TRACKS,
    USERS,
)

_RECIPE = Recipe((WeightedComponent(LightFM(epochs=2), 1.0), WeightedComponent(ALS(iterations=2), 0.5)))
_TRACKS, _NICHES, _SEED = 20_000, 60, 7


def build_world(folder: Path, interactions: int) -> tuple[Settings, date]:
    """Fill a warehouse up to the day after the training set's, and promote a champion trained on the set.

    Returns:
        The settings of the folder, and the day whose night is measured.
    """
    settings = Settings(data_dir=folder, warehouse_copy=False, mirror_decisions=False)
    training_set = simulated_training_set(interactions, _TRACKS, _NICHES, _SEED)
    day = AS_OF + timedelta(days=1)
    with write_warehouse(settings.warehouse_path) as connection:
        insert(connection, USERS, _loaded(training_set.users, USERS, AS_OF))
        insert(connection, TRACKS, _loaded(training_set.tracks, TRACKS, AS_OF))
        insert(connection, LISTENS, _listens(training_set, day))
    champion = _stored(settings, training_set, _SEED)
    _decided(settings, champion, "promoted")
    night(settings, AS_OF)
    return settings, day


def add_challenger(settings: Settings, interactions: int) -> None:
    """Put a second model, of another seed, into shadow as of the training set's day, and recommend with it."""
    training_set = simulated_training_set(interactions, _TRACKS, _NICHES, _SEED)
    _decided(settings, _stored(settings, training_set, _SEED + 1), "shadow")
    recommend(settings, AS_OF)


def night(settings: Settings, day: date) -> float:
    """Compute a night; return its processor seconds."""
    began = time.process_time()
    compute_night(settings, day)
    return time.process_time() - began


def _stored(settings: Settings, training_set: TrainingSet, seed: int) -> str:
    model = Recommender.fit(training_set, _RECIPE, settings.changed(seed=seed).training, cutoff="as_of")
    nothing = pd.DataFrame({"subject": [], "metric": []})
    model_store(settings.models_dir).write(Candidate(model.model_version, nothing, nothing), model.save)
    return model.model_version


def _decided(settings: Settings, version: str, verdict: str) -> None:
    decision = Decision("promoted" if verdict == "promoted" else "shadow", "For a benchmark.")
    with write_warehouse(settings.warehouse_path) as connection:
        promotions.record(connection, version, AS_OF, decision, {})


def _loaded(frame: pd.DataFrame, schema: pa.DataFrameSchema, day: date) -> pd.DataFrame:
    loaded = frame.assign(changed_on=pd.Timestamp(day), loaded_at=datetime(2026, 10, 20))
    whole = loaded.reindex(columns=list(schema.columns))
    return whole.assign(**{str(name): None for name in whole if whole[name].isna().all()})


def _listens(training_set: TrainingSet, day: date) -> pd.DataFrame:
    """One session per interaction; each fiftieth track is played on the day measured, for the first time."""
    played = training_set.interactions
    rows = pd.DataFrame(
        {
            "user_id": played["user_id"],
            "track_id": played["track_id"],
            "listened_at": played["last_listened_at"] + pd.to_timedelta(range(len(played)), unit="us"),
            "position": 1,
        }
    )
    new = rows.index % 50 == 0
    rows.loc[new, "listened_at"] = pd.Timestamp(day) + pd.to_timedelta(range(int(new.sum())), unit="us")
    return rows.assign(
        session_updated_at=rows["listened_at"],
        changed_on=rows["listened_at"].dt.normalize(),
        loaded_at=datetime(2026, 10, 20),
    )


def main() -> None:
    """Measure nights with and without a challenger by turns, and print the ratio of their medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shadow_cost", description=__doc__)
    parser.add_argument("--interactions", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        settings, day = build_world(Path(folder), given.interactions)
        seconds["without"] = [night(settings, day) for _ in range(given.repeats)]
        add_challenger(settings, given.interactions)
        seconds["with"] = [night(settings, day) for _ in range(given.repeats)]
        with read_warehouse(settings.warehouse_path) as connection:
            measured = connection.execute(
                "SELECT role, users FROM recommendation_quality WHERE day = ? AND segment = 'all'", [day]
            ).fetchall()
    medians = {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}
    result = {**medians, "ratio": medians["with"] / medians["without"], "measured": measured}
    print(json.dumps(result))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
