"""Prefect's SQLite file as another process may treat it: look, empty its write-ahead log, compact it before a start.

Rows that are deleted leave free pages, which the next rows take: the file does not grow again until they are used up,
and it does not shrink (Prefect leaves ``auto_vacuum`` off). ``VACUUM`` writes the whole file anew and holds everybody
off meanwhile, so it is for the moment before the server starts. A write-ahead log keeps the size of its largest
moment; a checkpoint that finds no reader cuts it to nothing, and one that finds a reader does no harm.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aione.errors import ServiceUnavailable
from config.housekeeping_models import HousekeepingParams

MEGABYTE: Final = 1_000_000
WAIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class SqliteFacts:
    """Bytes of the file, of its unused pages, and of the write-ahead log beside it."""

    file: int
    unused: int
    wal: int

    @property
    def total(self) -> int:
        """Return what it takes on the disk."""
        return self.file + self.wal


def sqlite_facts(path: Path) -> SqliteFacts | None:
    """Return what a database file takes; None where there is none.

    Raises
    ------
    ServiceUnavailable
        The file cannot be read as a database.
    """
    if not path.exists():
        return None
    with closing(_opened(path)) as database:
        page, unused = (_number(database, path, name) for name in ("page_size", "freelist_count"))
    return SqliteFacts(path.stat().st_size, page * unused, _size(path.with_name(f"{path.name}-wal")))


def empty_wal(path: Path) -> bool:
    """Bring the write-ahead log into the file and cut it; False where somebody was reading, and it stays.

    Raises
    ------
    ServiceUnavailable
        The file cannot be read as a database.
    """
    with closing(_opened(path)) as database:
        return _number(database, path, "wal_checkpoint(TRUNCATE)") == 0


def compact(path: Path, params: HousekeepingParams) -> int:
    """Write a database file anew where its unused pages are worth it; return the bytes that were won.

    For a moment when nobody else has it open: before the server starts. It needs as much room again while it works.

    Raises
    ------
    ServiceUnavailable
        Somebody has it open, or the disk is full; the file is as it was.
    """
    before = sqlite_facts(path)
    if before is None or before.unused < params.compact_from_mb * MEGABYTE:
        return 0
    with closing(_opened(path)) as database:
        try:
            database.execute("VACUUM")
        except sqlite3.Error as error:
            raise ServiceUnavailable(f"the database {path} cannot be compacted: {error}") from error
    empty_wal(path)
    return before.total - (path.stat().st_size + _size(path.with_name(f"{path.name}-wal")))


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=WAIT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise ServiceUnavailable(f"the database {path} cannot be opened: {error}") from error


def _number(database: sqlite3.Connection, path: Path, pragma: str) -> int:
    """Return the first number that a pragma of ours answers with."""
    try:
        return int(database.execute(f"PRAGMA {pragma}").fetchone()[0])
    except sqlite3.Error as error:
        raise ServiceUnavailable(f"the database {path} does not answer {pragma}: {error}") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


__all__ = ["SqliteFacts", "compact", "empty_wal", "sqlite_facts"]
