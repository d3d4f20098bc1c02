"""The recipe of a model: its components with hyperparameters and weights, and the text that identifies them.

How a recipe is chosen is in `model_selection.py`; the fit that follows it is in `recommender.py`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from moovitamix_assets.setting_groups import TrainingSettings
from moovitamix_assets.training.components.base import Component
from moovitamix_assets.training.components.new_tracks import NewTrackCalibration
from moovitamix_assets.training.components.registry import BASE, component_named


@dataclass(frozen=True)
class WeightedComponent:
    """One component of a recipe, and the weight of its standardised scores."""

    component: Component
    weight: float


@dataclass(frozen=True)
class Recipe:
    """The recipe that `Recommender.fit` follows.

    Attributes:
        components: LightFM first, then the components that improve it.
        validation_ndcg_at_10: Figures that each component and the blend reached on the validation days; empty if
            nothing was chosen there.
        new_tracks: The place of tracks without plays in training among the others.
        learns_since: The day on which tastes changed, if older plays are not learned from.
    """

    components: tuple[WeightedComponent, ...]
    validation_ndcg_at_10: Mapping[str, float] = field(default_factory=dict)
    new_tracks: NewTrackCalibration = field(default_factory=NewTrackCalibration)
    learns_since: date | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return {
            "ingredients": [
                {"weight": weighted.weight, "parameters": weighted.component.to_json()}
                for weighted in self.components
            ],
            "validation_ndcg_at_10": dict(self.validation_ndcg_at_10),
            "new_tracks": self.new_tracks.to_json(),
            **({"learns_since": self.learns_since.isoformat()} if self.learns_since else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Recipe":
        """Read what `to_json` returned.

        Raises:
            KeyError: If it names a component that the product does not have.
        """
        return cls(
            components=tuple(
                WeightedComponent(
                    component_named(row["parameters"]["name"]).from_json(row["parameters"]), row["weight"]
                )
                for row in values["ingredients"]
            ),
            validation_ndcg_at_10=values["validation_ndcg_at_10"],
            # Recipes from before new tracks were recommended do not have the key.
            new_tracks=NewTrackCalibration.from_json(values.get("new_tracks", {})),
            learns_since=date.fromisoformat(since) if (since := values.get("learns_since")) else None,
        )


def default_recipe() -> Recipe:
    """Return LightFM alone with its defaults, for when the validation days are too few to choose by."""
    return Recipe((WeightedComponent(BASE(), 1.0),))


def recipe_digest(manifest: Mapping[str, Any], settings: TrainingSettings, recipe: Recipe) -> str:
    """Return 8 hex digits that differ when the data, the settings of training or the recipe do."""
    used = {
        name: getattr(settings, name)
        for name in ("holdout_days", "validation_days", "seed", "training_threads")
    }
    content = json.dumps([manifest, used, recipe.to_json()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]
