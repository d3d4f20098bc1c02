"""The figures of `quality.py` as table and picture, and what they say of users with few plays.

Nothing is measured here.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from foundation.statistics.paired_difference import paired_difference
from moovitamix_assets.training.evaluation.offline import COLD_PLAYS


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
    axes.set_xlabel("NDCG@10 on new interactions, seen tracks filtered, full ranking")
    axes.set_title(f"{ndcg['dataset'].iloc[0]}, split {ndcg['split'].iloc[0]}", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def cold_in_words(cold: Sequence[pd.DataFrame], seed: int) -> str:
    """Put the quality for users with few plays in words, pooled over seeds; nothing if there are none.

    Args:
        cold: NDCG@10 by user, columns `blend` and `popularity`, one frame per seed.
        seed: Of the bootstrap.
    """
    pooled = pd.concat(cold, ignore_index=True)
    if pooled.empty:
        return ""
    gain = paired_difference(pooled["blend"], pooled["popularity"], seed)
    return (
        f"\n{gain.users} users with 0 to {COLD_PLAYS} plays before the cut, NDCG@10: blend {gain.candidate:.4f}, "
        f"popularity {gain.other:.4f}, gain between {gain.low:+.4f} and {gain.high:+.4f} "
        "(95 % bootstrap over users, seeds pooled)\n"
    )


def write(summary: pd.DataFrame, rows: pd.DataFrame, cold: str, directory: Path, name: str) -> None:
    """Write the figures of every seed (CSV), the table with a line on cold users (Markdown) and the plot (PNG)."""
    directory.mkdir(parents=True, exist_ok=True)
    rows.to_csv(directory / f"{name}.csv", index=False)
    (directory / f"{name}.md").write_text(as_table(summary) + cold)
    plot(summary, directory / f"{name}.png")
