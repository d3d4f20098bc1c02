from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from foundation.models.model_store import (
    Candidate,
    ModelDamaged,
    ModelMissing,
    ModelStore,
    NoCandidate,
    Remedies,
)

FIRST, SECOND = "2026-09-10-00000001", "2026-09-12-00000002"
REMEDIES = Remedies(
    untrained="train {day}.", never_trained="train.", missing="restore {day}.", damaged="mend {day}."
)


def load(folder: Path) -> str:
    """A model is a text file here."""
    return (folder / "model.txt").read_text()


@pytest.fixture
def store(tmp_path: Path) -> ModelStore[str]:
    store = ModelStore(tmp_path / "models", load, REMEDIES)
    for version in (FIRST, SECOND):
        put(store, version)
    return store


def put(store: ModelStore[str], version: str) -> None:
    figures = pd.DataFrame({"subject": ["candidate"], "value": [0.5]})
    per_user = pd.DataFrame({"user_id": [7], "subject": ["candidate"], "ndcg_at_10": [0.5]})
    store.write(
        Candidate(version, figures, per_user),
        lambda folder: (folder / "model.txt").write_text(f"I am {version}"),
    )


def test_a_model_and_its_evaluations_are_read_back(store: ModelStore[str]) -> None:
    assert store.load(FIRST) == f"I am {FIRST}"
    candidate = store.candidate(date(2026, 9, 12))
    assert candidate.model_version == SECOND
    assert candidate.of("candidate", "ndcg_at_10").to_dict() == {7: 0.5}
    assert candidate.of("champion", "ndcg_at_10") is None
    assert store.versions() == [FIRST, SECOND]
    assert store.newest_candidate_day() == date(2026, 9, 12)


def test_a_model_trained_again_replaces_the_candidate_of_its_day(store: ModelStore[str]) -> None:
    again = "2026-09-12-00000003"
    put(store, again)
    assert store.candidate_version(date(2026, 9, 12)) == again
    assert store.load(SECOND) == f"I am {SECOND}"


def test_a_missing_model_is_named_with_the_remedy(store: ModelStore[str], tmp_path: Path) -> None:
    with pytest.raises(NoCandidate, match=r"as of 2026-09-11: train 2026-09-11\."):
        store.candidate(date(2026, 9, 11))
    with pytest.raises(NoCandidate, match=r"yet: train\."):
        ModelStore(tmp_path / "empty", load, REMEDIES).newest_candidate_day()
    store.remove([FIRST])
    with pytest.raises(ModelMissing, match=rf"{FIRST} is not in .*restore 2026-09-10\."):
        store.load(FIRST)


def test_damage_is_named_with_the_remedy(store: ModelStore[str]) -> None:
    file = store.folder(FIRST) / "model.txt"
    file.write_text("another model")
    with pytest.raises(
        ModelDamaged, match=rf"{file} is damaged: .*{FIRST} cannot be used\. mend 2026-09-10\."
    ):
        store.load(FIRST)
    pointer = store.root / "candidates" / "2026-09-12"
    pointer.write_text(f"{FIRST}\nno hash\n")
    with pytest.raises(ModelDamaged, match=rf"{pointer} is damaged: .*mend 2026-09-12\."):
        store.candidate(date(2026, 9, 12))


@pytest.mark.parametrize("crash", [1, 2])
def test_a_removal_that_crashes_leaves_a_model_whole_or_gone(
    store: ModelStore[str], monkeypatch: pytest.MonkeyPatch, crash: int
) -> None:
    """Killed before the rename, a model is whole; killed after it, gone; the next removal clears what is left."""
    if crash == 1:
        monkeypatch.setattr(Path, "rename", _killed)
    else:
        monkeypatch.setattr("shutil.rmtree", _killed_on_existing)
    with pytest.raises(KeyboardInterrupt):
        store.remove([FIRST])
    monkeypatch.undo()
    if crash == 1:
        assert store.load(FIRST) == f"I am {FIRST}"
    else:
        assert not store.has(FIRST)
        assert store.versions() == [SECOND]
        with pytest.raises(ModelMissing):
            store.load(FIRST)
    store.remove([])
    assert not list(store.root.glob(".*.removed"))


def test_models_and_pointers_of_later_days_are_removed(store: ModelStore[str]) -> None:
    assert store.remove_after(date(2026, 9, 11)) == [SECOND]
    assert store.versions() == [FIRST]
    assert store.candidate_days() == [date(2026, 9, 10)]
    assert store.candidate_version(date(2026, 9, 12)) is None


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _killed_on_existing(path: Path, **_: object) -> None:
    if path.exists():
        raise KeyboardInterrupt
