"""`DayArchive`: the entries of a Redis stream by UTC day, as Parquet that DuckDB, Polars and pandas read as it is.

```text
<directory>/trades/2026-11-22.parquet
<directory>/audit/.open/2026-11-23.parquet      the day that is not over
```

1. Each run reads what the stream got since the last one and adds it to the file of its day: nothing is lost while
   fewer entries come between two runs than the stream keeps. What was lost all the same is counted, by the numbers
   that Redis gives its entries.
2. The day that is not over lies hidden below ``.open``; once it is over it appears under its name, complete, and is
   never written again.
3. Every file is read back before it takes its place (`aione.housekeeping.day_file`). Running twice changes nothing.
4. A newest file that is not to be believed is set aside, and what the stream still holds of it is written anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import redis.asyncio as aioredis

from aione.errors import InvalidInput, ServiceUnavailable
from aione.housekeeping.day_file import Marks, read_day, set_aside, write_day
from aione.housekeeping.redis_care import redis_now_ms
from aione.housekeeping.tables import Entry, Kind, by_day, day_of, place_of, stream_info
from aione.store.connect import redis_errors

log = logging.getLogger(__name__)

OPEN: Final = ".open"
PAGE: Final = 5_000
START: Final = Marks("0-0", 0)


@dataclass(frozen=True, slots=True)
class Archived:
    """What one run did: new entries, days that were closed, entries lost, files set aside, and up to where it holds."""

    entries: int
    closed: tuple[str, ...]
    lost: int
    broken: int
    until: str


class DayArchive:
    """The days of one kind.

    Parameters
    ----------
    directory : Path
        Of the archive; the kind's folder is made in it.
    kind : Kind
    """

    def __init__(self, directory: Path, kind: Kind) -> None:
        self.folder = directory / kind.name
        self._kind = kind
        self._broken = 0

    def path(self, day: str) -> Path:
        """Return where a closed day lies."""
        return self.folder / f"{day}.parquet"

    def open_path(self, day: str) -> Path:
        """Return where a day lies that is not over."""
        return self.folder / OPEN / f"{day}.parquet"

    def days(self) -> list[str]:
        """Return the closed days that there are, the oldest first."""
        return sorted(path.stem for path in self.folder.glob("????-??-??.parquet"))

    def places(self, day: str) -> set[str]:
        """Return the ids of a day's entries, of a file that was read whole; none where there is none to be believed."""
        held = self._held(self.path(day)) or self._held(self.open_path(day))
        return set(held[0]["entry"].to_pylist()) if held else set()

    async def run(self, redis: aioredis.Redis) -> Archived:
        """Add what the stream got since the last run, and close the days that are over by Redis' clock.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer, or the disk refuses; the same entries come up again.
        """
        self._broken = 0
        with redis_errors(f"archiving {self._kind.name}"):
            today = day_of(await redis_now_ms(redis))
            info = await stream_info(redis, self._kind.stream)
        before = await asyncio.to_thread(self._last)
        tables, marks = await self._fresh(redis, before, info)
        entries = sum(table.num_rows for table in tables.values())
        closed = [
            day for day in sorted(tables.keys() | set(self._open_days())) if self._write(day, tables, marks, today)
        ]
        lost = marks[max(marks)].lost if marks else 0
        return Archived(entries, tuple(closed), lost, self._broken, self._last().until)

    async def pending(self, redis: aioredis.Redis) -> int | None:
        """Return how many entries a run would add; None where Redis does not count. Errors as `run`."""
        with redis_errors(f"looking at {self._kind.name}"):
            info = await stream_info(redis, self._kind.stream)
        before, added = self._last(), info.get("entries-added", 0)
        if place_of(info.get("last-generated-id", b"0-0").decode()) <= place_of(before.until):
            return 0
        return None if added is None or before.index is None else max(0, int(added) - before.index)

    def forget_before(self, day: str) -> int:
        """Remove closed days before one; return the bytes that were won."""
        won = 0
        for old in self.days():
            if old < day:
                won += self.path(old).stat().st_size
                self.path(old).unlink()
        return won

    # ── The stream ──

    async def _fresh(
        self, redis: aioredis.Redis, before: Marks, info: Mapping[str, Any]
    ) -> tuple[dict[str, pa.Table], dict[str, Marks]]:
        """Return the new entries by day, and where each day then ends."""
        last = info.get("last-generated-id", b"0-0").decode()
        added = info.get("entries-added")
        if place_of(last) <= place_of(before.until):
            return {}, {}
        parts: dict[str, list[pa.Table]] = {}
        start, seen = f"({before.until}", 0
        while page := await self._page(redis, start, last):
            for day, entries in by_day(page).items():
                parts.setdefault(day, []).append(self._kind.table(entries))
            seen += len(page)
            start = f"({page[-1][0].decode()}"
        lost = 0
        if added is not None and before.index is not None and added >= before.index:
            lost = max(0, int(added) - before.index - seen)
        tables = {day: pa.concat_tables(found).combine_chunks() for day, found in parts.items()}
        index = None if added is None else int(added)
        marks = {
            day: Marks(
                table["entry"][-1].as_py(), index if day == max(tables) else None, lost if day == min(tables) else 0
            )
            for day, table in tables.items()
        }
        return tables, marks

    async def _page(self, redis: aioredis.Redis, start: str, last: str) -> list[Entry]:
        with redis_errors(f"archiving {self._kind.name}"):
            page: Any = await redis.xrange(self._kind.stream, min=start, max=last, count=PAGE)
        return list(page)

    # ── The files ──

    def _write(self, day: str, tables: Mapping[str, pa.Table], marks: Mapping[str, Marks], today: str) -> bool:
        """Bring a day's file to what is known of it; return whether the day was closed by it."""
        is_over, fresh = day < today, tables.get(day)
        held = self._held(self.path(day)) or self._held(self.open_path(day))
        if held is None and fresh is None:
            return False
        if fresh is None and not is_over:
            return False
        table, end = held if held is not None else (fresh, marks[day])
        if held is not None and fresh is not None:
            table = pa.concat_tables([held[0], fresh]).combine_chunks()
            end = Marks(marks[day].until, marks[day].index, held[1].lost + marks[day].lost)
        target = self.path(day) if is_over else self.open_path(day)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_day(target, table, end)
            if is_over:
                self.open_path(day).unlink(missing_ok=True)
        except OSError as error:
            raise ServiceUnavailable(f"the archive {target} cannot be written: {error}") from error
        return is_over

    def _open_days(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / OPEN).glob("????-??-??.parquet"))

    def _last(self) -> Marks:
        """Return up to where the archive holds: the end of its newest file that is to be believed."""
        names = sorted({*self.days(), *self._open_days()}, reverse=True)
        for day in names:
            held = self._held(self.open_path(day)) or self._held(self.path(day))
            if held is not None:
                return held[1]
        return START

    def _held(self, path: Path) -> tuple[pa.Table, Marks] | None:
        """Return what a file holds; None where there is none, and where it had to be set aside."""
        if not path.exists():
            return None
        try:
            return read_day(path, self._kind.schema)
        except InvalidInput as error:
            self._broken += 1
            log.error("archive file %s is broken and set aside as %s: %s", path, set_aside(path), error)  # noqa: TRY400
            return None


__all__ = ["Archived", "DayArchive"]
