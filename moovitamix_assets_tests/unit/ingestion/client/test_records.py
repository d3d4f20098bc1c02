from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from foundation.json_records import whole_number
from moovitamix_assets.ingestion.client.records import changed_at, identity

any_text = st.text(st.characters(exclude_categories=()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@given(st.none() | st.datetimes(), st.none() | st.datetimes())
def test_changed_at_is_the_greatest_readable_time(created: datetime | None, updated: datetime | None) -> None:
    record = {
        "created_at": created.isoformat() if created else "long ago",
        "updated_at": updated.isoformat() if updated else 7,
    }
    assert changed_at(record) == max((t for t in (created, updated) if t), default=None)


@given(
    json_values
    | st.dictionaries(st.sampled_from(["id", "user_id", "created_at", "updated_at"]), json_values, min_size=1)
)
def test_whatever_comes_records_are_judged_without_raising(value: object) -> None:
    assert changed_at(value) is None
    assert identity("listen_history", value) is None
    numbered = isinstance(value, dict) and whole_number(value.get("id")) is not None
    assert (identity("users", value) is not None) == numbered


def test_identities() -> None:
    session = {"user_id": 7, "items": [1], "created_at": "2026-09-27T15:56:26", "updated_at": "x"}
    same = {"user_id": 7, "items": [], "created_at": "2026-09-27T15:56:26.000000"}
    assert identity("listen_history", session) == (7, datetime(2026, 9, 27, 15, 56, 26))
    assert identity("listen_history", session) == identity("listen_history", same)
    assert identity("users", {"id": 7}) == identity("tracks", {"id": 7}) == (7,)
    for nobody in ({}, {"id": None}, {"id": "x"}, {"id": True}, {"id": 7.5}, {"id": 2**63}, [], "7", None):
        assert identity("users", nobody) is None
    for number in ("7", " 7 ", 7.0):
        assert identity("users", {"id": number}) == (7,)
        assert identity("listen_history", {**session, "user_id": number}) == identity(
            "listen_history", session
        )
    assert identity("listen_history", {**session, "user_id": None}) is None
    assert identity("listen_history", {**session, "created_at": "soon"}) is None
