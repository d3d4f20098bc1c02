from datetime import date

import pytest

from foundation.models.versions import model_version, trained_as_of


def test_a_version_tells_the_day_it_was_trained_as_of():
    version = model_version(date(2026, 9, 1), "0123abcd")
    assert version == "2026-09-01-0123abcd"
    assert trained_as_of(version) == date(2026, 9, 1)


def test_a_version_without_a_day_is_refused():
    with pytest.raises(ValueError, match="gone"):
        trained_as_of("gone-1")
