import pytest

from moovitamix_assets.training.dataset.training_set_store import (
    load_training_set,
    store_training_set,
    training_set_folder,
)
from moovitamix_assets_tests.unit.training.worlds import AS_OF, taste_world


@pytest.mark.parametrize("champion", ["2026-10-07-0123abcd", None])
def test_a_stored_set_comes_back_with_the_champion_of_its_day(tmp_path, champion):
    world = taste_world(users=10, tracks=20, listens=100)
    folder = store_training_set(tmp_path, world, champion)
    assert folder == training_set_folder(tmp_path, AS_OF) == tmp_path / "2026-10-14"
    read, read_champion = load_training_set(tmp_path, AS_OF)
    assert read.manifest == world.manifest
    assert read_champion == champion


def test_a_set_replaces_that_of_its_day(tmp_path):
    for users in (10, 12):
        store_training_set(tmp_path, taste_world(users=users, tracks=20, listens=100), None)
    assert len(load_training_set(tmp_path, AS_OF)[0].users) == 12
    assert [folder.name for folder in tmp_path.iterdir()] == [AS_OF.isoformat()]
