"""`AuditBus`: events in memory, newest kept, and away to the sinks."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aione.audit.jsonl import JsonlSink, append_lines
from aione.audit.record import AuditEvent, RawEvent, made
from aione.audit.sink import Sink, SinkStats, SinkWorker
from aione.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

MAX_SIZE: Final = 10_000
QUEUE_FACTOR: Final = 5
"""A sink's queue holds so many times ``max_size``."""


@dataclass(frozen=True, slots=True)
class BusStats:
    """How many events were appended, are held, were trimmed as the oldest, and what became of them in each sink."""

    appended: int
    held: int
    trimmed: int
    sinks: tuple[SinkStats, ...]

    @property
    def dropped(self) -> int:
        """Return how many events some sink has lost."""
        return sum(sink.dropped for sink in self.sinks)


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
        self._is_registered = False

    # ── Set-up ──

    def configure(
        self,
        max_size: int | None = None,
        jsonl_path: str | Path | None = None,
        jsonl_rotate_mb: float | None = None,
        *,
        jsonl_keep: int = 5,
        sinks: Iterable[Sink] | None = None,
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

        Raises
        ------
        InvalidInput
            ``max_size`` below 1, ``jsonl_rotate_mb`` or ``jsonl_keep`` not above 0, or a size without a path.
        """
        if max_size is not None:
            if max_size < 1:
                raise InvalidInput(f"max_size must be at least 1, was {max_size}")
            self._events = deque(self._events, maxlen=max_size)
        if jsonl_path is None and jsonl_rotate_mb is not None:
            raise InvalidInput("jsonl_rotate_mb needs a jsonl_path")
        kept = [worker for worker in self._workers if isinstance(worker.sink, JsonlSink)]
        others = [worker for worker in self._workers if not isinstance(worker.sink, JsonlSink)]
        capacity = QUEUE_FACTOR * (self._events.maxlen or MAX_SIZE)
        if jsonl_path is not None:
            sink = JsonlSink(Path(jsonl_path), jsonl_rotate_mb, jsonl_keep)
            kept = self._replaced(kept, [SinkWorker(sink, capacity)])
        if sinks is not None:
            others = self._replaced(others, [SinkWorker(sink, capacity) for sink in sinks])
        self._use((*kept, *others))
        if self._workers and not self._is_registered:
            self._is_registered = True
            atexit.register(self.close)
            os.register_at_fork(after_in_child=self._after_fork)

    # ── Writing ──

    def log_metrics(
        self,
        stage: str,
        symbol: str,
        timeframe: str,
        *,
        kind: str = "metrics",
        tags: tuple[str, ...] = (),
        ts_ms: int | None = None,
        **payload: Any,
    ) -> None:
        """Log one event; ``ts_ms`` is the present where it is not given."""
        ts = time.time_ns() // 1_000_000 if ts_ms is None else ts_ms
        self._take((self._process, next(self._number), ts, stage, kind, symbol, timeframe, tags, payload))

    def append(self, event: AuditEvent) -> None:
        """Log an event that was made elsewhere; one without an id is given its own."""
        name = event.id or f"{self._process}-{next(self._number)}"
        self._take((name, None, *event[1:]))

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until every sink has all that was logged before; False when one has not in time. Blocks."""
        deadline = time.monotonic() + timeout_s
        in_time = [worker.flush(max(0.0, deadline - time.monotonic())) for worker in self._workers]
        return all(in_time)

    async def aflush(self, timeout_s: float = 5.0) -> bool:
        """Wait as `flush` does, without holding up the event loop."""
        return await asyncio.to_thread(self.flush, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits and let the sinks go; the events in memory stay. False when something was not written."""
        workers = self._workers
        self._use(())
        are_written = [worker.close(timeout_s) for worker in workers]
        return all(are_written)

    # ── Reading ──

    @property
    def events(self) -> tuple[AuditEvent, ...]:
        """Return the events that are held, oldest first."""
        return tuple(map(made, self._events))

    def stats(self) -> BusStats:
        """Return the counts of this process."""
        held = len(self._events)
        return BusStats(self._appended, held, self._appended - held, tuple(one.stats() for one in self._workers))

    def to_frame(self) -> pd.DataFrame:
        """Return the held events: columns ts, stage, kind, symbol, timeframe, tags, and ``p_<key>`` of the payloads."""
        import pandas as pd  # noqa: PLC0415  # half a second that writers need not wait for

        columns = list(AuditEvent._fields[1:-1])
        return pd.DataFrame([event.row() for event in self.events]).reindex(
            columns=[*columns, *dict.fromkeys(key for event in self.events for key in event.row() if key[:2] == "p_")]
        )

    def export_jsonl(self, path: str | Path, *, append: bool = False) -> Path:
        """Write the held events as JSON lines, after what the file holds or in its place."""
        return append_lines(Path(path), self.events, is_new=not append)

    def auto_export(self, directory: str | Path) -> list[Path]:
        """Write the held events as CSV, a file for each stage and kind (``stage1_metrics.csv``); return their paths."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        frame = self.to_frame()
        paths = []
        for (stage, kind), rows in frame.groupby(["stage", "kind"], sort=True):
            paths.append(folder / f"{_file_name(stage)}_{_file_name(kind)}.csv")
            rows.dropna(axis="columns", how="all").to_csv(paths[-1], index=False)
        return paths

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

    @staticmethod
    def _replaced(old: list[SinkWorker], new: list[SinkWorker]) -> list[SinkWorker]:
        for worker in old:
            worker.close(5.0)
        return new

    def _after_fork(self) -> None:
        """A child has no threads and its own name; what waited is the parent's to write."""
        self._process = _process_name()
        capacity = QUEUE_FACTOR * (self._events.maxlen or MAX_SIZE)
        self._use(tuple(SinkWorker(worker.sink, capacity) for worker in self._workers))

    def _use(self, workers: tuple[SinkWorker, ...]) -> None:
        self._workers = workers
        self._puts = tuple(worker.put for worker in workers)


def _process_name() -> str:
    """Return a name that no other process has: number, start, and chance."""
    return f"{os.getpid():x}-{time.time_ns() // 1_000_000:x}-{secrets.token_hex(3)}"


def _file_name(word: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in word).strip(".") or "none"


audit_bus: Final = AuditBus()
"""The bus of this process."""

__all__ = ["MAX_SIZE", "AuditBus", "BusStats", "audit_bus"]
