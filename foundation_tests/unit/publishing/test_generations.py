"""Generations are published whole or not at all, whatever interrupts; damage is found, wherever it is."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.publishing.generations import GenerationDamaged, Generations

REMEDY = "Publish again."


def store_in(folder: Path) -> Generations:
    return Generations(folder / "serving", REMEDY)


def publish(store: Generations, content: bytes, kept: int = 3) -> str:
    def write(folder: Path) -> None:
        (folder / "first.npy").write_bytes(content)
        (folder / "second.npy").write_bytes(content * 2)

    return store.publish("day", write, kept=kept)


def served(store: Generations) -> bytes | None:
    """The content of the current generation, verified."""
    name = store.current()
    if name is None:
        return None
    store.verify(name)
    first, second = (store.folder(name) / file for file in ("first.npy", "second.npy"))
    assert second.read_bytes() == first.read_bytes() * 2
    return first.read_bytes()


@pytest.fixture
def store(tmp_path):
    return store_in(tmp_path)


def test_before_the_first_publication_nothing_is_current(store):
    assert (store.current(), store.stamp(), store.names()) == (None, None, [])


def test_what_was_published_last_is_current_and_the_last_ones_are_kept(store):
    names = [publish(store, b"%d" % number) for number in range(5)]
    assert names == sorted(set(names))
    assert store.current() == names[-1]
    assert store.names() == names[-3:]
    assert served(store) == b"4"


def test_the_stamp_changes_with_each_publication_and_only_then(store):
    stamps = []
    for content in (b"a", b"b", b"b"):
        publish(store, content)
        stamps += [store.stamp(), store.stamp()]
    assert stamps[::2] == stamps[1::2]
    assert len(set(stamps)) == 3


def test_one_returns_to_a_generation_that_is_kept_and_publishes_on_from_there(store):
    names = [publish(store, b"%d" % number) for number in range(3)]
    store.make_current(names[0])
    assert served(store) == b"0"
    assert publish(store, b"3") > names[-1]
    assert served(store) == b"3"


def test_one_does_not_return_to_what_is_damaged_or_gone(store):
    old, new = publish(store, b"0"), publish(store, b"1")
    (store.folder(old) / "first.npy").write_bytes(b"x")
    for name in (old, "000007-day"):
        with pytest.raises(GenerationDamaged, match=REMEDY):
            store.make_current(name)
    assert store.current() == new


def test_a_lost_folder_does_not_give_its_number_to_another_content(store):
    lost = publish(store, b"0")
    shutil.rmtree(store.folder(lost))
    assert publish(store, b"1") != lost


def test_files_that_are_mapped_outlive_the_removal_of_their_generation(store):
    old = publish(store, b"0")
    with (store.folder(old) / "first.npy").open("rb") as open_file:
        for _ in range(3):
            publish(store, b"1", kept=2)
        assert old not in store.names()
        assert open_file.read() == b"0"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    store = store_in(tmp_path_factory.mktemp("published"))
    publish(store, bytes(range(40)))
    return store


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_found_in_any_file(published, data):
    name = published.current()
    files = [*sorted(published.folder(name).iterdir()), published.root / "current"]
    file = data.draw(st.sampled_from(files), label="file")
    content = file.read_bytes()
    bit = data.draw(st.integers(0, len(content) * 8 - 1), label="bit")
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    file.write_bytes(flipped)
    try:
        with pytest.raises(GenerationDamaged):
            served(published)
    finally:
        file.write_bytes(content)
    assert served(published) == bytes(range(40))


@pytest.mark.parametrize(
    "change", ["a file is gone", "a file more", "the hashes are gone", "the folder is gone"]
)
def test_a_generation_of_other_files_is_damaged(store, change):
    folder = store.folder(publish(store, b"0"))
    match change:
        case "a file is gone":
            (folder / "first.npy").unlink()
        case "a file more":
            (folder / "third.npy").write_bytes(b"")
        case "the hashes are gone":
            (folder / "SHA256SUMS").unlink()
        case _:
            shutil.rmtree(folder)
    with pytest.raises(GenerationDamaged, match=REMEDY):
        served(store)


class Killed(BaseException):
    """No handler of the code under test catches it, as none runs after kill -9."""


STEPS = [
    (os, "fsync"),
    (Path, "mkdir"),
    (Path, "rename"),
    (Path, "write_text"),
    (Path, "unlink"),
    (shutil, "rmtree"),
]


def killed_at(monkeypatch, step: int, publication) -> bool:
    """Publish, but die before the given step that changes the disk; return whether there were so many."""
    left = [step]

    def dying(original):
        def run(*args, **kwargs):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return original(*args, **kwargs)

        return run

    with monkeypatch.context() as patched:
        for owner, name in STEPS:
            patched.setattr(owner, name, dying(getattr(owner, name)))
        try:
            publication()
        except Killed:
            return True
    return False


def test_killed_before_any_step_the_last_good_generation_is_current_and_the_next_one_leaves_nothing_else(
    tmp_path, monkeypatch
):
    step = 0
    while True:
        store = store_in(tmp_path / f"{step}")
        for content in (b"0", b"1"):
            publish(store, content, kept=2)
        killed = killed_at(monkeypatch, step, lambda store=store: publish(store, b"2", kept=2))
        assert served(store) in ((b"1", b"2") if killed else (b"2",))
        publish(store, b"3", kept=2)
        assert served(store) == b"3"
        assert len(store.names()) == 2
        assert [path.name for path in store.root.rglob(".*")] == [".lock"]
        for name in store.names():
            store.verify(name)
        if not killed:
            break
        step += 1
    assert step > 10
