"""`Archiver`: writes behind, from the rings to the archive on disk."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aione.errors import ServiceUnavailable
from aione.panel.bars import DAY_MS, Finality
from aione.store.archive import BarArchive
from aione.store.memory import give_back
from aione.store.ring_layout import ABSENT, INTERVALS_MS, Records
from aione.store.rings import Rings

LOCK: Final = ".lock"
"""Hidden, as everything in the directory is that is not bars: readers of a directory pass over it."""


class Archiver:
    """Writes what the rings hold and the archive does not, every so often.

    Parameters
    ----------
    rings : Rings
        Of the timeframe to be archived.
    archive : BarArchive
    every_s : float
        How often; the archive is at most so far behind.

    Attributes
    ----------
    timeframe : "1m" or "1d"
    written : int
        Bars that were new in the archive, or told otherwise before.
    newest_ms : int or None
        Open time of the newest bar that the archive is known to hold.
    failed : str or None
        Why the last try to write failed; None where it did not.
    is_passive : bool
        Whether another archiver has the directory.

    Notes
    -----
    One archiver at a time writes a directory's bars of a timeframe, whoever locks them first; another's `run_once` does
    nothing.
    """

    name = "archiving bars"
    is_for_all = True

    def __init__(self, rings: Rings, archive: BarArchive, every_s: float) -> None:
        self.timeframe = rings.timeframe
        self.every_s = every_s
        self.is_passive = False
        self.written = 0
        self.newest_ms: int | None = None
        self.failed: str | None = None
        self._rings = rings
        self._archive = archive
        self._archived_ms: dict[str, int] = {}
        self._set_aside = archive.set_aside

    def age_s(self, now_ms: int) -> float | None:
        """Return the seconds since the newest bar in the archive was over; None where it is not known."""
        return None if self.newest_ms is None else (now_ms - self.newest_ms - INTERVALS_MS[self.timeframe]) / 1000

    async def run_once(self, symbols: Collection[str], now_ms: int) -> None:
        """Archive the bars of these symbols that are final by now.

        Raises
        ------
        ServiceUnavailable
            The rings do not answer, or the disk refuses; the same bars come up again.
        """
        step_ms = INTERVALS_MS[self.timeframe]
        end_ms = now_ms // step_ms * step_ms - step_ms
        span = self._rings.layout.capacity if self.timeframe == "1m" else 200
        fresh: dict[str, Records] = {}
        for symbol in symbols:
            # Yesterday's file is looked at again too: healing and verification reach back. The clock may go back.
            archived_ms = min(self._archived_ms.get(symbol, 0), end_ms)
            start_ms = max(archived_ms - DAY_MS, end_ms - (span - 1) * step_ms)
            held = await self._rings.records([symbol], start_ms, end_ms)
            fresh[symbol] = held[symbol]
        try:
            self.written += await asyncio.to_thread(self._write, fresh)
        except ServiceUnavailable as error:
            self.failed = str(error)
            raise
        self.failed = None
        if not self.is_passive:
            self._remember(fresh, end_ms)

    def _write(self, fresh: Mapping[str, Records]) -> int:
        with _locked(self._archive.directory, self.timeframe) as is_ours:
            self.is_passive = not is_ours
            if not is_ours:
                return 0
            try:
                return self._archive.write(self.timeframe, fresh)
            finally:
                give_back()

    def _remember(self, fresh: Mapping[str, Records], end_ms: int) -> None:
        """Remember how far these symbols are archived, and of others nothing.

        After a broken file was set aside everything that the rings hold comes up again: they may hold more of it.
        """
        is_whole = self._archive.set_aside == self._set_aside
        self._archived_ms = dict.fromkeys(fresh, end_ms) if is_whole else {}
        self._set_aside = self._archive.set_aside
        final = [
            rows["open_time_ms"][(rows["finality"] >= Finality.STREAM_CLOSED) & (rows["reserved"] & ABSENT == 0)]
            for rows in fresh.values()
        ]
        newest = max((int(times[-1]) for times in final if times.size), default=None)
        if newest is not None:
            self.newest_ms = max(newest, self.newest_ms or 0)


@contextmanager
def _locked(directory: Path, timeframe: str) -> Iterator[bool]:
    """Hold the lock of a timeframe's bars while the block runs; False where somebody else does."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / f"{LOCK}-{timeframe}").open("a")
    except OSError as error:
        raise ServiceUnavailable(f"the archive {directory} cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise ServiceUnavailable(f"the archive {directory} cannot be locked: {error}") from error
        yield True


__all__ = ["Archiver"]
