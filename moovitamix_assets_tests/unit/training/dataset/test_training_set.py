import json
from dataclasses import replace

import numpy as np
import pytest

from foundation.artifact_folder import write_folder
from foundation.statistics.drift import Distribution
from moovitamix_assets.monitoring.drift import read_reference
from moovitamix_assets.training.dataset.training_set import TrainingSet, TrainingSetDamaged
from moovitamix_assets_tests.unit.training.worlds import AS_OF, changed_world, taste_world


def test_a_set_survives_being_written_and_read(tmp_path):
    written = taste_world()
    written.write(tmp_path)
    read = TrainingSet.read(tmp_path)
    assert read.as_of == written.as_of
    for name in ("users", "tracks", "interactions"):
        before, after = getattr(written, name), getattr(read, name)
        for column in before.columns:
            expected = [list(value) if isinstance(value, list) else value for value in before[column]]
            found = [list(value) if isinstance(value, np.ndarray) else value for value in after[column]]
            assert found == expected, (name, column)


def test_equal_sets_have_equal_bytes_whatever_the_order_of_their_rows(tmp_path):
    ordered = taste_world()
    shuffled = replace(
        ordered,
        users=ordered.users.sample(frac=1, random_state=3),
        tracks=ordered.tracks.sample(frac=1, random_state=4),
        interactions=ordered.interactions.sample(frac=1, random_state=5),
    )
    ordered.write(tmp_path / "ordered")
    shuffled.write(tmp_path / "shuffled")
    for path in sorted((tmp_path / "ordered").iterdir()):
        assert path.read_bytes() == (tmp_path / "shuffled" / path.name).read_bytes(), path.name


def test_the_manifest_counts_rows_and_changes_with_one_play():
    world = taste_world()
    more = world.interactions.copy()
    more.loc[0, "plays"] += 1
    manifest = world.manifest
    assert manifest["files"]["interactions"]["rows"] == len(world.interactions)
    assert manifest["files"]["users"]["rows"] == len(world.users)
    changed = replace(world, interactions=more).manifest
    assert changed["files"]["interactions"]["sha256"] != manifest["files"]["interactions"]["sha256"]
    assert changed["files"]["users"] == manifest["files"]["users"]


def test_a_set_is_serialised_once(tmp_path, monkeypatch):
    serialised = []
    parquet = TrainingSet._parquet
    monkeypatch.setattr(
        TrainingSet, "_parquet", lambda self, name: serialised.append(name) or parquet(self, name)
    )
    world = taste_world(users=10, tracks=20, listens=100)
    world.write(tmp_path)
    read = TrainingSet.read(tmp_path)
    assert read.manifest == read.manifest == world.manifest
    assert serialised == ["users", "tracks", "interactions"]
    assert replace(read, users=read.users.head(3)).manifest["files"]["users"]["rows"] == 3


def test_the_reference_for_drift_is_in_the_manifest_and_nowhere_else(tmp_path):
    reference = {"listen_hour": Distribution(10, {"8": 0.75, "20": 0.25})}
    plain, described = taste_world(), replace(taste_world(), reference=reference)
    described.write(tmp_path)
    assert TrainingSet.read(tmp_path).reference == reference
    assert described.manifest == plain.manifest | {
        "reference": {"listen_hour": {"rows": 10, "shares": {"8": 0.75, "20": 0.25}}}
    }


def test_a_set_from_before_there_was_a_reference_can_be_read(tmp_path):
    manifest = taste_world().write(tmp_path)
    del manifest["reference"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert TrainingSet.read(tmp_path).reference == {}
    assert TrainingSet.read(tmp_path).manifest == taste_world().manifest


def test_a_file_that_was_altered_is_refused(tmp_path):
    taste_world().write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"]["tracks"]["sha256"] = "0" * 64
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"tracks\.parquet differs"):
        TrainingSet.read(tmp_path)


@pytest.mark.parametrize("name", ["tracks.parquet", "manifest.json", "champion", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied", "gone"])
def test_damage_to_any_file_is_named_with_the_remedy(tmp_path, name, damage):
    folder = tmp_path / "2026-09-05"

    def write(unfinished):
        taste_world().write(unfinished)
        (unfinished / "champion").write_text("2026-09-04-0123abcd")

    write_folder(folder, write)
    assert len(TrainingSet.read(folder).tracks)
    content = (folder / name).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
    if damage == "gone":
        (folder / name).unlink()
        if name == "SHA256SUMS":
            assert len(TrainingSet.read(folder).tracks), "sets of earlier versions have none"
            return
    else:
        left = {"flipped": flipped, "truncated": content[:-3], "emptied": b""}[damage]
        (folder / name).write_bytes(left)

    with pytest.raises(TrainingSetDamaged, match=rf"{folder} .*--select training_set --partition 2026-09-05"):
        TrainingSet.read(folder)
    with pytest.raises(TrainingSetDamaged):
        read_reference(folder)


def test_the_day_tastes_changed_on_survives_and_one_without_has_the_manifest_it_had(tmp_path):
    world = taste_world(users=20, tracks=40, listens=400)
    changed = changed_world(world, AS_OF)
    changed.write(tmp_path / "changed")
    read = TrainingSet.read(tmp_path / "changed")
    assert (read.changed_on, read.manifest) == (AS_OF, changed.manifest)
    assert read.manifest["changed_on"] == f"{AS_OF}"
    assert read.interactions["plays_before_change"].sum() == changed.interactions["plays_before_change"].sum()
    assert "changed_on" not in world.manifest
    world.write(tmp_path / "world")
    assert TrainingSet.read(tmp_path / "world").changed_on is None
