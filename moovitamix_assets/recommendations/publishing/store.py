"""The store of published generations, with the remedy of this product; light, as readers import it too.

How generations are published and verified is in `foundation/publishing/generations.py`.
"""

from pathlib import Path

from foundation.publishing.generations import Generations


def generations(serving_dir: Path) -> Generations:
    """The published generations of a deployment."""
    return Generations(
        serving_dir,
        "The next nightly run publishes another one; at once does `dagster asset materialize -m "
        "moovitamix_assets.definitions --select published_recommendations --partition <newest day>`.",
    )
