"""`AuditBus`: events in memory, newest kept, and away to the sinks."""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import secrets
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from multiprocessing import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aione.audit.jsonl import JsonlSink, append_lines
from aione.audit.record import AuditEvent, RawEvent, made, taken
from aione.audit.sink import Sink, SinkStats, SinkWorker
from aione.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

MAX_SIZE: Final = 10_000
QUEUE_SIZE: Final = 50_000
"""Events that may wait for a sink."""


@dataclass(frozen=True, slots=True)
class BusStats:
    """How many events were appended, are held, were trimmed as the oldest, and what became of them in each sink.

    ``dropped_before`` counts those that sinks which are no longer used have lost.
    """

    appended: int
    held: int
    trimmed: int
    sinks: tuple[SinkStats, ...]
    dropped_before: int = 0

    @property
    def dropped(self) -> int:
        """Return how many events some sink has lost."""
        return self.dropped_before + sum(sink.dropped for sink in self.sinks)


class AuditBus:
    """Takes events from any thread without waiting.

    Examples
    --------
    >>> bus = AuditBus()
    >>> bus.configure(max_size=2)
    >>> for burst in (1, 2, 3):
    ...     bus.log_metrics("stage1", "BTCUSDT", "1m", kind="metrics", burst=burst)
    >>> bus.to_frame()["p_burst"].tolist(), bus.stats().trimmed
    ([2, 3], 1)
    """

    def __init__(self) -> None:
        self._events: deque[RawEvent] = deque(maxlen=MAX_SIZE)
        self._number = count()
        self._appended = 0
        self._workers: tuple[SinkWorker, ...] = ()
        self._puts: tuple[Callable[[RawEvent], None], ...] = ()
        self._process = _process_name()
        self._capacity = QUEUE_SIZE
        self._retired: tuple[SinkWorker, ...] = ()
        self._dropped_before = 0
        self._is_registered = False
        _buses.add(self)

    # ── Set-up ──

    def configure(
        self,
        max_size: int | None = None,
        jsonl_path: str | Path | None = None,
        jsonl_rotate_mb: float | None = None,
        *,
        jsonl_keep: int = 5,
        sinks: Iterable[Sink] | None = None,
        queue_size: int | None = None,
    ) -> None:
        """Set how many events are held and where they go; events that are held stay.

        Parameters
        ----------
        max_size : int, optional
            The oldest are trimmed beyond it.
        jsonl_path : path, optional
            A file of JSON lines; its directory is made. Several processes may write the same one. None leaves the file
            sink as it is.
        jsonl_rotate_mb : float, optional
            A file that would grow beyond it is put aside; ``jsonl_keep`` of those are kept.
        sinks : iterable of Sink, optional
            Further sinks, in place of those given before.
        queue_size : int, optional
            Events that may wait for each sink that is set up from now on; more are dropped and counted.

        Raises
        ------
        InvalidInput
            ``max_size`` or ``queue_size`` below 1, ``jsonl_rotate_mb`` or ``jsonl_keep`` not above 0, or a size without
            a path.
        """
        if max_size is not None:
            if max_size < 1:
                raise InvalidInput(f"max_size must be at least 1, was {max_size}")
            self._events = deque(self._events, maxlen=max_size)
        if queue_size is not None:
            if queue_size < 1:
                raise InvalidInput(f"queue_size must be at least 1, was {queue_size}")
            self._capacity = queue_size
        if jsonl_path is None and jsonl_rotate_mb is not None:
            raise InvalidInput("jsonl_rotate_mb needs a jsonl_path")
        kept = [worker for worker in self._workers if isinstance(worker.sink, JsonlSink)]
        others = [worker for worker in self._workers if not isinstance(worker.sink, JsonlSink)]
        old: list[SinkWorker] = []
        if jsonl_path is not None:
            sink = JsonlSink(Path(jsonl_path).absolute(), jsonl_rotate_mb, jsonl_keep)
            old, kept = kept, [SinkWorker(sink, self._capacity)]
        if sinks is not None:
            old, others = old + others, [SinkWorker(sink, self._capacity) for sink in sinks]
        self._use((*kept, *others))
        self._retire(old, 5.0)
        if self._workers and not self._is_registered:
            self._is_registered = True
            atexit.register(self.close)
            util.register_after_fork(self, _close_with_child)
            if multiprocessing.parent_process() is not None:
                _close_with_child(self)

    # ── Writing ──

    def log_metrics(
        self,
        /,
        stage: str,
        symbol: str,
        timeframe: str,
        *,
        kind: str = "metrics",
        tags: tuple[str, ...] = (),
        ts_ms: int | None = None,
        **payload: Any,
    ) -> None:
        """Log one event; ``ts_ms`` is the present where it is not given.

        The payload's values are written a moment later and held as they are: hand over what is not changed afterwards,
        and no view of a large array.
        """
        ts = time.time_ns() // 1_000_000 if ts_ms is None else ts_ms
        self._take((self._process, next(self._number), ts, stage, kind, symbol, timeframe, tags, payload))

    def append(self, event: AuditEvent | Mapping[str, Any]) -> None:
        """Log an event that was made elsewhere; one without an id is given its own. See `aione.audit.record.taken`."""
        one = event if type(event) is AuditEvent else taken(event)
        if one.id:
            self._take((one.id, None, *one[1:]))
        else:
            self._take((self._process, next(self._number), *one[1:]))

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until every sink has all that was logged before; False when one has not in time. Blocks."""
        deadline, workers = time.monotonic() + timeout_s, self._workers
        for worker in workers:
            worker.wake()
        in_time = [worker.flush(max(0.0, deadline - time.monotonic())) for worker in workers]
        return all(in_time)

    async def aflush(self, timeout_s: float = 5.0) -> bool:
        """Wait as `flush` does, without holding up the event loop."""
        return await asyncio.to_thread(self.flush, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits and let the sinks go; the events in memory stay. False when something was not written."""
        workers = self._workers
        self._use(())
        if self._is_registered:
            atexit.unregister(self.close)  # which holds the bus, and all its events
            self._is_registered = False
        return self._retire(workers, timeout_s)

    # ── Reading ──

    @property
    def events(self) -> tuple[AuditEvent, ...]:
        """Return the events that are held, oldest first."""
        return tuple(map(made, list(self._events)))  # a copy: other threads go on appending

    def stats(self) -> BusStats:
        """Return the counts of this process."""
        held = len(self._events)
        lost = self._dropped_before + sum(one.stats().dropped for one in self._retired)
        return BusStats(self._appended, held, self._appended - held, tuple(one.stats() for one in self._workers), lost)

    def to_frame(self) -> pd.DataFrame:
        """Return the held events: columns ts, stage, kind, symbol, timeframe, tags, and ``p_<key>`` of the payloads."""
        import pandas as pd  # noqa: PLC0415  # half a second that writers need not wait for

        rows = [AuditEvent.from_json(event.to_json()).row() for event in self.events]  # values as the files have them
        columns = dict.fromkeys([*AuditEvent._fields[1:-1], *(name for row in rows for name in row)])
        return pd.DataFrame(rows, columns=list(columns))

    def export_jsonl(self, path: str | Path, *, append: bool = False) -> Path:
        """Write the held events as JSON lines, after what the file holds or in its place."""
        return append_lines(Path(path), self.events, is_new=not append)

    def auto_export(self, directory: str | Path) -> list[Path]:
        """Write the held events as CSV, a file for each stage and kind (``stage1_metrics.csv``); return their paths."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        frame = self.to_frame()
        paths: dict[Path, None] = {}
        for (stage, kind), rows in frame.groupby(["stage", "kind"], sort=True):
            name = f"{_file_name(stage)}_{_file_name(kind)}"
            names = (folder / f"{name}{'' if again == 1 else f'-{again}'}.csv" for again in count(1))
            path = next(path for path in names if path not in paths)
            paths[path] = None
            rows.dropna(axis="columns", how="all").to_csv(path, index=False, errors="backslashreplace")
        return list(paths)

    def export_parquet(self, directory: str | Path) -> list[Path]:
        """Write the held events as Parquet, a file in each UTC day's folder (``day=2026-11-22``), payloads as JSON."""
        from aione.audit.parquet import write_days  # noqa: PLC0415  # pyarrow is slow to import

        return write_days(Path(directory), self.events, f"{self._process}-{next(self._number)}")

    # ── Parts ──

    def _take(self, raw: RawEvent) -> None:
        self._events.append(raw)
        self._appended += 1
        for put in self._puts:
            put(raw)

    def _retire(self, old: Iterable[SinkWorker], timeout_s: float) -> bool:
        """Let workers end that nobody puts into any more; False when one could not write all."""
        deadline, old = time.monotonic() + timeout_s, tuple(old)
        for worker in old:
            worker.wake()
        are_written = [worker.close(max(0.0, deadline - time.monotonic())) for worker in old]
        self._dropped_before += sum(worker.stats().dropped for worker in self._retired)
        self._retired = old
        return all(are_written)

    def _after_fork(self) -> None:
        """A child has no threads and its own name; what waited is the parent's to write."""
        self._process = _process_name()
        self._use(tuple(SinkWorker(worker.sink, self._capacity) for worker in self._workers))
        self._retired = ()

    def _use(self, workers: tuple[SinkWorker, ...]) -> None:
        self._workers = workers
        self._puts = tuple(worker.put for worker in workers)


def _process_name() -> str:
    """Return a name that no other process has: number, start, and chance."""
    return f"{os.getpid():x}-{time.time_ns() // 1_000_000:x}-{secrets.token_hex(3)}"


def _file_name(word: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in word).strip(".") or "none"


def _after_fork() -> None:
    for bus in list(_buses):
        bus._after_fork()  # noqa: SLF001 - of this module


def _close_with_child(bus: AuditBus) -> None:
    """Close the bus when a process of `multiprocessing` ends: forked ones run no atexit."""
    util.Finalize(None, bus.close, exitpriority=10)


_buses: weakref.WeakSet[AuditBus] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)

audit_bus: Final = AuditBus()
"""The bus of this process."""

__all__ = ["MAX_SIZE", "AuditBus", "BusStats", "audit_bus"]
