"""Seconds and memory of training and recommending, by the number of interactions, in a process of its own each.

Run as `python -m benchmarks.scale --interactions 1000000,10000000`. Read, trained and recommended is as the
assets do it; what is read was drawn by `simulation.py`. Seconds of a stage are processor time, so that what else
the machine does counts little. Not here: how good the recommendations are.
"""

import json
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.simulation import simulated_training_set
from moovitamix_assets.recommendations.batch import Known, recommend_users
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.gate.candidate import train_candidate
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.selection.recipe import Recipe

RESULTS = Path(__file__).parent / "results"
SEED = 7

# The steps that training reports, in this order.
_TRAINING = ("choosing", "refit", "measuring", "fitting")

_P = ParamSpec("_P")
_R = TypeVar("_R")


def simulate(folder: Path, interactions: int, tracks: int, niches: int) -> None:
    """Draw a training set and write it."""
    simulated_training_set(interactions, tracks, niches, SEED).write(folder)


def measure(folder: Path, threads: int) -> dict[str, Any]:
    """Read a training set, train its model, recommend to all users; all in this process.

    Returns:
        users, tracks and interactions; processor seconds of each stage and in all; seconds by the clock;
        peak_mb; rows recommended; ndcg_at_10 of the candidate and of popularity; the recipe in words.
    """
    stages: dict[str, float] = {}
    since, started = time.process_time(), time.perf_counter()

    def done(stage: str) -> None:
        nonlocal since
        now = time.process_time()
        stages[stage], since = now - since, now
        print(f"  {stage:14s} {stages[stage]:8.1f} s  peak so far {_peak_mb():,.0f} MB", flush=True)

    training_set = TrainingSet.read(folder)
    done("reading")
    settings = Settings(data_dir=folder, training_threads=threads)
    candidate = train_candidate(training_set, settings, None, lambda step, _: done(_TRAINING[step - 1]))
    model = model_store(settings.models_dir).load(candidate.model_version)
    known = Known(
        training_set.as_of,
        training_set.users,
        training_set.tracks,
        training_set.interactions[["user_id", "track_id"]],
    )
    rows = recommend_users(
        known,
        model,
        length=settings.recommendations.recommendations_per_user,
        filter_seen=True,
        expire_hours=settings.recommendations.recommendations_expire_hours,
    )
    done("recommending")
    return {
        "interactions": len(training_set.interactions),
        "users": len(training_set.users),
        "tracks": len(training_set.tracks),
        "threads": threads,
        **{f"{stage}_seconds": round(seconds, 1) for stage, seconds in stages.items()},
        "seconds": round(sum(stages.values()), 1),
        "wall_clock_seconds": round(time.perf_counter() - started, 1),
        "peak_mb": round(_peak_mb()),
        "recommendations": len(rows),
        "ndcg_at_10": _ndcg(candidate.evaluations, "candidate"),
        "popularity_ndcg_at_10": _ndcg(candidate.evaluations, "popularity"),
        "recipe": _in_words(model.recipe),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ndcg(evaluations: pd.DataFrame, subject: str) -> float:
    rows = evaluations.query("subject == @subject and segment == 'all' and metric == 'ndcg_at_10'")
    return round(float(rows["value"].iloc[0]), 4)


def _in_words(recipe: Recipe) -> str:
    return " + ".join(
        f"{part.weight:g} {part.component.name}"
        + (f" ({part.component.epochs} epochs)" if hasattr(part.component, "epochs") else "")
        for part in recipe.components
    )


def in_own_process(work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Run a function in a fresh process, so that memory is its own; spawned, a fork would start with ours."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def main(
    interactions: Annotated[
        str, typer.Option(help="Interactions (user and track), one run each, by commas.")
    ] = "1000000,10000000",
    tracks: Annotated[int, typer.Option(help="Tracks of the catalogue, whatever the interactions.")] = 50_000,
    niches: Annotated[int, typer.Option(help="Kinds of tracks that users like.")] = 50,
    threads: Annotated[int, typer.Option(help="MOOVITAMIX_TRAINING_THREADS.")] = 1,
    json_path: Annotated[Path | None, typer.Option("--json", help="Where to write the figures.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the figures as CSV.")] = RESULTS,
) -> None:
    """Measure each size; ratios are to the first."""
    runs: list[dict[str, Any]] = []
    for size in map(int, interactions.split(",")):
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            in_own_process(simulate, Path(folder), size, tracks, niches)
            print(f"{size:,} interactions, threads: {threads}", flush=True)
            runs.append(in_own_process(measure, Path(folder), threads))
    write(pd.DataFrame(runs), output / "scale.csv")
    if json_path is not None:
        json_path.write_text(json.dumps(runs, indent=2) + "\n")
    show(runs)


def write(runs: pd.DataFrame, path: Path) -> None:
    """Write one line per run; what was measured earlier stays unless measured again."""
    keys = ["interactions", "threads"]
    if path.exists():
        runs = pd.concat([pd.read_csv(path), runs]).drop_duplicates(keys, keep="last")
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.sort_values(keys).to_csv(path, index=False)


def show(runs: list[dict[str, Any]]) -> None:
    """Print a figure per line and a size per column, and the last size as a multiple of the first."""
    table = Table("", *(f"{run['interactions']:,}" for run in runs), "ratio", title="Train and recommend")
    for figure in [name for name in runs[0] if name.endswith("seconds")] + ["peak_mb", "users"]:
        ratio = runs[-1][figure] / max(runs[0][figure], 0.1)
        table.add_row(figure, *(f"{run[figure]:,}" for run in runs), f"{ratio:.1f}")
    for figure in ("ndcg_at_10", "popularity_ndcg_at_10", "recipe"):
        table.add_row(figure, *(str(run[figure]) for run in runs), "")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
