"""Pictures and tables for the Dagster UI, as Markdown.

Computing the figures does not belong here; callers leave personal fields out.
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


def events_per_hour(moments: pd.Series, label: str) -> str:
    """The number of events by hour of the day (UTC), as an inline picture; `label` names the events."""
    from matplotlib.figure import Figure

    per_hour = pd.to_datetime(moments).dt.hour.value_counts().reindex(range(24), fill_value=0)
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(per_hour.index, per_hour.to_numpy(), color="#4f6bed")
    axes.set(xlabel="hour of the day, UTC", ylabel=label, xticks=range(0, 24, 3))
    return _inline(figure)


def metrics_by_subject(evaluations: pd.DataFrame, metrics: list[str], segment: str = "all") -> str:
    """Bars of each metric for every subject measured, with standard errors, as an inline picture.

    Args:
        evaluations: Rows of `model_evaluations`.
        metrics: The metrics shown, in order.
        segment: The segment shown.

    Returns:
        The picture, or a sentence where no user was measured.
    """
    from matplotlib.figure import Figure

    shown = evaluations[(evaluations["segment"] == segment) & evaluations["metric"].isin(metrics)]
    if shown["value"].isna().all():
        return "No user played anything new on the hold-out days."
    values = shown.pivot_table(index="metric", columns="subject", values="value").reindex(metrics)
    errors = shown.pivot_table(index="metric", columns="subject", values="standard_error", dropna=False)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    values.plot.bar(ax=axes, yerr=errors.reindex_like(values).fillna(0), rot=0, width=0.8)
    axes.set(xlabel="", ylabel="value", title=f"hold-out, {segment} users")
    return _inline(figure)


def quality_by_day(rows: pd.DataFrame) -> str:
    """NDCG@10 of each version's recommendations by day, compared with popularity, as an inline picture.

    A version has a color; its line is solid on the days on which it served users, dashed on those in shadow.

    Args:
        rows: Rows of `recommendation_quality`, without those of too few users to be meaningful, and whether the
            recommendations were `served`.

    Returns:
        The picture, or a sentence where nothing was measured.
    """
    from matplotlib.figure import Figure

    all_users = rows[rows["segment"] == "all"].sort_values("day")
    if all_users.empty:
        return "On none of these days were the recommendations of enough users measured."
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (version, of_version) in enumerate(all_users.groupby("model_version")):
        color = f"C{number}"
        for served, days in of_version.groupby("served", sort=False):
            style, label = ("-", version) if served else ("--", f"{version} in shadow")
            axes.plot(
                days["day"], days["ndcg_at_10"], style, marker="o", markersize=3, color=color, label=label
            )
            if served:
                axes.plot(days["day"], days["popularity_ndcg_at_10"], linestyle=":", color=color)
    axes.set(
        ylabel="ndcg_at_10",
        ylim=(0, None),
        title="solid: served; dashed: in shadow; dotted: popularity, same users",
    )
    axes.tick_params(axis="x", rotation=30)
    axes.legend(fontsize="small")
    return _inline(figure)


def drift_against_thresholds(rows: pd.DataFrame) -> str:
    """A bar for each feature's distance from the reference, with its threshold as a line, as an inline picture.

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
