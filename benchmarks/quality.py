"""Ranking quality of the blend beside what a user would use instead, on public data, by the product's own code.

Tuning, measuring and reporting belong here; loaders and splits are in `datasets.py`. Every model gets the same
trials, chosen on a validation part that is cut out of the training part; the test part is looked at once.
"""

import argparse
import ctypes
import gc
import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from benchmarks.datasets import TEST_SHARES, Format, SplitName, load, split_views, without_features
from moovitamix_assets.training.choosing import Trial, best_trial, recipe_of
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import ComponentParameters
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.item_knn import ItemKNN
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.evaluation import Evaluation, Scorer, evaluate
from moovitamix_assets.training.interactions import TrainingView
from moovitamix_assets.training.recipe import Recipe
from moovitamix_assets.training.recommender import Recommender

FIRST_SEED = 42
METRICS = ("ndcg_at_10", "recall_at_20", "precision_at_10", "map_at_10", "hit_rate_at_10", "coverage")

LIGHTFM_DEFAULTS = LightFM(components=10, l2=0.0, epochs=30, feature_weight=0.0, weighting="ones")
"""What the package does when nothing is said, with 30 epochs and the interactions alone."""

# The first `budget` of each are tried, the most promising first.
CANDIDATES: Mapping[str, Sequence[ComponentParameters]] = {
    "item_knn": [
        ItemKNN(neighbours=100, similarity="cosine", weighting="log"),
        ItemKNN(neighbours=100, similarity="tfidf", weighting="ones"),
        ItemKNN(neighbours=200, similarity="cosine", weighting="ones"),
        ItemKNN(neighbours=50, similarity="bm25", weighting="ones"),
        ItemKNN(neighbours=50, similarity="cosine", weighting="log"),
        ItemKNN(neighbours=200, similarity="tfidf", weighting="log"),
    ],
    "lightfm": [
        LightFM(epochs=50, learning_rate=0.05, l2=3e-4),
        LightFM(epochs=50, learning_rate=0.02, l2=1e-4),
        LightFM(epochs=50, learning_rate=0.05, l2=1e-3),
        LightFM(epochs=50, learning_rate=0.05, l2=1e-4),
        LightFM(epochs=50, learning_rate=0.05, l2=1e-3, feature_weight=2.0),
        LightFM(epochs=50, learning_rate=0.05, l2=3e-4, feature_weight=0.3),
    ],
    "als": [
        ALS(regularization=60.0, alpha=3.0, weighting="log"),
        ALS(regularization=60.0, alpha=10.0, weighting="ones"),
        ALS(regularization=30.0, alpha=5.0, weighting="log"),
        ALS(regularization=30.0, alpha=3.0, weighting="log"),
        ALS(regularization=10.0, alpha=3.0, weighting="ones"),
        ALS(components=128, regularization=100.0, alpha=20.0, weighting="ones"),
    ],
    "ease": [
        EASE(l2=2000.0, weighting="log"),
        EASE(l2=500.0, weighting="ones"),
        EASE(l2=1000.0, weighting="log"),
        EASE(l2=200.0, weighting="ones"),
        EASE(l2=4000.0, weighting="log"),
        EASE(l2=200.0, weighting="log"),
    ],
}


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


def compare(tuning: TrainingView, final: TrainingView, seed: int, budget: int) -> dict[str, Measured]:
    """Tune every model on `tuning`, fit it on `final` and measure it there."""
    results = {
        "popularity": measure(lambda: Popularity().fit(final, seed, 1), final, "plays"),
        "lightfm_defaults": measure(
            lambda: LIGHTFM_DEFAULTS.fit(without_features(final), seed, 1), final, str(LIGHTFM_DEFAULTS)
        ),
    }
    trials: dict[str, Trial] = {}
    for name, candidates in CANDIDATES.items():
        trials[name] = best_trial(tuning, candidates[:budget], seed, threads=1)
        parameters = trials[name].parameters
        results[name] = measure(partial(parameters.fit, final, seed, 1), final, str(parameters))
    further = [_with_or_without_features(tuning, trials[name], seed) for name in ("als", "ease")]
    recipe = recipe_of(tuning, [trials["lightfm"], *further])
    results["blend"] = measure(lambda: _product(final, recipe, seed), final, _in_words(recipe))
    return results


def _with_or_without_features(tuning: TrainingView, trial: Trial, seed: int) -> Trial:
    """Try the product's own addition to ALS and EASE: track features as further listeners."""
    plain = trial.parameters
    if not isinstance(plain, ALS | EASE):
        raise TypeError(f"{plain.name} has no features of this kind")
    weight = 0.5 if isinstance(plain, ALS) else 1.0
    featured = best_trial(tuning, [replace(plain, feature_weight=weight)], seed, threads=1)
    return max(trial, featured, key=lambda tried: tried.ndcg_at_10)


def _product(view: TrainingView, recipe: Recipe, seed: int) -> Scorer:
    return Recommender.fit_view(
        view, recipe, seed=seed, threads=1, model_version="benchmark", as_of=date(2026, 1, 1), fit_on="all"
    ).blend


def _in_words(recipe: Recipe) -> str:
    return " + ".join(f"{part.weight:g} {part.parameters}" for part in recipe.ingredients)


def rows_of(
    dataset: str, split_name: str, seed: int, results: Mapping[str, Measured]
) -> list[dict[str, Any]]:
    """Return one row per model and metric."""
    rows = []
    for model, measured in results.items():
        for line in measured.evaluation.table.query("segment == 'all'").to_dict("records"):
            if line["metric"] not in METRICS:
                continue
            rows.append(
                {
                    "dataset": dataset,
                    "split": split_name,
                    "seed": seed,
                    "model": model,
                    "metric": line["metric"],
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


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds per model and metric, in the form of one row per model and metric."""
    keys = ["dataset", "split", "model", "metric"]
    figures = ["value", "standard_error", "users", "seconds", "peak_mb"]
    means = rows.groupby(keys, sort=False, as_index=False)[figures].mean()
    means["users"] = means["users"].round().astype(int)
    return means


def as_table(summary: pd.DataFrame) -> str:
    """Return Markdown: a model per line, a metric per column."""
    shown = ("ndcg_at_10", "recall_at_20", "map_at_10", "hit_rate_at_10", "coverage")
    lines = [
        "| model | NDCG@10 | recall@20 | MAP@10 | hit rate@10 | coverage | s.e. of NDCG | seconds | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for model, frame in summary.groupby("model", sort=False):
        metrics = {row["metric"]: row for row in frame.to_dict("records")}
        ndcg = metrics["ndcg_at_10"]
        cells = [str(model), *(f"{metrics[name]['value']:.4f}" for name in shown)]
        cells += [f"{ndcg['standard_error']:.4f}", f"{ndcg['seconds']:.1f}", f"{ndcg['peak_mb']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(summary: pd.DataFrame, path: Path) -> None:
    """Draw NDCG@10 with standard errors, a bar per model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ndcg = summary[summary["metric"] == "ndcg_at_10"].iloc[::-1]
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    colours = ["#c44e52" if model == "blend" else "#8c9bb0" for model in ndcg["model"]]
    axes.barh(ndcg["model"], ndcg["value"], xerr=ndcg["standard_error"], color=colours)
    axes.bar_label(axes.containers[-1], fmt="%.3f", padding=6)
    axes.set_xlabel("NDCG@10 on unseen pairs, heard ones left out, full ranking")
    axes.set_title(f"{ndcg['dataset'].iloc[0]}, split {ndcg['split'].iloc[0]}", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", choices=get_args(Format), required=True)
    parser.add_argument("--path", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--split", choices=get_args(SplitName), required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=4, help="trials per model")
    parser.add_argument("--json", type=Path, help="file for the figures as JSON")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    form: Format = options.format
    split_name: SplitName = options.split
    events = load(form, options.path, split_name)
    rows: list[dict[str, Any]] = []
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        tuning, final = split_views(events, split_name, TEST_SHARES[form, split_name], seed)
        results = compare(tuning, final, seed, options.budget)
        rows += rows_of(form, split_name, seed, results)
        for model, measured in results.items():
            value = measured.evaluation.value("ndcg_at_10")
            print(
                f"seed {seed}  {model:16s} NDCG@10 {value:.4f}  {measured.seconds:6.1f} s  {measured.recipe}"
            )
        summary = summarise(pd.DataFrame(rows))
        write(summary, pd.DataFrame(rows), options.output, f"quality_{form}_{split_name}")
    if options.json:
        options.json.write_text(
            json.dumps(summary.replace({np.nan: None}).to_dict("records"), indent=1) + "\n"
        )
    print(as_table(summary))


def write(summary: pd.DataFrame, rows: pd.DataFrame, directory: Path, name: str) -> None:
    """Write the figures of every seed (CSV), the table (Markdown) and the plot (PNG)."""
    directory.mkdir(parents=True, exist_ok=True)
    rows.to_csv(directory / f"{name}.csv", index=False)
    (directory / f"{name}.md").write_text(as_table(summary))
    plot(summary, directory / f"{name}.png")


if __name__ == "__main__":
    main()
