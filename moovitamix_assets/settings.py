"""Every setting of a deployment: its folders, and a group for each stage.

Only settings belong here; those of the stages are in `setting_groups.py`, those of the bundled source in
`mock_api/settings.py`.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from foundation.secret_url import SecretUrl
from moovitamix_assets.serving_settings import ServingSettings
from moovitamix_assets.setting_groups import (
    MirrorSettings,
    MonitoringSettings,
    OperationsSettings,
    PlausibilitySettings,
    PromotionSettings,
    RecommendationSettings,
    RetrainingSettings,
    ScheduleSettings,
    SourceSettings,
    TrainingSettings,
    WarehouseSettings,
    server_or_nothing,
)
from moovitamix_assets.setting_sources import Groups, Variables, nearest_name


class Settings(Groups):
    """The settings of one deployment.

    Arguments are given flat, by the name of the setting: `Settings(data_dir=..., holdout_days=3)`.
    """

    data_dir: Path = Field(Path("data"), description="Landing files, warehouse, training sets and models.")
    start_date: date = Field(
        date(2026, 9, 1),
        description="The first partition. Recorded at the first load; another value later is refused.",
    )
    clock_url: SecretUrl = Field(
        SecretUrl(),
        description="For replays: a bundled source whose clock is used instead of the machine's.",
    )

    source: SourceSettings
    plausibility: PlausibilitySettings
    warehouse: WarehouseSettings
    training: TrainingSettings
    promotion: PromotionSettings
    monitoring: MonitoringSettings
    retraining: RetrainingSettings
    schedule: ScheduleSettings
    operations: OperationsSettings
    mirror: MirrorSettings
    recommendations: RecommendationSettings
    serving: ServingSettings

    @model_validator(mode="before")
    @classmethod
    def _grouped(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Pass each group its settings; a group reads the others from the environment."""
        return {name: value for name, value in given.items() if name in cls.model_fields} | {
            group: given.get(group) or {name: given[name] for name in kind.model_fields if name in given}
            for group, kind in _groups()
        }

    @field_validator("clock_url")
    @classmethod
    def _server_or_nothing(cls, value: SecretUrl) -> SecretUrl:
        return server_or_nothing(value)

    def changed(self, **values: Any) -> Self:
        """A copy with some settings, given flat by name, set to other values; these are not validated."""
        update: dict[str, Any] = {name: values[name] for name in type(self).model_fields if name in values}
        for group, kind in _groups():
            of_group = {name: values[name] for name in kind.model_fields if name in values}
            if of_group:
                update[group] = getattr(self, group).model_copy(update=of_group)
        return self.model_copy(update=update)

    @property
    def run_lock(self) -> Path:
        """The lock file that a command holds while it works on the data folder."""
        return self.data_dir / ".run"

    @property
    def landing_dir(self) -> Path:
        """Folder of the landing files."""
        return self.data_dir / "landing"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file."""
        return self.data_dir / "warehouse.duckdb"

    @property
    def ledger_dir(self) -> Path:
        """Folder of the ledger: a second copy of decisions and measurements."""
        return self.data_dir / "ledger"

    @property
    def training_sets_dir(self) -> Path:
        """Folder with one folder per trained day."""
        return self.data_dir / "training_sets"

    @property
    def models_dir(self) -> Path:
        """Folder with one folder per model version."""
        return self.data_dir / "models"

    @property
    def serving_dir(self) -> Path:
        """Folder of the published generations."""
        return self.data_dir / "serving"


def all_fields() -> dict[str, FieldInfo]:
    """Every setting by its name, whatever its group."""
    groups = dict(_groups())
    fields = {name: field for name, field in Settings.model_fields.items() if name not in groups}
    for kind in groups.values():
        fields |= kind.model_fields
    return fields


def unknown_variables() -> dict[str, str | None]:
    """Environment variables with the prefix that are no setting, each with the one it may be a misspelling of."""
    prefix, known = "MOOVITAMIX_", [name.upper() for name in all_fields()]
    given = {
        name: name.upper().removeprefix(prefix) for name in os.environ if name.upper().startswith(prefix)
    }
    unknown = {name: bare for name, bare in sorted(given.items()) if bare not in known}
    nearest = {name: nearest_name(bare, known) for name, bare in unknown.items()}
    return {name: prefix + meant if meant else None for name, meant in nearest.items()}


def _groups() -> Iterator[tuple[str, type[Variables]]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Variables):
            yield name, field.annotation
