import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from foundation.ports import PortInUse, choose_port, holder_of, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_usual_port_is_taken_where_it_is_free(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert choose_port(free, None, "--port") == free
    assert choose_port(taken, free, "--port") == free


def test_a_free_one_is_chosen_where_the_usual_one_is_in_use(taken: int) -> None:
    chosen = choose_port(taken, None, "--port")
    assert chosen != taken
    assert is_free(chosen)


def test_a_port_that_was_asked_for_is_refused_with_its_holder(taken: int) -> None:
    with pytest.raises(PortInUse, match=rf"--port {taken} is in use by process {os.getpid()} \("):
        choose_port(3000, taken, "--port")


def test_a_port_that_nobody_listens_on_has_no_known_holder() -> None:
    assert holder_of(1) == "another process"


def test_a_holder_is_named_by_the_first_words_of_its_command(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["/usr/bin/python3.11", "-m", "dagster_webserver", "--port", "3000"]
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: words)
    assert holder_of(taken) == f"process {os.getpid()} (python3.11 -m dagster_webserver)"
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [])
    assert holder_of(taken) == f"process {os.getpid()} ({psutil.Process().name()})"
