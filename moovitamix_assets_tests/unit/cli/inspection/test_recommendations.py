import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from foundation.models.promotions import fall_back
from foundation.warehouse.rows import insert
from moovitamix_assets.cli.app import app as cli
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import LISTENS, PROMOTIONS, RECOMMENDATIONS, TRACKS, USERS
from moovitamix_assets_tests.unit.training.worlds import taste_world

DAY, NEXT_DAY = date(2026, 10, 14), date(2026, 10, 15)
WARM, COLD, LATE = 100, 900, 901
PERSONAL = ("Ada", "Lovelace", "ada@example.org")
FIRST_TRACK, NEW_TRACK = 1000, 5000
BRACKETS = "[/bold] \x1b[31mred"


@pytest.fixture(scope="module")
def model() -> Recommender:
    recipe = Recipe((WeightedComponent(LightFM(embedding_size=8, epochs=5), 1.0),))
    return Recommender.fit(taste_world(), recipe, Settings().training, "as_of")


@pytest.fixture(scope="module")
def deployment(model: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with a warm, a cold and a late person, lists of two days, and the model in force."""
    data_dir = tmp_path_factory.mktemp("deployment")
    settings = Settings(data_dir=data_dir)
    model.save(settings.models_dir / model.model_version)
    listed = [track_id for track_id, _ in model.recommend_for_session(model.track_ids[:1], 3)]
    with write_warehouse(settings.warehouse_path) as connection:
        insert(connection, USERS, people())
        insert(connection, TRACKS, catalogue([*model.track_ids.tolist(), NEW_TRACK]))
        insert(connection, LISTENS, plays())
        insert(connection, PROMOTIONS, promotion(model.model_version))
        for rows in (
            recommendations(WARM, [*listed, NEW_TRACK], "model", model.model_version, DAY),
            recommendations(WARM, listed[:1], "model", "2026-10-15-deadbeef", NEXT_DAY),
            recommendations(COLD, [1000, 1007], "cold_start", "popularity", DAY),
            recommendations(COLD, [1000], "popular", "popularity", NEXT_DAY),
        ):
            insert(connection, RECOMMENDATIONS, rows)
    return data_dir


def people() -> pd.DataFrame:
    first, last, email = PERSONAL
    return pd.DataFrame(
        {
            "user_id": [WARM, COLD, LATE],
            "first_name": first,
            "last_name": last,
            "email": email,
            "gender": None,
            "favorite_genres": [None, ["jazz", "soul"], None],
            "created_at": pd.Timestamp("2026-09-01"),
            "updated_at": pd.Timestamp("2026-09-01"),
            "changed_on": [pd.Timestamp(DAY)] * 2 + [pd.Timestamp("2026-10-20")],
            "loaded_at": pd.Timestamp("2026-10-21"),
        }
    )


def catalogue(track_ids: list[int]) -> pd.DataFrame:
    """Some tracks; the second one's title is hostile."""
    names = [f"Song {track_id}" for track_id in track_ids]
    names[1] = BRACKETS
    return pd.DataFrame(
        {
            "track_id": track_ids,
            "name": names,
            "artist": [f"Artist {track_id}" for track_id in track_ids],
            "songwriters": None,
            "duration_seconds": 180,
            "genres": [["jazz" if number % 2 == 0 else "metal"] for number in range(len(track_ids))],
            "album": None,
            "created_at": pd.Timestamp("2026-09-01"),
            "updated_at": pd.Timestamp("2026-09-01"),
            "changed_on": pd.Timestamp(DAY),
            "loaded_at": pd.Timestamp("2026-10-21"),
        }
    )


def plays() -> pd.DataFrame:
    """The warm person played one track: in a session that shrank, in another one, and after the day."""
    played = [
        (FIRST_TRACK, 8, 1, "2026-10-13"),
        (FIRST_TRACK, 8, 2, "2026-10-13"),
        (FIRST_TRACK, 8, 1, "2026-10-14"),
        (FIRST_TRACK, 9, 1, "2026-10-14"),
        (FIRST_TRACK, 10, 1, "2026-10-15"),
    ]
    return pd.DataFrame(
        {
            "user_id": WARM,
            "track_id": [track_id for track_id, *_ in played],
            "listened_at": [datetime(2026, 10, 13, hour) for _, hour, *_ in played],
            "position": [position for *_, position, _ in played],
            "session_updated_at": None,
            "changed_on": [pd.Timestamp(day) for *_, day in played],
            "loaded_at": pd.Timestamp("2026-10-21"),
        }
    )


def promotion(version: str) -> pd.DataFrame:
    decided = {"decision": "promoted", "reason": "Better.", "metrics": "{}", "previous_version": None}
    times = {"as_of": pd.Timestamp(DAY), "decided_at": pd.Timestamp(NEXT_DAY)}
    return pd.DataFrame([{"model_version": version, **times, **decided, "decision_number": 1}])


def recommendations(user_id: int, track_ids: list[int], source: str, version: str, day: date) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": user_id,
            "rank": range(1, len(track_ids) + 1),
            "track_id": track_ids,
            "score": [1.5 - place for place in range(len(track_ids))],
            "source": source,
            "model_version": version,
            "generated_for": pd.Timestamp(day),
            "generated_at": pd.Timestamp(day) + pd.Timedelta(days=1),
            # Of the two days' lists, one is past its time for good and one is not for long.
            "expires_at": pd.Timestamp("2026-10-17" if day == DAY else "2200-01-01"),
        }
    )


def ask(data_dir: Path, *words: object) -> Result:
    result = CliRunner().invoke(cli, ["recommend", "--data-dir", str(data_dir), *map(str, words)])
    assert not any(personal in result.output for personal in PERSONAL)
    return result


def lines(data_dir: Path, *words: object) -> list[str]:
    result = ask(data_dir, *words)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def refusal(data_dir: Path, *words: object, code: int = 1) -> str:
    result = ask(data_dir, *words)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_a_list_of_the_model_names_what_was_played_as_known_that_day(deployment, model):
    heading, *shown = lines(deployment, WARM, "--day", DAY)
    assert heading == (
        f"User {WARM} on {DAY}: 4 tracks from model (version {model.model_version}), "
        "expired on 2026-10-17 00:00 UTC"
    )
    assert len(shown) == 8
    assert re.fullmatch(r'  1\. ".+" by Artist \d+ \((jazz|metal)\)  1\.500  track \d+', shown[0])
    assert {reason.strip() for reason in shown[1:6:2]} == {
        'because you played "Song 1000" by Artist 1000 2 times'
    }
    assert shown[7].strip().startswith("it came after the model's training")


def test_without_a_day_the_newest_list_is_shown_though_its_model_is_gone(deployment):
    heading, _, reason = lines(deployment, WARM)
    assert heading.startswith(f"User {WARM} on {NEXT_DAY}: 1 track from")
    assert heading.endswith("to be shown until 2200-01-01 00:00 UTC")
    assert "no longer kept" in reason


def test_a_cold_list_says_where_its_tracks_are_popular(deployment):
    heading, _, in_genre, other, elsewhere = lines(deployment, COLD, "--day", DAY)
    assert "from cold_start (version popularity)" in heading
    assert in_genre.strip() == "popular in jazz"
    # A title's brackets are no markup, and its escapes do not reach the terminal.
    assert other == '  2. "[/bold]  [31mred" by Artist 1007 (metal)  0.500  track 1007'
    assert elsewhere.strip() == "popular in the last 30 days"
    assert lines(deployment, COLD)[-1].strip() == "popular in the last 30 days"


def test_in_a_fallback_popular_tracks_are_shown_with_the_reason_why_they_serve(tmp_path):
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        insert(connection, USERS, people())
        insert(connection, TRACKS, catalogue([1000, 1007]))
        insert(connection, PROMOTIONS, promotion("2026-10-14-aaaaaaaa"))
        insert(connection, RECOMMENDATIONS, recommendations(WARM, [1000], "popular", "popularity", NEXT_DAY))
        fall_back(connection, NEXT_DAY, "Clearly worse.", popularity_days=3, worse_since=DAY, metrics={})
    heading, why, _, reason = lines(tmp_path, WARM)
    assert "from popular (version popularity)" in heading
    assert why == (
        f"Popular tracks serve all users since {NEXT_DAY}, instead of the champion 2026-10-14-aaaaaaaa. Clearly worse."
    )
    assert reason.strip() == "popular in the last 3 days"
    shown = as_json(tmp_path, WARM)
    assert (shown["fallback_since"], shown["fallback_reason"]) == (f"{NEXT_DAY}", "Clearly worse.")


def test_similar_tracks_are_those_of_the_version_in_force(deployment, model):
    heading, *shown = lines(deployment, "--similar", FIRST_TRACK)
    assert heading == f'Similar to "Song 1000" by Artist 1000 (jazz), by version {model.model_version}:'
    expected = [track_id for track_id, _ in model.similar_tracks(FIRST_TRACK, 20)]
    assert [int(line.split()[-1]) for line in shown] == expected


def test_a_session_gets_what_suits_it_and_tracks_too_new_are_passed_over(deployment, model):
    _, played, passed_over, *shown = lines(
        deployment, "--session", f"{FIRST_TRACK}, {NEW_TRACK},{FIRST_TRACK}"
    )
    assert played.strip() == '"Song 1000" by Artist 1000 (jazz)'
    assert passed_over.endswith("(unknown to this version: ignored)")
    expected = [track_id for track_id, _ in model.recommend_for_session(model.track_ids[:1], 20)]
    assert [int(line.split()[-1]) for line in shown] == expected


def as_json(data_dir: Path, *words: object) -> dict[str, Any]:
    return json.loads(ask(data_dir, *words, "--json").stdout)


def test_json_holds_the_same(deployment, model):
    listed = [track_id for track_id, _ in model.recommend_for_session(model.track_ids[:1], 3)]
    of_user = as_json(deployment, WARM, "--day", DAY)
    tracks = of_user.pop("tracks")
    assert of_user == {
        "user_id": WARM,
        "day": "2026-10-14",
        "source": "model",
        "model_version": model.model_version,
        "expires_at": "2026-10-17T00:00:00",
    }
    assert [(each["rank"], each["track_id"], each["score"]) for each in tracks] == [
        (rank, track_id, 2.5 - rank) for rank, track_id in enumerate([*listed, NEW_TRACK], start=1)
    ]
    assert tracks[0]["reason"] == 'because you played "Song 1000" by Artist 1000 2 times'
    (shown,) = as_json(deployment, COLD)["tracks"]
    assert (shown["name"], shown["artist"], shown["genres"]) == ("Song 1000", "Artist 1000", ["jazz"])

    similar = as_json(deployment, "--similar", FIRST_TRACK)
    assert (similar["similar_to"]["track_id"], similar["model_version"]) == (FIRST_TRACK, model.model_version)
    expected = [track_id for track_id, _ in model.similar_tracks(FIRST_TRACK, 20)]
    assert [each["track_id"] for each in similar["tracks"]] == expected
    assert "reason" not in similar["tracks"][0]

    after = as_json(deployment, "--session", f"{FIRST_TRACK},{NEW_TRACK}")["session"]
    assert [(each["track_id"], each["used"]) for each in after] == [(FIRST_TRACK, True), (NEW_TRACK, False)]


@pytest.mark.parametrize(
    ("words", "named", "remedy"),
    [
        ((7,), "no user 7", "dim_users"),
        ((LATE, "--day", DAY), f"{LATE} is known since 2026-10-20", "choose a later day"),
        ((WARM, "--day", "2026-01-01"), "for 2026-01-01", f"between {DAY} and {NEXT_DAY}"),
        (("--similar", 7), "no track 7", "dim_tracks"),
        (("--similar", NEW_TRACK), f"Track {NEW_TRACK} is newer than", "next training"),
        (("--session", f"{FIRST_TRACK},7,8"), "no track 7, 8", "dim_tracks"),
        (("--similar", FIRST_TRACK, "--day", "2026-10-13"), "as of 2026-10-13", "table promotions"),
    ],
)
def test_what_is_not_there_is_named_with_the_remedy(deployment, words, named, remedy):
    message = refusal(deployment, *words)
    assert named in message
    assert remedy in message


@pytest.mark.parametrize(
    "words",
    [
        (),
        (WARM, "--similar", FIRST_TRACK),
        ("--session", "1,two"),
        ("--session", ""),
        ("--session", "9223372036854775808"),
        ("9223372036854775808",),
        ("Ada",),
        (WARM, "--day", "tomorrow"),
    ],
)
def test_what_makes_no_sense_ends_with_2(deployment, words):
    result = CliRunner().invoke(cli, ["recommend", "--data-dir", str(deployment), *map(str, words)])
    assert result.exit_code == 2, result.output


def test_a_user_left_out_of_a_day_is_distinguished_from_an_unknown_one(deployment, tmp_path):
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        insert(connection, USERS, people())
        insert(connection, RECOMMENDATIONS, recommendations(COLD, [1], "popular", "popularity", DAY))
    assert f"materialize recommendations for {DAY} again" in refusal(tmp_path, WARM)
    heading, track, _ = lines(tmp_path, COLD)
    assert "from popular" in heading
    assert "a track that the catalogue does not know" in track


def test_a_track_without_a_name_or_an_artist_is_shown_all_the_same(tmp_path):
    nameless = catalogue([FIRST_TRACK, NEW_TRACK]).assign(name=[None, "Song"], artist=["Artist", None])
    with write_warehouse(Settings(data_dir=tmp_path).warehouse_path) as connection:
        insert(connection, USERS, people())
        insert(connection, TRACKS, nameless)
        insert(
            connection,
            RECOMMENDATIONS,
            recommendations(COLD, [FIRST_TRACK, NEW_TRACK], "popular", "popularity", DAY),
        )
    shown = lines(tmp_path, COLD)
    assert shown[1].startswith('  1. "?" by Artist (jazz)')
    assert shown[3].startswith('  2. "Song" by ? (metal)')


def test_before_the_first_run_the_remedy_is_to_run(tmp_path):
    assert "moovitamix run" in refusal(tmp_path, WARM)
    with write_warehouse(Settings(data_dir=tmp_path).warehouse_path):
        pass
    assert "no recommendations yet: moovitamix run" in refusal(tmp_path, WARM)


def test_a_model_the_champion_whose_folder_is_gone_is_named(deployment, tmp_path):
    with write_warehouse(Settings(data_dir=tmp_path).warehouse_path) as connection:
        insert(connection, PROMOTIONS, promotion("2026-10-14-deadbeef"))
        insert(connection, TRACKS, catalogue([FIRST_TRACK, NEW_TRACK]))
    assert "2026-10-14-deadbeef" in refusal(tmp_path, "--similar", FIRST_TRACK)
