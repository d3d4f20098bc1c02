"""A picture of replayed stories: the quality that users got each day, compared with popular tracks.

Reads the tables that `replay.py` writes; computes nothing.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure


def draw(tables: dict[str, pd.DataFrame], picture: Path) -> None:
    """Draw one panel per story, with a line where another version's recommendations were measured first.

    Args:
        tables: The days of each story, by its title.
        picture: The PNG to write.
    """
    figure = Figure(figsize=(10, 3.2 * len(tables)), layout="constrained")
    panels = figure.subplots(len(tables), sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (title, days) in zip(panels, tables.items(), strict=True):
        axes.plot(
            days["number"], days["ndcg_at_10"], marker=".", color="#4f6bed", label="recommendations served"
        )
        axes.plot(days["number"], days["popularity_ndcg_at_10"], color="#999999", label="popular tracks")
        drifted = days[days["drift"].notna()]
        axes.scatter(drifted["number"], [0.0] * len(drifted), marker="|", color="#d1495b", label="drift")
        changed = days["model_version"].ne(days["model_version"].shift()) & (days.index > 0)
        for day in days[changed].to_dict("records"):
            axes.axvline(day["number"], color="#66a182", linewidth=0.8)
            axes.annotate(
                str(day["model_version"])[5:],
                (day["number"], axes.get_ylim()[1]),
                fontsize=6,
                rotation=90,
                va="top",
            )
        axes.set(title=title, ylabel="NDCG@10")
        axes.legend(loc="upper left", fontsize=7)
    panels[-1].set_xlabel("replayed day")
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Draw the tables named as TITLE=FILE."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay_picture", description=__doc__)
    parser.add_argument("tables", nargs="+", metavar="TITLE=FILE")
    parser.add_argument("--picture", type=Path, required=True)
    given = parser.parse_args()
    named = dict(each.split("=", 1) for each in given.tables)
    draw({title: pd.read_csv(file) for title, file in named.items()}, given.picture)


if __name__ == "__main__":
    main()
