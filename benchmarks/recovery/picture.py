"""A picture of replayed scenarios: quality by day, on average over worlds, with each gate and for popular tracks.

Reads the table `days.csv` that `python -m benchmarks.recovery` writes; computes means only.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

_COLOURS = {"shadow": "#4f6bed", "holdout": "#d1495b"}


def draw(days: pd.DataFrame, picture: Path) -> None:
    """Draw one panel per scenario.

    Args:
        days: The rows of all replays. Days are counted from the shift, or from the first replayed day without one.
        picture: The PNG to write.
    """
    scenarios = list(days["scenario"].unique())
    figure = Figure(figsize=(10, 3.2 * len(scenarios)), layout="constrained")
    panels = figure.subplots(len(scenarios), sharey=True, squeeze=False)[:, 0]
    days = days.assign(since_shift=days["number"] - days["shift_on"])
    for axes, scenario in zip(panels, scenarios, strict=True):
        of_scenario = days[days["scenario"] == scenario]
        for gate, replayed in of_scenario.groupby("gate"):
            by_day = replayed.groupby("since_shift")["ndcg_at_10"].mean()
            axes.plot(by_day.index, by_day, marker=".", color=_COLOURS.get(str(gate)), label=f"gate {gate}")
        popular = of_scenario.groupby("since_shift")["popularity_ndcg_at_10"].mean()
        axes.plot(popular.index, popular, color="#999999", label="popular tracks")
        worlds = len(of_scenario[["seed", "shift_on"]].drop_duplicates())
        shifts = bool(of_scenario["shift_on"].any())
        axes.set(
            title=f"{scenario}, mean of {worlds} replays",
            xlabel="day since the shift" if shifts else "replayed day",
            ylabel="NDCG@10",
        )
        axes.legend(loc="upper right", fontsize=7)
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Draw a table of days."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery.picture", description=__doc__)
    parser.add_argument("days", type=Path, help="The CSV of replayed days.")
    parser.add_argument("--picture", type=Path, required=True)
    given = parser.parse_args()
    draw(pd.read_csv(given.days), given.picture)


if __name__ == "__main__":
    main()
