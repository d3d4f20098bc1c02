"""The check of a trained model: it blocks, and it reads the files that would be served."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from dagster import AssetCheckSeverity, AssetSelection, DagsterInstance, materialize

from foundation.artifact_folder import write_hashes
from foundation.tables import empty_frame
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.checks import lightfm_model_checks
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.evaluation.offline import Evaluation
from moovitamix_assets.training.gate.models import store_candidate
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.unit.training.worlds import AS_OF, taste_world

EARLIER = date(2026, 10, 1)


@pytest.fixture(scope="module")
def instance():
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def stored(tmp_path):
    """Two candidates, the older one sound, the vectors of the newer one reversed on disk."""
    settings = Settings(data_dir=tmp_path)
    recipe = Recipe((WeightedComponent(LightFM(embedding_size=4, epochs=2), 1.0),))
    model = Recommender.fit(taste_world(users=20, tracks=30, listens=300), recipe, settings.training, "as_of")
    older = replace(model, as_of=EARLIER, model_version=f"{EARLIER}-older")
    evaluations = {"candidate": Evaluation(empty_frame(MODEL_EVALUATIONS), empty_frame(MODEL_EVALUATIONS))}
    for each in (older, model):
        store_candidate(settings.models_dir, each, evaluations)
    vectors = settings.models_dir / model.model_version / "track_vectors.npy"
    np.save(vectors, np.load(vectors)[::-1])
    write_hashes(vectors.parent)
    return settings


def examined(settings, instance, *days):
    result = materialize(
        [lightfm_model_checks],
        selection=AssetSelection.all_asset_checks(),
        instance=instance,
        resources={"settings": settings},
        tags=range_tags(*days) if days else {},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    (evaluation,) = result.get_asset_check_evaluations()
    assert result.success == evaluation.passed
    return evaluation


def test_an_artifact_that_serves_otherwise_than_it_was_trained_stops_the_run(stored, instance):
    (spec,) = lightfm_model_checks.check_specs
    evaluation = examined(stored, instance)
    assert spec.blocking
    assert not evaluation.passed
    assert evaluation.severity == AssetCheckSeverity.ERROR
    assert "other recommendations" in evaluation.description


def test_the_candidate_of_the_runs_day_is_verified(stored, instance):
    assert examined(stored, instance, EARLIER, EARLIER).passed
    assert not examined(stored, instance, AS_OF, AS_OF).passed
