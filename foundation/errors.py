"""Errors that a user can act on, and how a command that meets one ends.

Only the base class belongs here; each module names its own errors.
"""


class Explained(Exception):
    """An error whose message names the value and the remedy: commands print it alone, without a traceback.

    Attributes:
        exit_code: The exit code of a command that ends with it; 2 for what its user gave.
    """

    exit_code: int = 1
