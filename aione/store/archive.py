"""Closed history on disk: Parquet, one file a day of minutes and one a year of days.

```text
<directory>/timeframe=1m/day=2026-11-22/bars.parquet
<directory>/timeframe=1d/year=2026/bars.parquet
```

A file holds every symbol's final bars of its period, sorted by symbol and open time; DuckDB, Polars and pandas read the
directory as it is. A file is replaced whole: written beside, flushed, renamed. So a crash leaves the one before.

Bars that are not final and bars that the exchange does not have are not written. What is on disk is at most
``ARCHIVE_INTERVAL_SEC`` behind the rings (`Archiver`), which hold 34 hours of minutes themselves.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from aione.errors import InvalidInput, ServiceUnavailable
from aione.panel.bars import BAR_RECORD, DAY_MS, Finality
from aione.store.ring_layout import ABSENT, CORRECTED, INTERVALS_MS, Records
from aione.store.rings import Rings

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

FILE: Final = "bars.parquet"
COLUMNS: Final = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count")
PERIODS: Final[Mapping[str, tuple[str, str]]] = {"1m": ("day", "%Y-%m-%d"), "1d": ("year", "%Y")}
"""Timeframe -> name and form of the partition."""


class BarArchive:
    """Bars on disk.

    Parameters
    ----------
    directory : Path
        Made when something is first written.

    Attributes
    ----------
    broken : dict Path -> str
        Files that could not be read, and why. They are left where they are, and written anew by the next write.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broken: dict[Path, str] = {}

    async def read(self, timeframe: str, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held of an inclusive range of open times; symbols without any are absent.

        A file that cannot be read is logged, kept in `broken`, and is as if it were not there.
        """
        return await asyncio.to_thread(self.read_now, timeframe, symbols, start_ms, end_ms)

    def read_now(self, timeframe: str, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return what `read` returns, on the caller's own thread."""
        parts: dict[str, list[Records]] = {}
        for path in self.files(timeframe, start_ms, end_ms):
            for symbol, rows in self._load(path, symbols).items():
                inside = (rows["open_time_ms"] >= start_ms) & (rows["open_time_ms"] <= end_ms)
                if inside.any():
                    parts.setdefault(symbol, []).append(rows[inside])
        return {symbol: np.concatenate(rows) for symbol, rows in parts.items()}

    def write(self, timeframe: str, records: Mapping[str, Records]) -> int:
        """Add final bars to the files of their periods; return how many were new or told otherwise before.

        Raises
        ------
        ServiceUnavailable
            The disk refuses; the files are as they were.
        """
        added = 0
        for period, rows in _by_period(timeframe, records).items():
            path = self._path(timeframe, period)
            held = self._load(path, None) if path.exists() else {}
            merged = {
                symbol: _merge(held.get(symbol), rows.get(symbol)) for symbol in sorted(held.keys() | rows.keys())
            }
            changed = sum(_difference(held.get(symbol), merged[symbol]) for symbol in rows)
            if changed:
                _replace(path, _table(merged))
                self.broken.pop(path, None)
                added += changed
        return added

    def files(self, timeframe: str, start_ms: int = 0, end_ms: int = 1 << 60) -> Iterator[Path]:
        """Yield the files of the periods that a range of open times touches, the oldest first."""
        name, form = PERIODS[timeframe]
        for path in sorted(self.directory.glob(f"timeframe={timeframe}/{name}=*/{FILE}")):
            text = path.parent.name.partition("=")[2]
            try:
                first = datetime.strptime(text, form).replace(tzinfo=UTC)
            except ValueError:
                continue  # not one of ours
            last = first.replace(year=first.year + 1) if name == "year" else None
            first_ms = int(first.timestamp() * 1000)
            until_ms = first_ms + DAY_MS if last is None else int(last.timestamp() * 1000)
            if first_ms <= end_ms and until_ms > start_ms:
                yield path

    def _path(self, timeframe: str, period: str) -> Path:
        return self.directory / f"timeframe={timeframe}" / f"{PERIODS[timeframe][0]}={period}" / FILE

    def _load(self, path: Path, symbols: Collection[str] | None) -> dict[str, Records]:
        try:
            return _records(path, symbols)
        except (OSError, ValueError, KeyError, InvalidInput) as error:  # pyarrow's errors are ValueErrors and OSErrors
            if path not in self.broken:
                log.warning("archive file %s cannot be read and is passed over: %s", path, error)
            self.broken[path] = str(error)
            return {}


class Archiver:
    """Writes behind: what the rings hold and the archive does not, every so often.

    Parameters
    ----------
    rings : Rings
        Of the timeframe to be archived.
    archive : BarArchive
    every_s : float
        How often; the archive is at most so far behind.

    Notes
    -----
    One archiver writes a directory at a time, whoever locks it first; another's `run_once` does nothing and its
    `is_passive` is True.
    """

    name = "archiving bars"
    is_for_all = True

    def __init__(self, rings: Rings, archive: BarArchive, every_s: float) -> None:
        self.every_s = every_s
        self.is_passive = False
        self.written = 0
        self.newest_ms: int | None = None
        self._rings = rings
        self._archive = archive
        self._archived_ms: dict[str, int] = {}

    async def run_once(self, symbols: Collection[str], now_ms: int) -> None:
        """Archive the bars of these symbols that are final by now.

        Raises
        ------
        ServiceUnavailable
            The rings do not answer, or the disk refuses; the same bars come up again.
        """
        step_ms = INTERVALS_MS[self._rings.timeframe]
        end_ms = now_ms // step_ms * step_ms - step_ms
        span = self._rings.layout.capacity if self._rings.timeframe == "1m" else 200
        fresh: dict[str, Records] = {}
        for symbol in symbols:
            # Yesterday's file is looked at again too: healing and verification reach back.
            start_ms = max(self._archived_ms.get(symbol, 0) - DAY_MS, end_ms - (span - 1) * step_ms)
            held = await self._rings.records([symbol], start_ms, end_ms)
            fresh[symbol] = held[symbol]
        self.written += await asyncio.to_thread(self._write, fresh)
        if not self.is_passive:
            self._archived_ms.update(dict.fromkeys(fresh, end_ms))
            self.newest_ms = end_ms

    def _write(self, fresh: Mapping[str, Records]) -> int:
        with _locked(self._archive.directory) as is_ours:
            self.is_passive = not is_ours
            return self._archive.write(self._rings.timeframe, fresh) if is_ours else 0


# ── Records and tables ──


def _by_period(timeframe: str, records: Mapping[str, Records]) -> dict[str, dict[str, Records]]:
    """Group final bars by the period of their file, then by symbol."""
    form = PERIODS[timeframe][1]
    grouped: dict[str, dict[str, Records]] = {}
    for symbol, rows in records.items():
        final = rows[(rows["finality"] >= Finality.STREAM_CLOSED) & (rows["reserved"] & ABSENT == 0)]
        days = final["open_time_ms"] // DAY_MS
        for day in np.unique(days).tolist():
            period = datetime.fromtimestamp(day * DAY_MS / 1000, UTC).strftime(form)
            part = grouped.setdefault(period, {})
            some = final[days == day]
            part[symbol] = np.concatenate([part[symbol], some]) if symbol in part else some
    return grouped


def _merge(held: Records | None, new: Records | None) -> Records:
    """Return the bars of both, one of each open time: the surer one, and of equally sure ones the new one."""
    rows = np.concatenate([part for part in (held, new) if part is not None])
    order = np.lexsort((np.arange(len(rows)), rows["finality"], rows["open_time_ms"]))
    rows = rows[order]
    is_last = np.append(np.diff(rows["open_time_ms"]) != 0, True)  # the last row is the last of its time
    merged: Records = rows[is_last]
    return merged


def _difference(held: Records | None, merged: Records) -> int:
    """Return how many bars are other ones than before."""
    if held is None:
        return len(merged)
    known = {row.tobytes() for row in held}
    return sum(row.tobytes() not in known for row in merged)


def _table(records: Mapping[str, Records]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415  # half a second that not every process needs

    rows = np.concatenate([np.zeros(0, BAR_RECORD), *records.values()])
    symbols = np.repeat(np.arange(len(records), dtype=np.int32), [len(part) for part in records.values()])
    columns = {
        "symbol": pa.DictionaryArray.from_arrays(pa.array(symbols), pa.array(list(records), pa.string())),
        "open_time": pa.array(rows["open_time_ms"].astype("datetime64[ms]"), pa.timestamp("ms", tz="UTC")),
        **{name: pa.array(np.ascontiguousarray(rows[name])) for name in COLUMNS},
        "source": pa.array(np.ascontiguousarray(rows["source"])),
        "finality": pa.array(np.ascontiguousarray(rows["finality"])),
        "is_corrected": pa.array(rows["reserved"] & CORRECTED != 0),
    }
    return pa.table(columns)


def _records(path: Path, symbols: Collection[str] | None) -> dict[str, Records]:
    import pyarrow.parquet as pq  # noqa: PLC0415  # as above

    filters = None if symbols is None else [("symbol", "in", list(symbols))]
    table = pq.read_table(path, filters=filters, partitioning=None)
    rows = np.zeros(len(table), BAR_RECORD)
    rows["open_time_ms"] = table["open_time"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    for name in (*COLUMNS, "source", "finality"):
        rows[name] = table[name].to_numpy()
    rows["reserved"] = np.where(table["is_corrected"].to_numpy(), CORRECTED, 0)
    names = table["symbol"].to_pylist()
    starts = [at for at in range(len(names)) if at == 0 or names[at] != names[at - 1]]
    return {names[first]: rows[first:last] for first, last in zip(starts, [*starts[1:], len(names)], strict=True)}


def _replace(path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415  # as above

    beside = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ServiceUnavailable(f"the archive {path} cannot be written: {error}") from error


@contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Hold the directory's lock while the block runs; False where somebody else does."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("a")
    except OSError as error:
        raise ServiceUnavailable(f"the archive {directory} cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


__all__ = ["Archiver", "BarArchive"]
