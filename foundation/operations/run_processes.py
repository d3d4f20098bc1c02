"""The process that executes a run, and whether it is alive: read from the run's own log, on this machine only.

Runs whose process is gone are released in `dead_runs.py`.
"""

import json
import platform
import socket

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun

from foundation.dagster_internals import GRPC_INFO_TAG

THIS_HOST = platform.node()

_LOOPBACK = ("localhost", "127.0.0.1", "::1", THIS_HOST)
_EVENTS_READ = 50
_CONNECT_SECONDS = 1.0


def is_of_this_host(run: DagsterRun, host_tag: str) -> bool:
    """Return whether the process of a run is, or was, one of this machine.

    A run without the tag (assets materialized by hand) is judged by the address of its code server; one without
    either was started by a command, with records in local files.

    Args:
        run: The run.
        host_tag: The tag with the name of the machine whose code server, or command, executes the run.
    """
    if host_tag in run.tags:
        return run.tags[host_tag] == THIS_HOST
    code_server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    return code_server.get("host", "localhost") in _LOOPBACK


def code_server_is_gone(run: DagsterRun) -> bool:
    """Return whether the code server that was to start a run no longer listens, on this machine.

    False also where its address is not known.
    """
    address = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    if address.get("host") not in _LOOPBACK:
        return False
    try:
        if path := address.get("socket"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_CONNECT_SECONDS)
                client.connect(path)
        else:
            socket.create_connection((address["host"], address["port"]), _CONNECT_SECONDS).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return True
    except OSError:
        return False
    return False


def process_of(instance: DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The process that executes a run, as its id and the newest time (Unix time) at which it wrote.

    Other events may be written by the process that requested or terminated the run, or by a child for one step.

    Returns:
        None where no process has started the run.
    """
    began = instance.get_records_for_run(
        run_id, of_type=DagsterEventType.PIPELINE_START, limit=1, ascending=False
    ).records
    if not began or not (event := began[0].event_log_entry.dagster_event) or not event.pid:
        return None
    newest = instance.get_records_for_run(run_id, limit=_EVENTS_READ, ascending=False).records
    entries = [record.event_log_entry for record in [*newest, *began]]
    written = (
        entry.timestamp for entry in entries if entry.dagster_event and entry.dagster_event.pid == event.pid
    )
    return event.pid, max(written)


def living_process(pid: int, written_at: float) -> psutil.Process | None:
    """The process of that id; None if it is gone.

    Args:
        pid: Its id.
        written_at: When it was known to be alive (Unix time). One that started later has reused the id.
    """
    try:
        process = psutil.Process(pid)
        if process.create_time() > written_at or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process
