"""Pictures and tables for the UI: what they show, read from the figure that is drawn."""

import base64

import pandas as pd
import pytest
from matplotlib.figure import Figure

from foundation import plots

PNG = b"\x89PNG"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures drawn, in place of pictures of them."""
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "_inline", lambda figure: figures.append(figure) or "a picture")
    return figures


def test_a_table_is_markdown_with_days_as_days_and_no_cell_torn() -> None:
    frame = pd.DataFrame(
        {"day": [pd.Timestamp("2026-09-01"), pd.Timestamp("2026-09-01 12:00")], "reason": ["a|b", 0.5]}
    )
    assert plots.markdown_table(frame).splitlines() == [
        "| day | reason |",
        "| --- | --- |",
        "| 2026-09-01 | a\\|b |",
        "| 2026-09-01 12:00:00 | 0.5 |",
    ]
    assert plots.markdown_table(frame.iloc[:0]).splitlines() == ["| day | reason |", "| --- | --- |"]


def test_a_picture_is_inline_png() -> None:
    picture = plots.events_per_hour(pd.Series(pd.to_datetime(["2026-09-01 08:00"])), "listens")
    data = picture.removeprefix("![plot](data:image/png;base64,").removesuffix(")")
    assert base64.b64decode(data).startswith(PNG)


def test_every_hour_of_the_day_has_its_bar(drawn: list[Figure]) -> None:
    moments = pd.Series(pd.to_datetime(["2026-09-01 00:10", "2026-09-02 23:59", "2026-09-02 23:00"]))
    plots.events_per_hour(moments, "listens")
    heights = [bar.get_height() for bar in drawn[0].axes[0].patches]
    assert heights == [1, *[0] * 22, 2]


def evaluations() -> pd.DataFrame:
    rows = [
        ("candidate", "all", "ndcg_at_10", 0.2, 0.01),
        ("popularity", "all", "ndcg_at_10", 0.1, None),
        ("candidate", "all", "recall_at_20", 0.4, 0.02),
        ("popularity", "all", "recall_at_20", 0.3, 0.02),
        ("candidate", "cold", "ndcg_at_10", 0.9, 0.01),
        ("candidate", "all", "coverage", 0.8, None),
    ]
    return pd.DataFrame(rows, columns=["subject", "segment", "metric", "value", "standard_error"])


def test_the_metrics_asked_for_stand_side_by_side_in_their_order(drawn: list[Figure]) -> None:
    plots.metrics_by_subject(evaluations(), ["recall_at_20", "ndcg_at_10"])
    (axes,) = drawn[0].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["recall_at_20", "ndcg_at_10"]
    by_subject = {
        bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers if len(bars) == 2
    }
    assert by_subject["candidate"] == [0.4, 0.2]
    assert by_subject["popularity"] == [0.3, 0.1]


def test_where_no_user_was_measured_a_sentence_says_so() -> None:
    nobody = evaluations().assign(value=None)
    assert plots.metrics_by_subject(nobody, ["ndcg_at_10"]).startswith("No user")
    assert plots.metrics_by_subject(evaluations(), ["ndcg_at_10"], "warm").startswith("No user")


def quality() -> pd.DataFrame:
    rows = [
        ("2026-09-02", "a", "all", 0.2, 0.1),
        ("2026-09-01", "a", "all", 0.3, 0.15),
        ("2026-09-01", "a", "cold", 0.9, 0.9),
        ("2026-09-03", "b", "all", 0.4, 0.05),
    ]
    columns = ["day", "model_version", "segment", "ndcg_at_10", "popularity_ndcg_at_10"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(day=pd.to_datetime(frame["day"]), served=True)


def test_a_version_is_solid_while_it_serves_and_dashed_in_shadow(drawn: list[Figure]) -> None:
    rows = quality().assign(served=lambda frame: frame["day"] != "2026-09-02")
    plots.quality_by_day(rows[rows["model_version"] == "a"])
    lines = drawn[0].axes[0].get_lines()
    shown = [(line.get_linestyle(), line.get_ydata().tolist()) for line in lines]
    assert shown == [("-", [0.3]), (":", [0.15]), ("--", [0.2])]
    assert len({line.get_color() for line in lines}) == 1
    assert [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()] == ["a", "a in shadow"]


def test_each_version_has_its_line_by_day_and_popularity_a_dotted_one_of_its_color(
    drawn: list[Figure],
) -> None:
    plots.quality_by_day(quality())
    lines = drawn[0].axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[0.3, 0.2], [0.15, 0.1], [0.4], [0.05]]
    assert [line.get_linestyle() for line in lines] == ["-", ":", "-", ":"]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color() == lines[3].get_color()
    assert [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()] == ["a", "b"]
    assert drawn[0].axes[0].get_ylim()[0] == 0


def test_without_everyones_quality_a_sentence_says_so(drawn: list[Figure]) -> None:
    only_cold = quality()[lambda frame: frame["segment"] == "cold"]
    assert plots.quality_by_day(only_cold).startswith("On none of these days")
    assert drawn == []


def test_a_feature_that_drifted_is_red_and_each_has_its_own_threshold(drawn: list[Figure]) -> None:
    rows = pd.DataFrame(
        {
            "feature": ["listen_hour", "unknown_tracks"],
            "statistic": ["psi", "share"],
            "value": [0.1, 0.4],
            "threshold": [0.15, 0.2],
            "drifted": [False, True],
        }
    )
    plots.drift_against_thresholds(rows)
    (axes,) = drawn[0].axes
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.4]
    calm, drifted = (bar.get_facecolor() for bar in axes.patches)
    assert drifted[0] > drifted[2]
    assert calm[2] > calm[0]
    (marks,) = axes.get_lines()
    assert (marks.get_xdata().tolist(), list(marks.get_ydata())) == ([0.15, 0.2], [0, 1])
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "listen_hour (psi)",
        "unknown_tracks (share)",
    ]
