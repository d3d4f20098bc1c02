"""The foundation stands alone: it imports no product and names none, so that another can be built on it."""

from pathlib import Path

import pytest

import foundation

FOLDER = Path(foundation.__file__).parent
PRODUCTS = ("moovitamix", "mock_api")


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.py")), ids=lambda file: str(file.relative_to(FOLDER)))
def test_no_module_names_a_product(file: Path) -> None:
    text = file.read_text().lower()
    found = [name for name in PRODUCTS if name in text]
    assert not found, f"{file} names {found}: have the product pass it in (foundation/program.py)"


def test_no_folder_is_crowded() -> None:
    folders = [FOLDER, *(path for path in FOLDER.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    modules = {
        folder: len([file for file in folder.glob("*.py") if file.name != "__init__.py"])
        for folder in folders
    }
    assert max(modules.values()) <= 15, modules
