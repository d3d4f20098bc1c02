import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foundation.artifact_folder import write_folder
from foundation.statistics.drift import Distribution
from moovitamix_assets.monitoring.drift import read_reference
from moovitamix_assets.training.dataset.training_set import TrainingSet, TrainingSetDamaged, split
from moovitamix_assets_tests.unit.training.worlds import taste_world


def pairs_of(matrix, view):
    rows, cells = matrix.nonzero()
    return set(zip(view.user_ids[rows].tolist(), view.track_ids[cells].tolist(), strict=True))


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
    manifest = world.manifest()
    assert manifest["files"]["interactions"]["rows"] == len(world.interactions)
    assert manifest["files"]["users"]["rows"] == len(world.users)
    changed = replace(world, interactions=more).manifest()
    assert changed["files"]["interactions"]["sha256"] != manifest["files"]["interactions"]["sha256"]
    assert changed["files"]["users"] == manifest["files"]["users"]


def test_the_reference_for_drift_is_in_the_manifest_and_nowhere_else(tmp_path):
    reference = {"listen_hour": Distribution(10, {"8": 0.75, "20": 0.25})}
    plain, described = taste_world(), replace(taste_world(), reference=reference)
    described.write(tmp_path)
    assert TrainingSet.read(tmp_path).reference == reference
    assert described.manifest() == plain.manifest() | {
        "reference": {"listen_hour": {"rows": 10, "shares": {"8": 0.75, "20": 0.25}}}
    }


def test_a_set_from_before_there_was_a_reference_can_be_read(tmp_path):
    manifest = taste_world().write(tmp_path)
    del manifest["reference"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert TrainingSet.read(tmp_path).reference == {}


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


@pytest.mark.parametrize(
    ("fit_on", "known", "until"),
    [
        ("validation", "plays_before_validation", "plays_before_holdout"),
        ("holdout", "plays_before_holdout", "plays"),
    ],
)
def test_a_view_knows_the_past_and_is_tested_on_pairs_first_heard_later(fit_on, known, until):
    world = taste_world()
    view = split(world, fit_on)
    frame = world.interactions
    ids = ["user_id", "track_id"]
    past = frame[frame[known] > 0]
    assert pairs_of(view.plays, view) == set(past[ids].itertuples(index=False, name=None))
    assert view.plays.sum() == past[known].sum()
    new = frame[(frame[known] == 0) & (frame[until] > 0)]
    assert pairs_of(view.test, view) == set(new[ids].itertuples(index=False, name=None))
    assert set(view.test.data.tolist()) == {1.0}


def test_the_last_view_knows_everything_and_tests_nothing():
    world = taste_world()
    view = split(world, "all")
    assert view.plays.sum() == world.interactions["plays"].sum()
    assert view.test.nnz == 0
    assert len(view.test_users) == 0
    assert view.recent_plays.tolist() == world.tracks["plays_last_30_days"].tolist()


def test_tracks_that_appear_later_are_in_every_view_without_plays():
    view = split(taste_world(), "holdout")
    assert (view.track_plays[-4:] == 0).all()
    assert view.test[:, -4:].nnz > 0


def test_a_pair_named_twice_or_an_unknown_user_is_refused():
    world = taste_world()
    twice = replace(world, interactions=pd.concat([world.interactions, world.interactions.tail(1)]))
    with pytest.raises(ValueError, match="twice"):
        split(twice, "all")
    stranger = world.interactions.assign(user_id=lambda frame: frame["user_id"].where(frame.index != 7, 5))
    with pytest.raises(ValueError, match="user 5 is not in the training set"):
        split(replace(world, interactions=stranger), "all")


@pytest.mark.parametrize(
    ("fit_on", "cut"), [("validation", "_before_validation"), ("holdout", "_before_holdout"), ("all", "")]
)
def test_popularity_and_time_decay_know_what_the_plays_of_a_view_know(fit_on, cut):
    world = taste_world(people=20, tracks=40, listens=400, moved_on=0)
    view = split(world, fit_on)
    assert view.recent_plays.tolist() == world.tracks[f"plays_last_30_days{cut}"].tolist()
    pairs = world.interactions[world.interactions[f"plays{cut}"] > 0]
    left = np.maximum(pairs[f"faded_plays{cut}"], 1) / (1000 * pairs[f"plays{cut}"])
    assert view.freshness is not None
    np.testing.assert_array_equal(view.freshness.indices, view.plays.indices)
    np.testing.assert_allclose(view.freshness.data, left, rtol=1e-6)
    assert 0 < view.freshness.data.min() < view.freshness.data.max() <= 1
