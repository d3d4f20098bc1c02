"""Reporting the progress of long work: bars in a terminal, nothing elsewhere.

The work itself does not belong here.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

OnProgress = Callable[[int, int], None]


class Progress(Protocol):
    """Receives the progress of pieces of long work by name."""

    def track(self, description: str) -> AbstractContextManager[OnProgress]:
        """A context that yields a callable, to be called with the steps done and the steps in total."""
        ...


class NoProgress:
    """Reports nothing: for unattended runs."""

    @contextmanager
    def track(self, description: str) -> Iterator[OnProgress]:
        """A callable that does nothing."""
        yield lambda done, total: None


class TerminalProgress:
    """A bar per piece of work, with the time it took; in a file or pipe, one line when it is done."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._console = console

    @contextmanager
    def track(self, description: str) -> Iterator[OnProgress]:
        """A callable that moves the bar."""
        with Bars(
            TextColumn("  {task.description:<28}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        ) as bars:
            task = bars.add_task(description, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total or None)
            shown = bars.tasks[0]
            bars.update(task, total=shown.completed or 1, completed=shown.completed or 1)
