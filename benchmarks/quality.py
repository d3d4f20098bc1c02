"""Ranking quality of the blend compared with what a user would use instead, by the product's own code.

Tuning and measuring belong here; public data is loaded and split in `datasets.py`, the bundled world is made in
`bundled_world.py`, and tables and pictures are in `quality_report.py`. Every model gets the same
trials, chosen on a validation part that is cut out of the training part; the test part is used once.
"""

import argparse
import ctypes
import gc
import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from benchmarks.bundled_world import world_training_set
from benchmarks.datasets import TEST_SHARES, Format, SplitName, load, split_views, without_features
from benchmarks.quality_report import as_table, cold_in_words, summarise, write
from mock_api.settings import MockApiSettings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import ServedScorer
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import Component
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.item_knn import ItemKNN
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.training_view import TrainingView, split
from moovitamix_assets.training.evaluation.offline import COLD_PLAYS, Evaluation, Scorer, evaluate
from moovitamix_assets.training.selection.model_selection import recipe_of
from moovitamix_assets.training.selection.recipe import Recipe
from moovitamix_assets.training.selection.tuning import Trial, best_trial

FIRST_SEED = 42
METRICS = (
    "ndcg_at_10",
    "recall_at_20",
    "precision_at_10",
    "map_at_10",
    "hit_rate_at_10",
    "coverage",
    "cold_ndcg_at_10",
)

LIGHTFM_DEFAULTS = LightFM(
    embedding_size=10, regularization=0.0, epochs=30, feature_weight=0.0, weighting="ones"
)
"""The package's defaults, with 30 epochs and the interactions alone."""

# The first `budget` of each are tried, the most promising first.
CANDIDATES: Mapping[str, Sequence[Component]] = {
    "item_knn": [
        ItemKNN(neighbours=100, similarity="cosine", weighting="log"),
        ItemKNN(neighbours=100, similarity="tfidf", weighting="ones"),
        ItemKNN(neighbours=200, similarity="cosine", weighting="ones"),
        ItemKNN(neighbours=50, similarity="bm25", weighting="ones"),
        ItemKNN(neighbours=50, similarity="cosine", weighting="log"),
        ItemKNN(neighbours=200, similarity="tfidf", weighting="log"),
    ],
    "lightfm": [
        LightFM(epochs=50, learning_rate=0.05, regularization=3e-4),
        LightFM(epochs=50, learning_rate=0.02, regularization=1e-4),
        LightFM(epochs=50, learning_rate=0.05, regularization=1e-3),
        LightFM(epochs=50, learning_rate=0.05, regularization=1e-4),
        LightFM(epochs=50, learning_rate=0.05, regularization=1e-3, feature_weight=2.0),
        LightFM(epochs=50, learning_rate=0.05, regularization=3e-4, feature_weight=0.3),
    ],
    "als": [
        ALS(regularization=60.0, alpha=3.0, weighting="log"),
        ALS(regularization=60.0, alpha=10.0, weighting="ones"),
        ALS(regularization=30.0, alpha=5.0, weighting="log"),
        ALS(regularization=30.0, alpha=3.0, weighting="log"),
        ALS(regularization=10.0, alpha=3.0, weighting="ones"),
        ALS(embedding_size=128, regularization=100.0, alpha=20.0, weighting="ones"),
    ],
    "ease": [
        EASE(regularization=2000.0, weighting="log"),
        EASE(regularization=500.0, weighting="ones"),
        EASE(regularization=1000.0, weighting="log"),
        EASE(regularization=200.0, weighting="ones"),
        EASE(regularization=4000.0, weighting="log"),
        EASE(regularization=200.0, weighting="log"),
    ],
}

_FEATURE_WEIGHTS = {"als": 0.5, "ease": 1.0}


@dataclass(frozen=True)
class Task:
    """The data that models are compared on.

    Attributes:
        tuning: For choosing hyperparameters.
        final: For the figures.
        serve: How the blend is used on `final`.
    """

    tuning: TrainingView
    final: TrainingView
    serve: Callable[[Recommender], Scorer] = lambda model: model.blend


def world_task(seed: int) -> Task:
    """The bundled world of a seed, cut in time as the product does it; users without plays are cold starts."""
    known = world_training_set(MockApiSettings(seed=seed))
    final = split(known, "before_holdout")
    return Task(split(known, "before_validation"), final, lambda model: ServedScorer.on(model, known, final))


def tasks(form: Format | Literal["world"], path: Path | None, split_name: SplitName) -> Callable[[int], Task]:
    """Return what gives the task of a seed.

    Raises:
        ValueError: If a folder is needed and not given, or the world is to be split at random.
    """
    if form == "world":
        if split_name != "time":
            raise ValueError("the bundled world is split in time only")
        return world_task
    if path is None:
        raise ValueError(f"{form} is read from a folder: give --path")
    events = load(form, path, split_name)
    return lambda seed: Task(*split_views(events, split_name, TEST_SHARES[form, split_name], seed))


@dataclass(frozen=True)
class Measured:
    """One model on one split.

    Attributes:
        evaluation: On the test part.
        seconds: Of one core, for the final fit without tuning.
        peak_mb: Memory of the whole process, data included, at its highest during the final fit, in MB.
        recipe: What was fitted, in words.
    """

    evaluation: Evaluation
    seconds: float
    peak_mb: float
    recipe: str


def measure(fit: Callable[[], Scorer], view: TrainingView, recipe: str) -> Measured:
    """Fit once and evaluate once."""
    _reset_peak_memory()
    started = time.process_time()
    fitted = fit()
    seconds, peak = time.process_time() - started, _peak_memory_mb()
    return Measured(evaluate(view, fitted), seconds, peak, recipe)


def _reset_peak_memory() -> None:
    """Give freed memory back and let the kernel forget the peak so far (Linux); elsewhere it is the process's."""
    gc.collect()
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if give_back is not None:
            give_back(0)
        switch.write_text("5")


def _peak_memory_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(task: Task, seed: int, budget: int) -> dict[str, Measured]:
    """Tune every model on one view, fit it on the other and measure it there."""
    tuning, final = task.tuning, task.final
    results = {
        "popularity": measure(lambda: Popularity().fit(final, seed, 1), final, "plays"),
        "lightfm_defaults": measure(
            lambda: LIGHTFM_DEFAULTS.fit(without_features(final), seed, 1), final, str(LIGHTFM_DEFAULTS)
        ),
    }
    trials: dict[str, Trial] = {}
    for name, candidates in CANDIDATES.items():
        trials[name] = best_trial(tuning, candidates[:budget], seed, threads=1)
        parameters = trials[name].component
        results[name] = measure(partial(parameters.fit, final, seed, 1), final, str(parameters))
    further = [_with_or_without_features(tuning, trials[name], seed) for name in ("als", "ease")]
    recipe = recipe_of(tuning, [trials["lightfm"], *further])
    results["blend"] = measure(lambda: task.serve(_product(final, recipe, seed)), final, _in_words(recipe))
    return results


def _with_or_without_features(tuning: TrainingView, trial: Trial, seed: int) -> Trial:
    """Try the product's own addition to ALS and EASE: track features as further listeners."""
    plain = trial.component
    featured = best_trial(
        tuning,
        [plain.from_json({**plain.to_json(), "feature_weight": _FEATURE_WEIGHTS[plain.name]})],
        seed,
        threads=1,
    )
    return max(trial, featured, key=lambda tried: tried.ndcg_at_10)


def _product(view: TrainingView, recipe: Recipe, seed: int) -> Recommender:
    return Recommender.fit_view(
        view, recipe, seed=seed, threads=1, model_version="benchmark", as_of=date(2026, 1, 1), cutoff="as_of"
    )


def _in_words(recipe: Recipe) -> str:
    return " + ".join(f"{part.weight:g} {part.component}" for part in recipe.components)


def cold_users(view: TrainingView, results: Mapping[str, Measured]) -> pd.DataFrame:
    """Return NDCG@10 of blend and popularity for each test user with few plays before the cut."""
    cold = view.user_plays[view.test_users] <= COLD_PLAYS
    return pd.DataFrame(
        {
            model: results[model].evaluation.per_user["ndcg_at_10"].to_numpy()[cold]
            for model in ("blend", "popularity")
        }
    )


def rows_of(
    dataset: str, split_name: str, seed: int, results: Mapping[str, Measured]
) -> list[dict[str, Any]]:
    """Return one row per model and metric."""
    rows = []
    for model, measured in results.items():
        for line in measured.evaluation.table.to_dict("records"):
            name = line["metric"] if line["segment"] == "all" else f"{line['segment']}_{line['metric']}"
            if name not in METRICS:
                continue
            rows.append(
                {
                    "dataset": dataset,
                    "split": split_name,
                    "seed": seed,
                    "model": model,
                    "metric": name,
                    "value": round(line["value"], 5),
                    "standard_error": _rounded(line["standard_error"]),
                    "users": line["users"],
                    "seconds": round(measured.seconds, 2),
                    "peak_mb": round(measured.peak_mb, 1),
                    "recipe": measured.recipe,
                }
            )
    return rows


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 5)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", choices=("world", *get_args(Format)), default="world")
    parser.add_argument("--path", type=Path, help="folder of the data set; the bundled world needs none")
    parser.add_argument("--split", choices=get_args(SplitName), default="time")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=4, help="trials per model")
    parser.add_argument("--json", type=Path, help="file for the figures as JSON")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    task_of = tasks(options.format, options.path, options.split)
    rows: list[dict[str, Any]] = []
    cold: list[pd.DataFrame] = []
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        task = task_of(seed)
        results = compare(task, seed, options.budget)
        rows += rows_of(options.format, options.split, seed, results)
        cold.append(cold_users(task.final, results))
        for model, measured in results.items():
            value = measured.evaluation.value("ndcg_at_10")
            print(
                f"seed {seed}  {model:16s} NDCG@10 {value:.4f}  {measured.seconds:6.1f} s  {measured.recipe}"
            )
        summary = summarise(pd.DataFrame(rows))
        name = f"quality_{options.format}_{options.split}"
        write(summary, pd.DataFrame(rows), cold_in_words(cold, FIRST_SEED), options.output, name)
    if options.json:
        options.json.write_text(
            json.dumps(summary.replace({np.nan: None}).to_dict("records"), indent=1) + "\n"
        )
    print(as_table(summary) + cold_in_words(cold, FIRST_SEED))


if __name__ == "__main__":
    main()
