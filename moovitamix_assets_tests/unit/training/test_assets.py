"""The assets of training: days are cut as the settings say, and the gate compares with what the settings ask for."""

from datetime import date, timedelta

import pandas as pd
import pytest
from dagster import AssetCheckSeverity, build_asset_context

from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.progress import NoProgress
from foundation.tables import empty_frame
from foundation.warehouse.loads import PartitionNotLoaded
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.assets import TrainingConfig, champion_model, lightfm_model, training_set
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset.snapshot import NothingToLearn
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.evaluation.offline import Evaluation
from moovitamix_assets.training.gate.models import store_candidate
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.unit.training.worlds import AS_OF, taste_world
from moovitamix_assets_tests.unit.warehouse.rows import add_session, add_tracks, add_users, mark_loaded

USERS = 40


def run(asset, settings, *config):
    """Call an asset for the day, without Dagster's records."""
    resources = {"settings": settings, "progress": NoProgress()}
    with build_asset_context(partition_key=AS_OF.isoformat(), resources=resources) as context:
        return asset(context, *config)


# training_set


@pytest.fixture(scope="module")
def played_daily(tmp_path_factory):
    """One user, who plays the track of the day at its first instant, from 45 days ago up to the day after."""
    folder = tmp_path_factory.mktemp("played_daily")
    with write_warehouse(Settings(data_dir=folder).warehouse_path) as connection:
        add_users(connection, date(2026, 8, 1), 1)
        add_tracks(connection, date(2026, 8, 1), *range(100, 147))
        connection.execute(
            """INSERT INTO listens BY NAME
               SELECT 1 AS user_id, 100 + number AS track_id, 1 AS position,
                      $first::DATE + number::INTEGER AS changed_on, changed_on::TIMESTAMP AS listened_at,
                      listened_at AS session_updated_at, listened_at AS loaded_at
               FROM range(47) AS days (number)""",
            {"first": AS_OF - timedelta(days=45)},
        )
        mark_loaded(connection, AS_OF)
        decide_about(connection, "champion", AS_OF - timedelta(days=9))
    return folder


def decide_about(connection, version, as_of):
    candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), pd.DataFrame())
    record_decision(connection, candidate, as_of, Decision("promoted", "Better."), {})


@pytest.mark.parametrize(("holdout", "validation"), [(7, 7), (7, 6), (2, 5)])
def test_a_training_set_is_cut_as_many_days_ago_as_the_settings_say(holdout, validation, played_daily):
    settings = Settings(data_dir=played_daily, holdout_days=holdout, validation_days=validation)
    run(training_set, settings)
    made = TrainingSet.read(settings.training_sets_dir / AS_OF.isoformat())
    days, before = 46, 46 - holdout
    plays = made.interactions
    assert plays["plays"].tolist() == [1] * days
    assert plays["plays_before_holdout"].tolist() == [1] * before + [0] * holdout
    known = before - validation
    assert plays["plays_before_validation"].tolist() == [1] * known + [0] * (days - known)
    for name, cut in (("", days), ("_before_holdout", before), ("_before_validation", known)):
        decayed = [1000 * 0.5 ** ((cut - day) / 7) if day < cut else 0 for day in range(days)]
        assert plays[f"faded_plays{name}"].tolist() == pytest.approx(decayed, abs=0.5)
        recent = [int(cut - 30 <= day < cut) for day in range(days)]
        assert made.tracks[f"plays_last_30_days{name}"].tolist() == [*recent, 0]


def test_a_training_with_nothing_to_learn_is_refused_with_the_remedy(tmp_path):
    settings = Settings(data_dir=tmp_path, holdout_days=3)
    with write_warehouse(settings.warehouse_path) as connection:
        add_users(connection, AS_OF, 1)
        add_tracks(connection, AS_OF, 10)
        add_session(connection, AS_OF, 1, [10])
        mark_loaded(connection, AS_OF)
    with pytest.raises(
        NothingToLearn, match=f"No candidate of {AS_OF} can be trained: .*MOOVITAMIX_HOLDOUT_DAYS"
    ):
        run(training_set, settings)
    assert not settings.training_sets_dir.exists()


def test_the_reference_for_drift_is_the_last_week(played_daily):
    settings = Settings(data_dir=played_daily)
    run(training_set, settings)
    folder = settings.training_sets_dir / AS_OF.isoformat()
    assert TrainingSet.read(folder).reference["session_length"].rows == 7
    assert (folder / "champion").read_text() == "champion"


def test_a_candidate_is_trained_against_the_champion_stored_with_its_training_set(played_daily, monkeypatch):
    class Trained(Exception):
        pass

    def train(snapshot, settings, champion, on_progress, *, search_trials):
        raise Trained(snapshot.as_of, champion, search_trials)

    settings = Settings(data_dir=played_daily)
    run(training_set, settings)
    monkeypatch.setattr("moovitamix_assets.training.gate.candidate.train_candidate", train)
    with pytest.raises(Trained) as trained:
        run(lightfm_model, settings, TrainingConfig(search_trials=3))
    assert trained.value.args == (AS_OF, "champion", 3)


def test_a_day_that_was_not_loaded_is_not_trained_on(tmp_path):
    settings = Settings(data_dir=tmp_path)
    with write_warehouse(settings.warehouse_path) as connection:
        mark_loaded(connection, AS_OF - timedelta(days=1))
    with pytest.raises(PartitionNotLoaded, match=AS_OF.isoformat()):
        run(training_set, settings)


# champion_model


@pytest.fixture(scope="module")
def model():
    recipe = Recipe((WeightedComponent(LightFM(embedding_size=2, epochs=1), 1.0),))
    return Recommender.fit(
        taste_world(users=20, tracks=30, listens=300), recipe, Settings().training, "as_of"
    )


@pytest.fixture
def decided(tmp_path, model):
    """Decide about a candidate whose NDCG@10 is .5 for all; every rival's is its factor times that, for all."""

    def decide(rivals, metric="ndcg_at_10", **thresholds):
        settings = Settings(data_dir=tmp_path, mirror_decisions=False, **thresholds)
        evaluations = {
            subject: Evaluation(
                empty_frame(MODEL_EVALUATIONS),
                pd.DataFrame(
                    {"ndcg_at_10": 0.1, "recall_at_20": 0.1} | {metric: 0.5 * factor},
                    index=pd.Index(range(USERS), name="user_id"),
                ),
            )
            for subject, factor in ({"candidate": 1.0} | rivals).items()
        }
        store_candidate(settings.models_dir, model, evaluations)
        with write_warehouse(settings.warehouse_path) as connection:
            if "champion" in rivals:
                decide_about(connection, "2026-10-01-champion", AS_OF - timedelta(days=13))
        result = run(champion_model, settings)
        with read_warehouse(settings.warehouse_path) as connection:
            row = connection.execute(
                "SELECT decision, previous_version FROM promotions WHERE model_version = ?",
                [model.model_version],
            ).fetchone()
        (check,) = result.check_results
        assert check.severity == AssetCheckSeverity.WARN
        assert check.passed == (row[0] != "rejected")
        return row

    return decide


def test_the_first_candidate_that_beats_popularity_is_promoted(decided):
    assert decided({"popularity": 0.5}) == ("promoted", None)


@pytest.mark.parametrize(
    ("rivals", "thresholds", "decision"),
    [
        ({"popularity": 0.5, "champion": 0.9}, {}, "promoted"),
        ({"popularity": 0.5, "champion": 2.0}, {}, "rejected"),
        ({"popularity": 0.5, "champion": 1.05}, {}, "promoted"),
        ({"popularity": 0.5, "champion": 1.05}, {"promotion_tolerance": 0.01}, "rejected"),
        ({"popularity": 0.5, "champion": 1.5}, {"promotion_tolerance": 0.4}, "promoted"),
        ({"popularity": 1.1}, {}, "rejected"),
        ({"popularity": 0.97}, {}, "shadow"),
        ({"popularity": 0.97}, {"promotion_minimum_ratio": 1.0}, "promoted"),
        ({"popularity": 0.5}, {"promotion_minimum_ratio": 2.5}, "shadow"),
        ({"popularity": 0.5}, {"promotion_minimum_users": USERS}, "promoted"),
        ({"popularity": 0.5}, {"promotion_minimum_users": USERS + 1}, "shadow"),
        ({}, {}, "shadow"),
    ],
    ids=str,
)
def test_the_gate_compares_with_every_rival_by_the_thresholds_of_the_settings(
    rivals, thresholds, decision, decided
):
    assert decided(rivals, **thresholds)[0] == decision


def test_the_gate_compares_by_the_metric_of_the_settings(decided):
    better = {"popularity": 0.5, "champion": 0.9}
    assert decided(better, "recall_at_20")[0] == "shadow"


def test_another_metric_may_decide(decided):
    better = {"popularity": 0.5, "champion": 0.9}
    row = decided(better, "recall_at_20", promotion_metric="recall_at_20")
    assert row == ("promoted", "2026-10-01-champion")
