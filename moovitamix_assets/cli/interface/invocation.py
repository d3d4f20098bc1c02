"""The command line at hand: its settings, its data folder, and what is printed for its user.

Which options there are is in `options.py`; how a command ends that fails is in `errors.py`.
"""

import re
import shlex
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

# Where the width is unknown (a pipe, a log), tables get the room they need.
console = Console(width=None if sys.stdout.isatty() else 110)

# The commands that take --data-dir, where a text names one of them.
_COMMAND = re.compile(
    r"\bmoovitamix (run|status|history|recommend|rollback|retrain|rebuild|mirror|dev|exporter|serve|doctor|forget"
    r"|reset)\b(?! --data-dir)"
)


@dataclass(frozen=True)
class Invocation:
    """Where a command works.

    Attributes:
        data_dir: Its data folder.
        data_dir_option: What was given as --data-dir; None where it was not.
    """

    data_dir: Path = Path("data")
    data_dir_option: Path | None = None


invocation: ContextVar[Invocation] = ContextVar("invocation", default=Invocation())  # noqa: B039 - it is frozen


def say(text: str, style: str | None = None) -> None:
    """Print a line as it is, without highlighting and without wrapping."""
    console.print(repeating_data_dir(text), style=style, highlight=False, soft_wrap=True, markup=False)


def repeating_data_dir(text: str) -> str:
    """A text whose commands name the data folder, if one was given: they are meant to be copied."""
    given = invocation.get().data_dir_option
    if given is None:
        return text
    option = shlex.quote(str(given))
    return _COMMAND.sub(lambda command: f"{command[0]} --data-dir {option}", text)
