"""The options that several commands share, and the settings that are made from them.

What a single command takes is declared with it.
"""

import os
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr, ValidationError

from foundation.secret_url import SecretUrl
from moovitamix_assets.cli.interface.errors import fail, warn
from moovitamix_assets.cli.interface.invocation import Invocation, invocation
from moovitamix_assets.settings import Settings, all_fields, unknown_variables

_GREATEST_ID = 2**63 - 1


def day(text: str) -> date:
    """Parse a day of the command line.

    Raises:
        typer.BadParameter: If it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; give one such as 2026-09-30.") from None


def record_id(text: str) -> int:
    """Parse the id of a user or a track.

    Raises:
        typer.BadParameter: If it is none.
    """
    if not (text.isdecimal() and int(text) <= _GREATEST_ID):
        raise typer.BadParameter(f"{text!r} is not an id; give one such as 12103.")
    return int(text)


_OPTIONS = {"api_url": "--source-url", "data_dir": "--data-dir"}

SourceUrl = Annotated[
    str | None, typer.Option("--source-url", help="The source API; without it, the bundled one is started.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where everything is stored. [default: data]")
]
Reason = Annotated[str, typer.Option(help="Why, in one sentence, for the record.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def read_settings(data_dir: Path | None = None, source_url: str | None = None) -> Settings:
    """Read the settings from the options given, then from the environment.

    Raises:
        typer.Exit: If a value cannot be used (exit code 2); each is named on standard error.
    """
    options: dict[str, Any] = {"api_url": source_url, "data_dir": data_dir}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        fail(*(_unusable(problem, given) for problem in error.errors()), code=2)
    invocation.set(Invocation(settings.data_dir, data_dir))
    for name, nearest in unknown_variables().items():
        meant = f"; did you mean {nearest}?" if nearest else ": docs/settings.md has the names."
        warn(f"{name} is no setting and changes nothing{meant}")
    return settings


def _unusable(problem: Any, given: dict[str, Any]) -> str:
    name = str(problem["loc"][-1])
    variable, file = f"MOOVITAMIX_{name.upper()}", os.environ.get("MOOVITAMIX_THRESHOLDS_FILE")
    if problem["type"] == "missing":
        return f"{variable} has no value: the thresholds file of this installation lacks {name}."
    option = _OPTIONS.get(name) if name in given else None
    from_file = file and variable not in os.environ and name not in given
    field, value = all_fields().get(name), problem["input"]
    kind = field.annotation if field else None
    shown = "***" if kind is SecretStr else str(SecretUrl(value)) if kind is SecretUrl else value
    place = option or (f"{name} of {file}" if from_file else variable)
    return f"{place} = {shown!r}: {str(problem['msg']).removeprefix('Value error, ')}"


def refuse_unusable(data_dir: Path) -> None:
    """Refuse a data folder that cannot be created or written.

    Raises:
        typer.Exit: If it cannot (exit code 2).
    """
    nearest = data_dir.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        fail(f"--data-dir {data_dir}: {nearest} is not a folder. Choose another one.", code=2)
    if not os.access(nearest, os.W_OK | os.X_OK):
        fail(f"--data-dir {data_dir}: {nearest} cannot be written. Choose another one.", code=2)


def confirm(yes: bool) -> None:
    """Ask the user to confirm a deletion.

    Raises:
        typer.Exit: If the answer is not yes.
    """
    if not yes and typer.prompt("Type yes to continue") != "yes":
        fail("Nothing was deleted.")
