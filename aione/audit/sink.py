"""A sink and the thread that feeds it: the writer never waits, and what cannot be kept is counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from aione.audit.record import AuditEvent, RawEvent, made

POLL_S: Final = 0.2
BATCH: Final = 1000
LEAST_JOIN_S: Final = 0.5

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where events are kept."""

    name: str

    def write(self, events: list[AuditEvent]) -> None:
        """Keep the events or raise `OSError` or a subclass; they are then offered again."""

    def sync(self) -> None:
        """Make what was written outlive a loss of power, where the sink can."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, slots=True)
class SinkStats:
    """What became of the events of one sink: ``error`` is the last failure, empty once it writes again."""

    name: str
    written: int
    waiting: int
    dropped: int
    error: str


class SinkWorker:
    """Feeds one sink from a bounded queue, in a thread of its own that starts with the first event.

    Parameters
    ----------
    sink : Sink
    capacity : int
        Events that may wait; more are dropped and counted.
    """

    def __init__(self, sink: Sink, capacity: int) -> None:
        self.sink = sink
        self._capacity = capacity
        self._queue: deque[RawEvent] = deque()
        self._batch: list[RawEvent] = []
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._written = self._dropped = 0
        self._error = ""

    def put(self, event: RawEvent) -> None:
        """Take an event; never waits."""
        if len(self._queue) >= self._capacity:
            with self._lock:
                self._dropped += 1
            return
        self._queue.append(event)
        if self._thread is None:
            self._start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put before is written and synced; False when the time is over first."""
        deadline = time.monotonic() + timeout_s
        self._wake.set()
        with self._lock:
            target = self._written + len(self._batch) + len(self._queue)
        while True:
            self._wake.set()
            with self._lock:
                if self._written >= target:
                    break
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._idle.wait(min(left, POLL_S))
        try:
            self.sink.sync()
        except OSError as error:
            self._error = f"{type(error).__name__}: {error}"
            return False
        return True

    def wake(self) -> None:
        """Let the thread write at once what waits."""
        self._wake.set()

    def close(self, timeout_s: float) -> bool:
        """Write what waits, end the thread and close the sink; what is left after the time is counted as dropped.

        An event that another thread was just putting is written all the same, by a thread that ends with it.
        """
        deadline = time.monotonic() + timeout_s
        is_written = self.flush(timeout_s)
        self._is_closing = True
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join(max(LEAST_JOIN_S, deadline - time.monotonic()))
        is_stuck = thread is not None and thread.is_alive()
        with self._lock:
            self._dropped += len(self._queue)
            self._queue.clear()
            if not is_stuck:  # else the batch is in the sink's hands, and nobody knows what becomes of it
                self._dropped += len(self._batch)
                self._batch = []
        if not is_stuck:
            self.sink.close()
        return is_written

    def stats(self) -> SinkStats:
        """Return what became of its events."""
        with self._lock:
            waiting = len(self._queue) + len(self._batch)
            return SinkStats(self.sink.name, self._written, waiting, self._dropped, self._error)

    # ── The thread ──

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"audit {self.sink.name}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait(POLL_S)
            self._wake.clear()
            while self._write_some():
                pass
            if self._is_closing and self._has_ended():
                return

    def _has_ended(self) -> bool:
        """Return whether the thread may end. First its place is empty, then the queue: no put falls in between."""
        with self._lock:
            me, self._thread = self._thread, None
            if self._queue and not self._error:
                self._thread = me
                return False
        return True

    def _write_some(self) -> bool:
        """Write one batch; False when there is none or the sink has failed."""
        with self._lock:
            while self._queue and len(self._batch) < BATCH:
                self._batch.append(self._queue.popleft())
            batch = self._batch
        if not batch:
            return False
        try:
            self.sink.write(list(map(made, batch)))
        except Exception as error:  # noqa: BLE001 - whatever a sink raises must not end the thread; it is tried again
            if not self._error:
                _log.warning("the audit sink %s does not take events: %s", self.sink.name, error)
            self._error = f"{type(error).__name__}: {error}"
            return False
        with self._lock:
            self._written += len(batch)
            self._batch = []
            self._error = ""
            self._idle.notify_all()
        return True


__all__ = ["BATCH", "POLL_S", "Sink", "SinkStats", "SinkWorker"]
