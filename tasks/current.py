"""The runtime of the flow run that is going on: what its tasks read and write.

Tasks take values alone, so that Prefect has nothing to search through and the UI shows what a task was about.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from aione.screening.runtime import Runtime

_RUNTIME: ContextVar[Runtime] = ContextVar("runtime")


def runtime() -> Runtime:
    """Return the runtime of this flow run; `LookupError` outside of `tasks.runtime.connected`."""
    return _RUNTIME.get()


@contextmanager
def being(of_run: Runtime) -> Iterator[None]:
    """Make a runtime the current one while the block runs."""
    token = _RUNTIME.set(of_run)
    try:
        yield
    finally:
        _RUNTIME.reset(token)


__all__ = ["being", "runtime"]
