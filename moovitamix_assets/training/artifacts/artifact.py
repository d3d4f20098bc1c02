"""The files of a fitted blend: arrays and JSON, and nothing else.

Their names and forms belong here. Nothing is ever pickled or unpickled, and equal models give equal bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moovitamix_assets.training.components.base import FittedComponent
from moovitamix_assets.training.components.blend import Blend, WeightedBlock
from moovitamix_assets.training.components.registry import COMPONENTS, component_named

MODEL_FILE = "recipe.json"


def write_json(directory: Path, content: Mapping[str, Any]) -> None:
    """Write everything that is not an array."""
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
        The entry of each block in the JSON file next to the arrays.

    Raises:
        TypeError: If a block is of a kind that is not stored.
    """
    write_array(directory, "user_vectors", blend.user_vectors)
    write_array(directory, "track_vectors", blend.track_vectors)
    return [
        {"weight": block.weight, **write_component(directory, number, block.component)}
        for number, block in enumerate(blend.blocks)
    ]


def read_blend(directory: Path, entries: list[dict[str, Any]]) -> Blend:
    """Read what `write_blend` wrote, given what it returned."""
    return Blend(
        user_vectors=read_array(directory, "user_vectors"),
        track_vectors=read_array(directory, "track_vectors"),
        blocks=tuple(WeightedBlock(read_component(directory, entry), entry["weight"]) for entry in entries),
    )


def write_component(directory: Path, number: int, fitted: FittedComponent) -> dict[str, Any]:
    """Write the fields of a fitted component: arrays and matrices as files, everything else as JSON.

    Args:
        directory: Folder of the model.
        number: Distinguishes components of one kind.
        fitted: A frozen dataclass, the `stored_type` of a component.

    Returns:
        Its name in the folder and the fields that are no files.

    Raises:
        TypeError: If it is the `stored_type` of no component.
    """
    name = next((name for name, kind in COMPONENTS.items() if kind.stored_type is type(fitted)), None)
    if name is None:
        raise TypeError(f"{type(fitted).__name__} has no stored form: name it as a component's stored_type")
    entry: dict[str, Any] = {"name": f"{name}_{number}"}
    for field in fields(fitted):  # type: ignore[arg-type]
        value = getattr(fitted, field.name)
        if sparse.issparse(value):
            write_matrix(directory, f"{entry['name']}_{field.name}", value)
        elif isinstance(value, np.ndarray):
            write_array(directory, f"{entry['name']}_{field.name}", value)
        else:
            entry[field.name] = value
    return entry


def read_component(directory: Path, entry: Mapping[str, Any]) -> FittedComponent:
    """Read what `write_component` wrote, given what it returned.

    Raises:
        KeyError: If the entry names a component that does not exist.
    """
    stored_type = component_named(entry["name"].rpartition("_")[0]).stored_type
    if stored_type is None:
        raise TypeError(f"{entry['name']} is a component without a stored form of its own")
    values: dict[str, Any] = {}
    for field in fields(stored_type):
        file = f"{entry['name']}_{field.name}"
        if field.name in entry:
            values[field.name] = entry[field.name]
        elif (directory / f"{file}_indptr.npy").exists():
            values[field.name] = read_matrix(directory, file)
        else:
            values[field.name] = read_array(directory, file)
    fitted: FittedComponent = stored_type(**values)
    return fitted
