"""The text reads as the field writes it: terms of `docs/glossary.md`, not a dialect of this project.

What is allowed are the uses on purpose: an English verb, a name that others rely on, a quotation.
"""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PLACES = (
    "foundation",
    "moovitamix_assets",
    "moovitamix_serving",
    "mock_api",
    "benchmarks",
    "deploy",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
)

# What is said instead, the pattern of what is not, and how many uses on purpose there may be.
DIALECT = {
    "user": (r"(?<![a-z])(people|persons?)(?![a-z])", 34),
    "recommendations": (r"(?<![a-z])lists(?![a-z])", 19),
    "played, seen": (r"(?<![a-z])heard(?![a-z])", 13),
    "reported, notified, recorded": (r"(?<![a-z])(told|tells)(?![a-z])", 12),
    "champion, active version": (r"in[ _]force", 8),
    "interactions": (r"(?<![a-z])pairs(?![a-z])", 7),
    "time decay": (r"(?<![a-z])(fad(e|es|ed|ing))(?![a-z])", 7),
    "a noun phrase or an imperative": (r'"""What\b', 6),
    "nightly run, missed partition": (r"(?<![a-z])nights(?![a-z])", 4),
    "compared with, next to": (r"(?<![a-z])beside(?![a-z])", 3),
    "quality, check, hyperparameter, refit, automatically": (
        r"(?<![a-z])(worth|look(s|ed|ing)? at|knobs?|twins?|by (it|them)sel(f|ves))(?![a-z])",
        9,
    ),
}


def texts() -> dict[str, str]:
    files = [
        file
        for place in PLACES
        for file in ([PROJECT / place] if (PROJECT / place).is_file() else (PROJECT / place).rglob("*"))
        if file.suffix in {".py", ".md", ".yaml", ".yml"}
    ]
    glossary = PROJECT / "docs" / "glossary.md"  # it names what it replaces
    return {str(file.relative_to(PROJECT)): file.read_text() for file in files if file != glossary}


@pytest.mark.parametrize("said", DIALECT)
def test_the_text_is_in_the_language_of_the_field(said: str) -> None:
    pattern, allowed = DIALECT[said]
    found = {
        name: len(uses)
        for name, text in texts().items()
        if (uses := re.findall(pattern, text, re.IGNORECASE))
    }
    most = sorted(found.items(), key=lambda item: -item[1])[:10]
    assert sum(found.values()) <= allowed, f"say {said!r} in place of /{pattern}/: {most}"
