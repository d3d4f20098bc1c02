"""The end of a command that fails: one message on standard error and an exit code, never a traceback.

1 for what failed, 2 for what its user gave, 128 and the number of a signal for an interruption. Errors are raised and
named where they happen; those that may end any command (a full disk, damaged records) are in `error_messages.py`.
"""

from typing import Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from foundation.errors import Explained
from moovitamix_assets.cli.interface.interruption import EXIT_CODE, STOPPED
from moovitamix_assets.cli.interface.invocation import invocation, repeating_data_dir

_errors = Console(stderr=True, style="red", highlight=False, markup=False)


class Commands(TyperGroup):
    """Every command; errors that a user can act on end it with their message."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            # Outside of a run, which names its job and what to do.
            fail(STOPPED, code=EXIT_CODE)
        except Exception as error:
            from moovitamix_assets.cli.interface.error_messages import message_of

            message = message_of(error, invocation.get().data_dir)
            if message is None:
                raise
            fail(message, code=error.exit_code if isinstance(error, Explained) else 1)


def warn(message: str) -> None:
    """Print a warning; the command goes on."""
    _errors.print(message, style="yellow", soft_wrap=True, markup=False)


def fail(*messages: str, code: int = 1) -> NoReturn:
    """End the command with a message."""
    for message in messages:
        _errors.print(repeating_data_dir(message), soft_wrap=True, markup=False)
    raise typer.Exit(code)
