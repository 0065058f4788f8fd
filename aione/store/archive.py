"""Closed history on disk: Parquet, one file a day of minutes and one a year of days.

```text
<directory>/timeframe=1m/day=2026-11-22/bars.parquet
<directory>/timeframe=1d/year=2026/bars.parquet
```

A file holds every symbol's final bars of its period (`aione.store.bars_file`); DuckDB, Polars and pandas read
``timeframe=1m`` as it is, so nothing but bars ever lies below it. A file is replaced whole: written to ``.writing``,
flushed, renamed. So a crash leaves the one before. One writer at a time (`aione.store.archiver` sees to it).

Bars that are not final, bars that the exchange does not have, and bars that cannot be are not written. What is on
disk is at most ``ARCHIVE_INTERVAL_SEC`` behind the rings (`aione.store.archiver`), which hold 34 hours of minutes.

A file that is not to be believed is passed over by `BarArchive`. Before its period is written again it is moved to
``<directory>/broken/timeframe=1m,day=2026-11-22.broken-<n>``, never overwritten: a human may look what can be saved.
No pattern that ends in ``.parquet`` matches that.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from aione.errors import InvalidInput, ServiceUnavailable
from aione.panel.bars import DAY_MS, Finality
from aione.store.ring_layout import ABSENT, INTERVALS_MS, Records, raw_bytes

log = logging.getLogger(__name__)

FILE: Final = "bars.parquet"
BROKEN: Final = "broken"
WRITING: Final = ".writing"
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
        Files that could not be read at the last try, and why.
    set_aside : int
        Files that were broken and moved away before their period was written again.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broken: dict[Path, str] = {}
        self.set_aside = 0

    async def read(self, timeframe: str, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return the bars held of an inclusive range of open times; symbols without any are absent.

        A file that cannot be read is logged, kept in `broken`, and is as if it were not there.
        """
        return await asyncio.to_thread(self.read_now, timeframe, symbols, start_ms, end_ms)

    def read_now(self, timeframe: str, symbols: Sequence[str], start_ms: int, end_ms: int) -> dict[str, Records]:
        """Return what `read` returns, on the caller's own thread."""
        parts: dict[str, list[Records]] = {}
        for path in self.files(timeframe, start_ms, end_ms):
            for symbol, rows in self._passing_over(path, timeframe, symbols).items():
                inside = (rows["open_time_ms"] >= start_ms) & (rows["open_time_ms"] <= end_ms)
                if inside.any():
                    parts.setdefault(symbol, []).append(rows[inside])
        return {symbol: np.concatenate(rows) for symbol, rows in parts.items()}

    def write(self, timeframe: str, records: Mapping[str, Records]) -> int:
        """Add final bars to the files of their periods; return how many were new or told otherwise before.

        Raises
        ------
        ServiceUnavailable
            The disk refuses to be read or written; that period's file is as it was, the others are written.
        """
        added, refused = 0, None
        for period, rows in _by_period(timeframe, records).items():
            try:
                added += self._write_period(timeframe, period, rows)
            except ServiceUnavailable as error:
                refused = error
        if refused is not None:
            raise refused
        return added

    def _write_period(self, timeframe: str, period: str, rows: Mapping[str, Records]) -> int:
        path = self.directory / f"timeframe={timeframe}" / f"{PERIODS[timeframe][0]}={period}" / FILE
        try:
            held = self._load(path, timeframe, None)
        except InvalidInput as error:
            self._set_aside(path, error)
            held = {}
        merged = {symbol: _merge(held.get(symbol), rows.get(symbol)) for symbol in sorted(held.keys() | rows.keys())}
        changed = sum(_difference(held.get(symbol), merged[symbol]) for symbol in rows)
        if changed:
            self._replace(path, merged)
        self.broken.pop(path, None)
        return changed

    def _set_aside(self, path: Path, error: InvalidInput) -> None:
        name = ",".join(path.parent.relative_to(self.directory).parts)
        names = (self.directory / BROKEN / f"{name}.broken-{number}" for number in count(1))
        try:
            (self.directory / BROKEN).mkdir(exist_ok=True)
            aside = next(name for name in names if not name.exists())
            path.rename(aside)
        except OSError as refusal:
            raise ServiceUnavailable(f"the archive {path} is broken and cannot be moved: {refusal}") from refusal
        self.set_aside += 1
        log.error("archive file %s is broken and set aside as %s: %s", path, aside, error)

    def _replace(self, path: Path, records: Mapping[str, Records]) -> None:
        from aione.store.bars_file import write_table  # noqa: PLC0415  # as in _load

        beside = self.directory / WRITING / ",".join(path.relative_to(self.directory).parts)
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                write_table(records, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except (OSError, MemoryError) as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise ServiceUnavailable(f"the archive {path} cannot be written: {error}") from error

    def newest_broken(self, timeframe: str) -> str | None:
        """Return why the file of the newest period cannot be read; None where it can, or where there is none."""
        newest = list(self.files(timeframe))[-1:]
        try:
            for path in newest:
                self._load(path, timeframe, None)
        except (ServiceUnavailable, InvalidInput) as error:
            return str(error)
        return None

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

    def _passing_over(self, path: Path, timeframe: str, symbols: Collection[str]) -> dict[str, Records]:
        """Return a file's bars; of one that cannot be read none."""
        try:
            found = self._load(path, timeframe, symbols)
        except (ServiceUnavailable, InvalidInput) as error:
            if path not in self.broken:
                log.warning("archive file %s cannot be read and is passed over: %s", path, error)
            self.broken[path] = str(error)
            return {}
        self.broken.pop(path, None)
        return found

    @staticmethod
    def _load(path: Path, timeframe: str, symbols: Collection[str] | None) -> dict[str, Records]:
        """Return a file's bars, none where there is no file.

        Raises
        ------
        InvalidInput
            The file is not to be believed.
        ServiceUnavailable
            The system does not let it be read, which says nothing about the file.
        """
        from aione.store.bars_file import read_table  # noqa: PLC0415  # pyarrow: half a second, not for every process

        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise ServiceUnavailable(f"the archive {path} cannot be read: {error}") from error
        return read_table(content, INTERVALS_MS[timeframe], symbols)


# ── Records ──


def _by_period(timeframe: str, records: Mapping[str, Records]) -> dict[str, dict[str, Records]]:
    """Group final bars that can be by the period of their file, then by symbol."""
    from aione.store.bars_file import possible  # noqa: PLC0415  # as above

    form = PERIODS[timeframe][1]
    grouped: dict[str, dict[str, Records]] = {}
    for symbol, rows in records.items():
        final = possible(symbol, rows[(rows["finality"] >= Finality.STREAM_CLOSED) & (rows["reserved"] & ABSENT == 0)])
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
    if held is None or not held.size:
        return len(merged)
    at = np.searchsorted(held["open_time_ms"], merged["open_time_ms"]).clip(max=len(held) - 1)
    return int((raw_bytes(held)[at] != raw_bytes(merged)).any(axis=1).sum())


__all__ = ["BarArchive"]
