"""The names of versions in the mirror, by the decisions taken."""

import pandas as pd
import pytest

from moovitamix_assets.training.mirroring.aliases import aliases

FIRST, SECOND = ("a", "promoted", None), ("b", "promoted", "a")


@pytest.mark.parametrize(
    ("decisions", "named"),
    [
        ([], {}),
        ([FIRST], {"champion": "a"}),
        ([FIRST, SECOND], {"champion": "b", "previous": "a"}),
        ([FIRST, SECOND, ("a", "rolled_back", "b")], {"champion": "a", "previous": "b"}),
        ([FIRST, ("b", "shadow", "a")], {"champion": "a", "challenger": "b"}),
        ([FIRST, ("b", "shadow", "a"), ("b", "promoted", "a")], {"champion": "b", "previous": "a"}),
        ([FIRST, ("b", "rejected", "a"), SECOND], {"champion": "b", "previous": "a"}),
    ],
)
def test_each_decision_renames(decisions, named):
    assert aliases(frame(decisions)) == named


def test_a_fallback_and_the_return_from_it_change_no_name():
    before = [FIRST, SECOND, ("c", "shadow", "b")]
    fallback = [*before, ("popularity", "fallback", "b")]
    returned = [*fallback, ("b", "promoted", "b")]
    named = {"champion": "b", "previous": "a", "challenger": "c"}
    assert [aliases(frame(some)) for some in (before, fallback, returned)] == [named] * 3


def frame(decisions) -> pd.DataFrame:
    return pd.DataFrame(decisions, columns=["model_version", "decision", "previous_version"])
