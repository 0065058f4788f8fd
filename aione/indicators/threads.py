"""Kernels over the symbols in a few threads: they hold no interpreter lock, so two CPUs take half the time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Lock
from typing import Any, Final

LEAST_ROWS: Final = 32
"""Symbols below which a part is not worth waking a thread for."""

PARTS: Final = 4
"""Parts that a thread has to take, on average."""

MOST_THREADS: Final = 8
"""Above this, memory is what a scan waits for."""


class _Pool:
    """The threads of this process, started when first used; a forked child starts its own."""

    def __init__(self) -> None:
        self.threads = available_cpus()
        self.executor: ThreadPoolExecutor | None = None
        self.lock = Lock()

    def forget(self) -> None:
        self.executor, self.lock = None, Lock()

    def started(self) -> ThreadPoolExecutor:
        with self.lock:
            if self.executor is None:
                self.executor = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="aione-kernel")
            return self.executor


def available_cpus() -> int:
    """Return how many CPUs this process may use, up to `MOST_THREADS`."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, MOST_THREADS)


_POOL: Final = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)


def use_threads(count: int) -> None:
    """Run kernels in so many threads from now on, the caller's among them; 1 starts none.

    By default as many as there are CPUs. The numbers do not depend on it.
    """
    old, _POOL.executor = _POOL.executor, None
    _POOL.threads = max(1, count)
    if old is not None:
        old.shutdown(wait=True)


def in_parts(kernel: Callable[..., None], rows: int, *args: Any) -> None:
    """Call ``kernel(begin, end, *args)`` for parts of ``range(rows)``, side by side; return when all are done.

    There are more parts than threads, and each thread takes the next when it is through: one that has to share its CPU
    takes fewer. The kernel must write to nothing but the rows of its own part. An error of any part rises here.
    """
    threads = min(_POOL.threads, rows // LEAST_ROWS)
    if threads < 2:
        kernel(0, rows, *args)
        return
    parts = min(PARTS * threads, rows // LEAST_ROWS)
    waiting = iter([(rows * k // parts, rows * (k + 1) // parts) for k in range(parts)])

    def work() -> None:
        for begin, end in waiting:  # taking the next is one step of the interpreter: no two threads get the same
            kernel(begin, end, *args)

    others = [_POOL.started().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        late = [other for other in others if not other.cancel()]
        wait(late)
    for other in late:
        other.result()


__all__ = ["available_cpus", "in_parts", "use_threads"]
