"""What a model is made of: components with their knobs and weights, and the text that identifies them.

How a recipe comes to be is in `model_selection.py`; the fit that follows it is in `recommender.py`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import ComponentParameters
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.components.popularity import Popularity

_KINDS: dict[str, type[LightFM] | type[ALS] | type[EASE] | type[Popularity]] = {
    "lightfm": LightFM,
    "als": ALS,
    "ease": EASE,
    "popularity": Popularity,
}


@dataclass(frozen=True)
class Ingredient:
    """One component of a recipe and what its standardised scores count."""

    parameters: ComponentParameters
    weight: float


@dataclass(frozen=True)
class Recipe:
    """What `Recommender.fit` follows.

    Attributes:
        ingredients: LightFM first, then what improves it.
        validation_ndcg_at_10: What each component and the blend reached on the validation days; empty if
            nothing was chosen there.
    """

    ingredients: tuple[Ingredient, ...]
    validation_ndcg_at_10: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return {
            "ingredients": [
                {"weight": ingredient.weight, "parameters": asdict(ingredient.parameters)}  # type: ignore[call-overload]
                for ingredient in self.ingredients
            ],
            "validation_ndcg_at_10": dict(self.validation_ndcg_at_10),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Recipe":
        """Read what `to_json` returned.

        Raises:
            KeyError: If it names a component that the product does not have.
        """
        return cls(
            ingredients=tuple(
                Ingredient(_KINDS[row["parameters"]["name"]](**row["parameters"]), row["weight"])
                for row in values["ingredients"]
            ),
            validation_ndcg_at_10=values["validation_ndcg_at_10"],
        )


def default_recipe(settings: Settings) -> Recipe:
    """Return LightFM alone with its defaults, for when the validation days tell nothing."""
    del settings
    return Recipe((Ingredient(LightFM(), 1.0),))


def recipe_digest(manifest: Mapping[str, Any], settings: Settings, recipe: Recipe) -> str:
    """Return 8 hex digits that differ when the data, the settings of training or the recipe do."""
    used = {
        name: getattr(settings.training, name)
        for name in ("holdout_days", "validation_days", "seed", "training_threads")
    }
    content = json.dumps([manifest, used, recipe.to_json()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]
