"""The shape of the packages: which folder imports which, how crowded folders and files are, what foundation names."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("foundation", "moovitamix_assets", "moovitamix_serving", "mock_api")
MODULES = {
    ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in PACKAGES
    for file in sorted((PROJECT / package).rglob("*.py"))
}
MOST_MODULES, MOST_LINES = 15, 300

# The assembly of a package imports every folder, its vocabulary is imported by every folder: each such module counts
# as a folder of its own.
STANDING_ALONE = {
    name
    for name, file in MODULES.items()
    if file.parent.parent == PROJECT and file.name != "__init__.py" and file.parent.name != "foundation"
}


def folder_of(module: str) -> str:
    return module if module in STANDING_ALONE else ".".join(MODULES[module].relative_to(PROJECT).parent.parts)


def imported_by(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def folder_graph() -> dict[str, set[str]]:
    """For each folder those that it imports."""
    graph: dict[str, set[str]] = {}
    for module, file in MODULES.items():
        imported = {folder_of(name) for name in imported_by(file) if name in MODULES}
        graph.setdefault(folder_of(module), set()).update(imported - {folder_of(module)})
    return graph


def test_no_folder_imports_one_that_imports_it() -> None:
    try:
        order = list(TopologicalSorter(folder_graph()).static_order())
    except CycleError as error:
        pytest.fail(f"these folders import each other: {' -> '.join(error.args[1])}")
    assert order[-1] != "foundation"


def test_the_foundation_knows_no_product() -> None:
    imports = folder_graph()
    of_products = {
        folder: [name for name in names if not name.startswith("foundation")]
        for folder, names in imports.items()
        if folder.startswith("foundation")
    }
    assert {folder: names for folder, names in of_products.items() if names} == {}
    named = [
        f"{file.relative_to(PROJECT)}:{number}"
        for module, file in MODULES.items()
        if module.startswith("foundation")
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if re.search("moovitamix|streamflow", line, re.IGNORECASE)
    ]
    assert named == []


def test_no_folder_is_crowded() -> None:
    modules: dict[Path, int] = {}
    for file in MODULES.values():
        if file.name != "__init__.py":
            modules[file.parent] = modules.get(file.parent, 0) + 1
    crowded = {str(folder.relative_to(PROJECT)): n for folder, n in modules.items() if n > MOST_MODULES}
    assert crowded == {}


def test_every_file_can_be_read_in_one_sitting() -> None:
    lines = {
        file.relative_to(PROJECT).as_posix(): len(file.read_text().splitlines()) for file in MODULES.values()
    }
    assert {file: number for file, number in lines.items() if number > MOST_LINES} == {}


def test_a_stage_imports_the_stages_before_it_only() -> None:
    stages = [
        "ingestion",
        "warehouse",
        "training",
        "recommendations",
        "monitoring",
        "operations",
        "automation",
        "cli",
    ]
    later = []
    for folder, imported in folder_graph().items():
        stage = folder.split(".")[1] if folder.startswith("moovitamix_assets.") else ""
        if stage in stages:
            after = {f"moovitamix_assets.{name}" for name in stages[stages.index(stage) + 1 :]}
            later += [f"{folder} -> {name}" for name in imported if ".".join(name.split(".")[:2]) in after]
    assert later == []
