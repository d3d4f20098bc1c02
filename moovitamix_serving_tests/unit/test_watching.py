"""The generation that is served: replaced at once, kept where the next one is damaged, found again after a start."""

import logging

import pytest

from moovitamix_serving.generation.watching import Served
from moovitamix_serving_tests.publications import publication, publish


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def served(generations, clock):
    return Served(generations, watch_seconds=1.0, clock=clock)


def damage(generations, name):
    file = generations.folder(name) / "champion_positions.npy"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return lambda: file.write_bytes(content)


def test_before_anything_is_published_there_is_nothing_and_that_is_no_damage(served):
    served.look()
    assert (served.snapshot, served.refused) == (None, None)


def test_another_generation_is_served_at_the_next_look_and_a_request_keeps_its_own(served, generations):
    first = publish(generations, publication(first=0))
    served.look()
    in_flight = served.snapshot
    for _ in range(4):
        second = publish(generations, publication(first=2), kept=2)
    served.look()
    assert (in_flight.name, served.snapshot.name) == (first, second)
    assert in_flight.recommend(7, 3, 0.0).positions == [0, 1, 2]
    assert served.snapshot.recommend(7, 3, 0.0).positions == [2, 3, 4]
    assert first not in generations.names()


def test_nothing_is_read_while_the_pointer_stays(served, generations):
    name = publish(generations, publication())
    served.look()
    snapshot = served.snapshot
    damage(generations, name)
    served.look()
    assert served.snapshot is snapshot
    assert served.refusals == 0


def test_a_damaged_generation_is_refused_and_the_last_good_one_stays(served, generations, caplog):
    good = publish(generations, publication())
    served.look()
    damage(generations, publish(generations, publication(first=2)))
    with caplog.at_level(logging.ERROR):
        served.look()
    assert served.snapshot.name == good
    assert "champion_positions.npy" in served.refused
    assert "champion_positions.npy" in caplog.text
    served.look()
    assert served.refusals == 1


def test_after_the_next_good_one_nothing_is_refused_any_more(served, generations):
    damage(generations, publish(generations, publication()))
    served.look()
    assert served.refused
    name = publish(generations, publication())
    served.look()
    assert (served.snapshot.name, served.refused) == (name, None)


def test_a_refused_one_is_tried_again_after_a_while(served, generations, clock):
    name = publish(generations, publication())
    restore = damage(generations, name)
    served.look()
    restore()
    served.look()
    assert served.snapshot is None
    clock.now = 60.0
    served.look()
    assert (served.snapshot.name, served.refused) == (name, None)


def test_after_a_start_the_last_good_one_that_is_kept_is_served(served, generations):
    names = [publish(generations, publication(first=first)) for first in range(3)]
    damage(generations, names[2])
    damage(generations, names[1])
    served.look()
    assert served.snapshot.name == names[0]
    assert served.refused


def test_one_returns_to_an_earlier_generation_without_a_restart(served, generations):
    first, _ = publish(generations, publication()), publish(generations, publication(first=2))
    served.look()
    generations.make_current(first)
    served.look()
    assert served.snapshot.name == first


@pytest.mark.parametrize("content", [b"", b"000009-x\n", b"../../etc\n", b"\xff\xfe"])
def test_a_pointer_that_leads_nowhere_is_refused(served, generations, content):
    good = publish(generations, publication())
    served.look()
    (generations.root / "current").write_bytes(content)
    served.look()
    assert served.snapshot.name == good
    assert served.refused
