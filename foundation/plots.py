"""Pictures and tables for the Dagster UI, as Markdown.

How figures come to be does not belong here; nor does any personal field: callers leave those out.
"""

import base64
import io
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def markdown_table(frame: pd.DataFrame) -> str:
    """A small frame as a Markdown table."""
    header = "| " + " | ".join(map(str, frame.columns)) + " |"
    rule = "|" + " --- |" * len(frame.columns)
    rows = ["| " + " | ".join(_in_a_cell(value) for value in row) + " |" for row in frame.to_numpy()]
    return "\n".join([header, rule, *rows])


def _in_a_cell(value: object) -> str:
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return f"{value:%Y-%m-%d}"
    return str(value).replace("|", "\\|")


def listens_per_hour(listened_at: pd.Series) -> str:
    """Listens by hour of the day (UTC), as an inline picture."""
    from matplotlib.figure import Figure

    per_hour = pd.to_datetime(listened_at).dt.hour.value_counts().reindex(range(24), fill_value=0)
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(per_hour.index, per_hour.to_numpy(), color="#4f6bed")
    axes.set(xlabel="hour of the day, UTC", ylabel="listens", xticks=range(0, 24, 3))
    return _inline(figure)


def metrics_beside(evaluations: pd.DataFrame, metrics: list[str], segment: str = "all") -> str:
    """Bars of each metric for every subject measured, with standard errors, as an inline picture.

    Args:
        evaluations: Rows of `model_evaluations`.
        metrics: Which metrics, in order.
        segment: Whose lists.

    Returns:
        The picture, or a sentence where nobody was measured.
    """
    from matplotlib.figure import Figure

    shown = evaluations[(evaluations["segment"] == segment) & evaluations["metric"].isin(metrics)]
    if shown["value"].isna().all():
        return "Nobody heard anything new on the hold-out days."
    values = shown.pivot_table(index="metric", columns="subject", values="value").reindex(metrics)
    errors = shown.pivot_table(index="metric", columns="subject", values="standard_error", dropna=False)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    values.plot.bar(ax=axes, yerr=errors.reindex_like(values).fillna(0), rot=0, width=0.8)
    axes.set(xlabel="", ylabel="value", title=f"hold-out, {segment} people")
    return _inline(figure)


def quality_by_day(rows: pd.DataFrame) -> str:
    """NDCG@10 of each version's lists by day, beside what popularity would have earned, as an inline picture.

    Args:
        rows: Rows of `recommendation_quality`, without those of too few people to tell anything.

    Returns:
        The picture, or a sentence where nothing was measured.
    """
    from matplotlib.figure import Figure

    everyone = rows[rows["segment"] == "all"].sort_values("day")
    if everyone.empty:
        return "On none of these days were the lists of enough people measured."
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for version, days in everyone.groupby("model_version"):
        (line,) = axes.plot(days["day"], days["ndcg_at_10"], marker="o", markersize=3, label=str(version))
        axes.plot(days["day"], days["popularity_ndcg_at_10"], linestyle=":", color=line.get_color())
    axes.set(ylabel="ndcg_at_10", ylim=(0, None), title="lists as served; dotted: popularity, same people")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(fontsize="small")
    return _inline(figure)


def drift_beside_thresholds(rows: pd.DataFrame) -> str:
    """A bar for how far each feature is from the reference, with its threshold as a line, as an inline picture.

    Args:
        rows: Rows of `drift`, of one day.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.6 + 0.32 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colors = ["#c63d3d" if drifted else "#4f6bed" for drifted in rows["drifted"]]
    axes.barh(rows["feature"] + " (" + rows["statistic"] + ")", rows["value"], color=colors)
    axes.plot(rows["threshold"], range(len(rows)), linestyle="", marker="|", markersize=16, color="black")
    axes.invert_yaxis()
    axes.set(xlabel="distance; black: threshold", xlim=(0, None))
    return _inline(figure)


def _inline(figure: "Figure") -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
