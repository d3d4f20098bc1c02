"""The pages of `docs/`: generated ones are current, their links lead somewhere, the commands they name exist."""

import importlib.util
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]


def generator():
    spec = importlib.util.spec_from_file_location("generate", PROJECT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings.md", "data_dictionary.md"])
def test_a_generated_page_is_current(page: str) -> None:
    assert (PROJECT / "docs" / page).read_text() == generator().PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    """Of this project's packages; a placeholder such as <name> stands for any."""
    named = re.findall(
        r"`((?:foundation|moovitamix_assets|moovitamix_serving|foundation_tests|moovitamix_assets_tests|mock_api|benchmarks|deploy|docs)"
        r"/[\w./<>*]*)`",
        page.read_text(),
    )
    patterns = {name: re.sub(r"<\w+>", "*", name) for name in named}
    assert [name for name, pattern in patterns.items() if not list(PROJECT.glob(pattern.rstrip("/")))] == []


def test_commands_about_assets_name_the_module_that_dagster_does_not_find() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    commands = re.findall(r"dagster asset [^`\n]*", text)
    assert commands
    assert [command for command in commands if "-m moovitamix_assets.definitions" not in command] == []
