"""Ports on this machine: whether one is free, and whose it is.

Which service wants which port is the callers' affair.
"""

import socket
from contextlib import suppress
from pathlib import PurePath

import psutil

from foundation.errors import Explained

_HOST = "127.0.0.1"
_SHOWN = 60


class PortInUse(Explained):
    """A port that was asked for is in use; the message says by which process, and the option to change."""


def is_free(port: int) -> bool:
    """Tell whether a port on loopback can be listened on."""
    with socket.socket() as probe:
        # As servers do: connections of one that has just ended do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def choose_port(usual: int, wanted: int | None, option: str) -> int:
    """Choose the port of a service.

    Args:
        usual: Taken if it is free and no other is wanted; else a free one.
        wanted: What the user asked for, if anything.
        option: How they asked.

    Raises:
        PortInUse: If the one that is wanted is not free.
    """
    port = wanted or usual
    if is_free(port):
        return port
    if wanted is not None:
        raise PortInUse(f"{option} {wanted} is in use by {holder_of(wanted)}: choose another one, or end it.")
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        free: int = probe.getsockname()[1]
    return free


def holder_of(port: int) -> str:
    """The process that listens on a port, as far as this user may know."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr[1:2] == (port,)
                and connection.pid
            ):
                return f"process {connection.pid} ({_command_of(psutil.Process(connection.pid))})"
    return "another process"


def _command_of(process: psutil.Process) -> str:
    """The first words of its command line, or its name: `python3.11` alone says little."""
    program, *arguments = process.cmdline() or [process.name()]
    return " ".join([PurePath(program).name, *arguments[:2]])[:_SHOWN]
