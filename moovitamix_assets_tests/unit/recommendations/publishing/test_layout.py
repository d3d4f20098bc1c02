"""What is written is what is mapped, for any shapes and values; another format is refused."""

import json
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from moovitamix_assets.recommendations.publishing.layout import (
    MANIFEST_FILE,
    NO_TRACK,
    ArmArrays,
    Manifest,
    Publication,
    RankedTracks,
    TrackArrays,
    UnknownFormat,
    read_publication,
    write_publication,
)

WORDS = st.text(max_size=8)


def arrays_of(dtype, *shape):
    return arrays.arrays(dtype, shape)


@st.composite
def arms(draw, users, length):
    return ArmArrays(
        draw(arrays_of(np.int32, users, length)),
        draw(arrays_of(np.float32, users, length)),
        draw(arrays.arrays(np.uint8, (users, length), elements=st.integers(0, 3))),
        draw(arrays.arrays(np.uint8, users, elements=st.integers(0, 2))),
    )


@st.composite
def publications(draw):
    users, tracks, length, width, blob = (draw(st.integers(0, 4)) for _ in range(5))
    challenger = draw(st.none() | WORDS.filter(bool))
    manifest = Manifest(
        model_version=draw(WORDS),
        challenger=challenger,
        vectors_of=draw(st.none() | WORDS),
        generated_for="2026-09-30",
        generated_at="2026-10-01T00:00:00Z",
        expires_at="2026-10-03T00:00:00Z",
        users=users,
        tracks=tracks,
        length=length,
        genres=draw(st.lists(WORDS, max_size=2)),
        reasons=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
    )
    names = ("champion", "challenger") if challenger else ("champion",)
    return Publication(
        manifest=manifest,
        user_ids=draw(arrays_of(np.int64, users)),
        arms={name: draw(arms(users, length)) for name in names},
        tracks=TrackArrays(
            draw(arrays_of(np.int64, tracks)),
            draw(arrays_of(np.uint8, blob)),
            draw(arrays_of(np.int64, tracks + 1)),
            draw(arrays_of(np.float32, tracks, width)),
            draw(arrays_of(np.float32, tracks)),
            draw(arrays_of(np.bool_, tracks)),
        ),
        ranked=RankedTracks(
            draw(arrays_of(np.int32, tracks)),
            draw(arrays_of(np.int32, blob)),
            draw(arrays_of(np.int32, blob)),
            draw(arrays_of(np.int64, 3)),
        ),
        history=draw(
            st.dictionaries(WORDS, st.lists(st.none() | st.integers() | WORDS, max_size=2), max_size=2)
        ),
    )


def same(one, other):
    for field in fields(one):
        expected, found = getattr(one, field.name), getattr(other, field.name)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), field.name
        assert found.tobytes() == expected.tobytes(), field.name


@given(publication=publications())
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_mapped(publication):
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        for folder in (first, second):
            write_publication(Path(folder), publication)
        files = sorted(path.name for path in Path(first).iterdir())
        assert all((Path(first) / name).read_bytes() == (Path(second) / name).read_bytes() for name in files)
        found = read_publication(Path(first))
        assert (found.manifest, found.history) == (publication.manifest, publication.history)
        assert found.user_ids.tobytes() == publication.user_ids.tobytes()
        assert list(found.arms) == list(publication.arms)
        for name, arm in publication.arms.items():
            same(arm, found.arms[name])
        same(publication.tracks, found.tracks)
        same(publication.ranked, found.ranked)
        assert not any(array.flags.writeable for array in vars(found.tracks).values())


def empty_publication():
    none = np.zeros((0, 0))
    arm = ArmArrays(
        none.astype(np.int32), none.astype(np.float32), none.astype(np.uint8), np.zeros(0, np.uint8)
    )
    return Publication(
        manifest=Manifest("popularity", None, None, "", "", "", 0, 0, 0, [], {}),
        user_ids=np.zeros(0, np.int64),
        arms={"champion": arm},
        tracks=TrackArrays(*(np.zeros(0),) * 6),
        ranked=RankedTracks(*(np.zeros(0),) * 4),
        history={},
    )


def test_another_format_is_refused(tmp_path):
    write_publication(tmp_path, empty_publication())
    manifest = tmp_path / MANIFEST_FILE
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))
    with pytest.raises(UnknownFormat, match="format 2"):
        read_publication(tmp_path)


def test_a_number_that_json_does_not_know_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_publication(tmp_path, replace(empty_publication(), history={"quality": float("nan")}))


def test_users_and_recommendations_are_counted_without_the_places_behind_the_last():
    arm = ArmArrays(
        positions=np.array([[3, 1], [2, NO_TRACK]], np.int32),
        scores=np.zeros((2, 2), np.float32),
        reasons=np.array([[0, 3], [2, 0]], np.uint8),
        sources=np.array([0, 1], np.uint8),
    )
    assert arm.users_by_source() == {"model": 1, "cold_start": 1, "popular": 0}
    assert arm.recommendations_by_reason() == {"taste": 1, "new_track": 0, "favorite_genre": 1, "popular": 1}
