"""Arrays and JSON on disk, and nothing else: how a fitted blend is stored and read back.

The files' names and forms belong here. Nothing is ever pickled or unpickled, and equal models give equal bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moovitamix_assets.training.components.blend import Blend, WeightedBlock
from moovitamix_assets.training.components.ease import FittedEase

MODEL_FILE = "recipe.json"


def write_json(directory: Path, content: Mapping[str, Any]) -> None:
    """Write what is not an array."""
    (directory / MODEL_FILE).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_json(directory: Path) -> dict[str, Any]:
    """Read what `write_json` wrote."""
    content: dict[str, Any] = json.loads((directory / MODEL_FILE).read_text())
    return content


def write_array(directory: Path, name: str, array: npt.NDArray[Any]) -> None:
    """Write one .npy file; arrays of Python objects are refused."""
    np.save(directory / f"{name}.npy", array, allow_pickle=False)


def read_array(directory: Path, name: str) -> npt.NDArray[Any]:
    """Read one .npy file; a file with Python objects in it is refused.

    Raises:
        ValueError: If the file holds anything but plain numbers and words.
    """
    array: npt.NDArray[Any] = np.load(directory / f"{name}.npy", allow_pickle=False)
    return array


def write_matrix(directory: Path, name: str, matrix: sparse.csr_matrix) -> None:
    """Write a sparse matrix as four arrays."""
    for part in ("data", "indices", "indptr"):
        write_array(directory, f"{name}_{part}", getattr(matrix, part))
    write_array(directory, f"{name}_shape", np.array(matrix.shape, dtype=np.int64))


def read_matrix(directory: Path, name: str) -> sparse.csr_matrix:
    """Read what `write_matrix` wrote."""
    data, indices, indptr, shape = (
        read_array(directory, f"{name}_{part}") for part in ("data", "indices", "indptr", "shape")
    )
    return sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))


def write_blend(directory: Path, blend: Blend) -> list[dict[str, Any]]:
    """Write the arrays of a blend.

    Returns:
        What must be kept beside the arrays, one entry per block.

    Raises:
        TypeError: If a block is of a kind that is not stored; only EASE is.
    """
    write_array(directory, "user_vectors", blend.user_vectors)
    write_array(directory, "track_vectors", blend.track_vectors)
    entries = []
    for number, block in enumerate(blend.blocks):
        ease, name = block.component, f"ease_{number}"
        if not isinstance(ease, FittedEase):
            raise TypeError(f"{type(ease).__name__} has no form on disk")
        write_matrix(directory, f"{name}_plays", ease.plays)
        for part in ("matrix", "track_scale", "covered_users", "covered_tracks"):
            write_array(directory, f"{name}_{part}", getattr(ease, part))
        entries.append({"name": name, "weight": block.weight, "side": ease.side})
    return entries


def read_blend(directory: Path, entries: list[dict[str, Any]]) -> Blend:
    """Read what `write_blend` wrote, given what it returned."""
    blocks = []
    for entry in entries:
        name = entry["name"]
        ease = FittedEase(
            plays=read_matrix(directory, f"{name}_plays"),
            side=entry["side"],
            matrix=read_array(directory, f"{name}_matrix"),
            track_scale=read_array(directory, f"{name}_track_scale"),
            covered_users=read_array(directory, f"{name}_covered_users"),
            covered_tracks=read_array(directory, f"{name}_covered_tracks"),
        )
        blocks.append(WeightedBlock(ease, entry["weight"]))
    return Blend(
        user_vectors=read_array(directory, "user_vectors"),
        track_vectors=read_array(directory, "track_vectors"),
        blocks=tuple(blocks),
    )
