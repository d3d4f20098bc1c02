"""Threads that may wait for a server without keeping the program alive.

What they run is decided by the callers.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_Work = tuple[Future[Any], Callable[[], Any]]


class DaemonThreads(Executor):
    """An executor whose threads do not outlive the program.

    The interpreter joins the threads of a `ThreadPoolExecutor` at exit, so that a thread waiting for a name server, or
    for a host that does not answer, keeps a terminated run alive.
    """

    def __init__(self, count: int, name: str) -> None:
        """Start no thread yet, and never more than `count` of them."""
        self._count, self._name = count, name
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._started = 0
        self._closed = False

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Have a function called as soon as a thread is free.

        Raises:
            RuntimeError: After `shutdown`.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the client was closed: make another one")
            self._work.put((future, lambda: fn(*args, **kwargs)))
            if self._started < self._count:
                self._started += 1
                name = f"{self._name}_{self._started}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Let each thread end after its current work; work that was not begun is cancelled.

        Raises:
            ValueError: If asked to wait or to continue: these threads exist so that nothing waits for them.
        """
        if wait or not cancel_futures:
            raise ValueError("these threads are not waited for, and queued work is not finished")
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while not self._work.empty():
                work = self._work.get()
                if work is not None:
                    work[0].cancel()
            for _ in range(self._started):
                self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, call = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # raised where the future is awaited
                    future.set_exception(error)
