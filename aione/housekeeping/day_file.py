"""One Parquet file of one day: written beside, read back, renamed; and what of a file is believed.

A file's metadata hold, under ``aione.days``, the id of its last entry, how many entries the stream had ever been given
by then, and how many were lost before they could be read (which is known, and is 0 where the housekeeping runs often
enough).
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from aione.errors import InvalidInput, ServiceUnavailable

META: Final = b"aione.days"
WRITING: Final = ".writing"
UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, TypeError, LookupError)
"""What pyarrow raises over bytes that are no file of ours."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a file ends.

    Attributes
    ----------
    until : str
        Id of its last entry.
    index : int or None
        How many entries the stream had been given up to it; None where Redis does not count.
    lost : int
        Entries of the stream that were gone before they were read.
    """

    until: str
    index: int | None
    lost: int = 0


def read_day(path: Path, schema: pa.Schema) -> tuple[pa.Table, Marks]:
    """Return a file's rows and where it ends.

    Raises
    ------
    InvalidInput
        The file is not one of ours, or is damaged.
    ServiceUnavailable
        The system does not let it be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ServiceUnavailable(f"the archive {path} cannot be read: {error}") from error
    try:
        table = pq.read_table(pa.BufferReader(content), partitioning=None, page_checksum_verification=True)
        marks = _marks(table.schema.metadata)
        table = table.replace_schema_metadata(None)
    except UNREADABLE as error:
        raise InvalidInput(f"the archive {path} is no file of a day: {type(error).__name__}: {error}") from error
    if table.schema != schema:
        raise InvalidInput(f"the archive {path} must have the columns {schema.names}, has {table.schema.names}")
    last = table["entry"][-1].as_py() if table.num_rows else None
    if last != marks.until:
        raise InvalidInput(f"the archive {path} must end with entry {marks.until}, ends with {last}")
    return table, marks


def write_day(path: Path, table: pa.Table, marks: Marks) -> None:
    """Write a day, read it back, and put it in the place of what was there; a crash leaves the old or the new one.

    Raises
    ------
    ServiceUnavailable
        The disk refuses, or gives back something else than it was given; what was there stays.
    """
    beside = path.parent / WRITING / path.name
    described = table.replace_schema_metadata({META: orjson.dumps([marks.until, marks.index, marks.lost])})
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            pq.write_table(described, file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        held, found = read_day(beside, table.schema)
        if found != marks or not held.equals(table):
            raise ServiceUnavailable(f"the archive {beside} was read back otherwise than it was written")
        beside.replace(path)
        _settle(path.parent)
    except InvalidInput as error:
        raise ServiceUnavailable(f"the archive {beside} cannot be read back: {error}") from error
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ServiceUnavailable(f"the archive {path} cannot be written: {error}") from error


def set_aside(path: Path) -> Path:
    """Move a file that is not to be believed out of the way, never over another; return where it is."""
    names = (path.with_name(f"{path.name}.broken-{number}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    return path.rename(aside)


def _marks(metadata: dict[bytes, bytes] | None) -> Marks:
    values: Any = orjson.loads((metadata or {})[META])
    until, index, lost = values
    return Marks(str(until), None if index is None else int(index), int(lost))


def _settle(directory: Path) -> None:
    """Bring a directory's names to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["Marks", "read_day", "set_aside", "write_day"]
