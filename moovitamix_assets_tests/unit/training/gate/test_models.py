import random
from datetime import date
from pathlib import Path

import pytest

from foundation import artifact_folder as storage
from foundation.artifact_folder import HASHES_FILE, remove_folder, write_folder
from foundation.models.model_store import ModelDamaged, ModelMissing, NoCandidate
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate
from moovitamix_assets.training.gate.models import model_store, store_candidate
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, date]:
    """A candidate on disk: the folder of all models, its version and its day."""
    models_dir, world = tmp_path_factory.mktemp("models"), taste_world()
    recipe = Recipe((WeightedComponent(LightFM(embedding_size=4, epochs=1), 1.0),))
    model = Recommender.fit(world, recipe, Settings().training, "before_holdout")
    holdout = split(world, "before_holdout")
    popularity = evaluate(
        holdout,
        Popularity().fit(holdout, 0, 1),
        model_version=model.model_version,
        as_of=world.as_of,
        subject="popularity",
    )
    store_candidate(models_dir, model, {"popularity": popularity})
    return models_dir, model.model_version, world.as_of


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_any_single_bit_that_flips_in_any_file_is_noticed(stored: tuple[Path, str, date]) -> None:
    models_dir, version, day = stored
    files = sorted((models_dir / version).iterdir())
    assert HASHES_FILE in {file.name for file in files}
    chance = random.Random(3)
    for file in files:
        for bit in chance.sample(range(8 * file.stat().st_size), 5):
            flip(file, bit)
            with pytest.raises(
                ModelDamaged, match=rf"{models_dir / version}.*{version}.*dagster asset materialize"
            ):
                model_store(models_dir).load(version)
            with pytest.raises(ModelDamaged):
                model_store(models_dir).candidate(day)
            flip(file, bit)
    assert model_store(models_dir).load(version).model_version == version
    assert model_store(models_dir).candidate(day).model_version == version


def test_a_truncated_or_missing_file_is_named(stored: tuple[Path, str, date]) -> None:
    models_dir, version, _ = stored
    file = models_dir / version / "track_vectors.npy"
    content = file.read_bytes()
    for left in (b"", content[:40], content[:-1]):
        file.write_bytes(left)
        with pytest.raises(ModelDamaged, match=str(file)):
            model_store(models_dir).load(version)
    file.unlink()
    with pytest.raises(ModelDamaged, match=f"{file} is damaged: it is gone"):
        model_store(models_dir).load(version)
    file.write_bytes(content)


def test_a_model_without_hashes_is_read_unless_it_cannot_be(stored: tuple[Path, str, date]) -> None:
    models_dir, version, _ = stored
    hashes, vectors = models_dir / version / HASHES_FILE, models_dir / version / "track_vectors.npy"
    recorded, content = hashes.read_bytes(), vectors.read_bytes()
    hashes.unlink()
    assert model_store(models_dir).load(version).model_version == version
    vectors.write_bytes(content[:40])
    with pytest.raises(ModelDamaged, match=version):
        model_store(models_dir).load(version)
    vectors.write_bytes(content)
    hashes.write_bytes(recorded)


def test_an_altered_pointer_to_a_candidate_is_named(stored: tuple[Path, str, date]) -> None:
    models_dir, version, day = stored
    pointer = models_dir / "candidates" / day.isoformat()
    content = pointer.read_bytes()
    for bit in range(8 * len(content)):
        flip(pointer, bit)
        with pytest.raises(ModelDamaged, match=str(pointer)):
            model_store(models_dir).candidate(day)
        flip(pointer, bit)
    pointer.write_bytes(b"")
    with pytest.raises(ModelDamaged, match=str(pointer)):
        model_store(models_dir).candidate(day)
    pointer.write_text(version)  # as earlier versions wrote it
    assert model_store(models_dir).candidate(day).model_version == version
    pointer.write_bytes(content)


def test_a_model_whose_removal_was_interrupted_is_gone_not_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "2026-09-05-0123abcd", lambda folder: (folder / "a").write_text("a"))

    def killed(path: Path, **_: object) -> None:
        if path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(storage.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_folder(tmp_path / "2026-09-05-0123abcd")

    with pytest.raises(ModelMissing):
        model_store(tmp_path).load("2026-09-05-0123abcd")


def test_a_model_that_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    models = model_store(tmp_path)
    with pytest.raises(NoCandidate, match="materialize lightfm_model for 2026-09-10"):
        models.candidate(date(2026, 9, 10))
    with pytest.raises(NoCandidate, match="No model was trained yet"):
        models.newest_candidate_day()
    with pytest.raises(ModelMissing, match=r"--partition 2026-09-10 ") as first:
        models.load("2026-09-10-00000000")
    assert "rollback" not in str(first.value), "the first champion replaced none"
    with pytest.raises(ModelMissing, match=r"champion 2026-09-03-11111111 with `moovitamix rollback`"):
        model_store(tmp_path, "2026-09-03-11111111").load("2026-09-10-00000000")
