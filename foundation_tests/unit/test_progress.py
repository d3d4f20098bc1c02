"""Progress: a bar per piece of work where somebody looks, one line in a file, nothing where nobody does."""

import io

from rich.console import Console

from foundation.progress import NoProgress, TerminalProgress


def reported(*steps: tuple[int, int]) -> str:
    """The output in a file for a piece of work that reported some steps."""
    file = io.StringIO()
    with TerminalProgress(Console(file=file, width=100)).track("reading users") as on_progress:
        for done, total in steps:
            on_progress(done, total)
    return " ".join(file.getvalue().split())


def test_a_file_gets_one_line_with_all_that_was_done() -> None:
    text = reported((1, 4), (4, 4))
    assert text.startswith("reading users")
    assert "4/4" in text
    assert text.count("reading users") == 1


def test_work_without_a_known_end_is_complete_when_it_ends() -> None:
    assert "7/7" in reported((7, 0))
    assert "3/3" in reported((3, 9))


def test_work_without_steps_is_complete_too() -> None:
    assert "1/1" in reported()
    assert "1/1" in reported((0, 0))


def test_nobody_is_told_anything(capsys) -> None:
    with NoProgress().track("reading users") as on_progress:
        on_progress(1, 2)
    assert capsys.readouterr() == ("", "")
