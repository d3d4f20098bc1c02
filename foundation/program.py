"""The product's command and environment variables, as messages name them in their remedies.

The product makes one instance and passes it on; nothing else of a product is known here.
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Program:
    """The names that a user types.

    Attributes:
        command: The command line's name.
        environment_prefix: The prefix of every environment variable, with its underscore.
    """

    command: str
    environment_prefix: str

    def run_again(self, day: date | str) -> str:
        """The command that reads and loads one partition again."""
        return f"`{self.command} run --again --from {day} --to {day}`"

    def variable(self, setting: str) -> str:
        """The environment variable of a setting."""
        return f"{self.environment_prefix}{setting}"
