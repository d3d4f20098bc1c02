"""Where settings are read from: arguments, environment variables, and for thresholds a file.

Which settings there are is in `setting_groups.py`.
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from foundation.errors import Explained

_THRESHOLDS = Path(__file__).with_name("thresholds.yaml")
# A letter or an underscore too many or too few; names that only begin alike are other settings.
_SIMILARITY = 0.85


class UnusableThresholds(Explained):
    """A thresholds file that cannot be used; the message names it and what is wrong with it."""

    exit_code = 2


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name of which another one may be a misspelling; None if there is none."""
    return next(iter(get_close_matches(name, list(known), 1, _SIMILARITY)), None)


class Variables(BaseSettings):
    """Settings read from arguments and from environment variables, immutable once read."""

    # What was given stays out of errors: it may be a URL with a password.
    model_config = SettingsConfigDict(
        env_prefix="MOOVITAMIX_", frozen=True, extra="ignore", hide_input_in_errors=True
    )


class Groups(Variables):
    """Settings that hold groups of others; the name of a group is no environment variable."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment."""
        return (init_settings, _WithoutGroups(settings_cls))


class _WithoutGroups(EnvSettingsSource):
    """The environment, of which pydantic would read MOOVITAMIX_SOURCE as the whole group `source` in JSON."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if isinstance(field.annotation, type) and issubclass(field.annotation, Variables):
            return None, field_name, False
        return super().get_field_value(field, field_name)


class Thresholds(Variables):
    """Settings some of which have their default in `thresholds.yaml`, or in a copy of it."""

    thresholds_file: Path | None = Field(
        None, description="A copy of thresholds.yaml with values of one's own."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, that over a thresholds file of one's own, that over the defaults."""
        given = init_settings().get("thresholds_file") or os.environ.get("MOOVITAMIX_THRESHOLDS_FILE")
        own = [_checked_thresholds(Path(given))] if given else []
        files = [YamlConfigSettingsSource(settings_cls, yaml_file=path) for path in own]
        return (init_settings, env_settings, *files, InitSettingsSource(settings_cls, dict(_defaults())))


@cache
def _defaults() -> dict[str, Any]:
    """The content of `thresholds.yaml`, parsed once, though four groups ask each time that settings are read."""
    return dict(yaml.safe_load(_THRESHOLDS.read_text()))


def _checked_thresholds(path: Path) -> Path:
    """The path itself, if it is a thresholds file: a key that nobody reads would change nothing in silence.

    Raises:
        UnusableThresholds: If it is not.
    """
    named = f"MOOVITAMIX_THRESHOLDS_FILE = {path}"
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise UnusableThresholds(f"{named}: it cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise UnusableThresholds(f"{named}: it is not YAML ({error})") from error
    known = _defaults()
    if not isinstance(content, dict):
        raise UnusableThresholds(f"{named}: it holds no keys with values, such as promotion_tolerance: 0.1")
    unknown = sorted(str(key) for key in content.keys() - known.keys())
    if unknown:
        nearest = nearest_name(unknown[0], known)
        meant = f"did you mean {nearest}?" if nearest else "docs/settings.md has the keys."
        raise UnusableThresholds(f"{named}: {', '.join(unknown)} is unknown; {meant}")
    return path
