"""One Parquet file of bars: how they are laid out, and what of a file is believed.

1. A file holds every symbol's bars, sorted by symbol and open time, with a checksum of each page.
2. Its metadata hold, under ``aione.bars``, each symbol's number of bars and the CRC-32 of their records. A page's
   checksum does not cover the file's footer; this covers everything, read whole or by symbol.
3. A file is refused whole where its bytes are no Parquet, where a column lacks or is of another kind, where an open
   time is off the interval's grid, and where 2. does not agree. A file without 2. was made by another program; it is
   held to the rest.
4. A bar that cannot be (`is_possible`) is left out, when it is read and when it is written.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Collection, Mapping
from typing import IO, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from aione.errors import InvalidInput, ServiceUnavailable
from aione.panel.bar_panel import B1
from aione.panel.bars import BAR_RECORD
from aione.store.ring_layout import CORRECTED, Records

log = logging.getLogger(__name__)

COLUMNS: Final = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count")
VOLUMES: Final = ("volume", "quote_volume", "taker_buy_volume")
SUMS: Final = b"aione.bars"
UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
"""What pyarrow raises over bytes that are no file of bars; no file is read meanwhile."""


def write_table(records: Mapping[str, Records], file: IO[bytes]) -> None:
    """Write bars, by symbol and ascending open time, as a Parquet file.

    Raises
    ------
    OSError
        The disk refuses.
    """
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
    sums = {symbol: _sum(rows) for symbol, rows in records.items()}
    table = pa.table(columns).replace_schema_metadata({SUMS: orjson.dumps(sums)})
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def read_table(content: bytes, interval_ms: int, symbols: Collection[str] | None) -> dict[str, Records]:
    """Return the bars of a file, by symbol and ascending open time.

    Parameters
    ----------
    content : bytes
        The whole file.
    interval_ms : int
        What every open time must be a multiple of.
    symbols : collection of str or None
        Those to read; None for all. One without bars is absent.

    Raises
    ------
    InvalidInput
        The file is not to be believed; the message says why.
    ServiceUnavailable
        There is no memory to read it with.
    """
    filters = None if symbols is None else [("symbol", "in", sorted(symbols))]
    source = pa.BufferReader(content)
    try:
        table = pq.read_table(source, filters=filters, partitioning=None, page_checksum_verification=True)
        table.validate(full=True)
        found = _records(table)
        sums = _sums(table)
    except MemoryError as error:
        raise ServiceUnavailable(f"no memory to read {len(content)} bytes of bars: {error}") from error
    except UNREADABLE as error:
        raise InvalidInput(f"not a file of bars: {type(error).__name__}: {error}") from error
    for symbol, rows in found.items():
        strange = (rows["open_time_ms"] % interval_ms != 0) | (rows["open_time_ms"] <= 0)
        if strange.any():
            raise InvalidInput(f"open times of {symbol} must be multiples of {interval_ms}, one was {rows[strange][0]}")
    if sums is not None:
        _verify(found, sums, symbols)
    return {symbol: possible(symbol, rows) for symbol, rows in found.items()}


def possible(symbol: str, rows: Records) -> Records:
    """Return the bars that can be; those that cannot are logged and left out."""
    is_good = is_possible(rows)
    if is_good.all():
        return rows
    log.warning("%d bars of %s cannot be and are left out, one is %s", (~is_good).sum(), symbol, rows[~is_good][0])
    kept: Records = rows[is_good]
    return kept


def is_possible(rows: Records) -> B1:
    """Return where finite prices lie between low and high, and no volume is negative or infinite, bool ``(n,)``.

    A volume that the source lacks is NaN.
    """
    low, high = rows["low"], rows["high"]
    is_good: B1 = np.isfinite(low) & np.isfinite(high)
    for name in ("open", "close"):
        is_good &= (low <= rows[name]) & (rows[name] <= high)
    for name in VOLUMES:
        is_good &= ~(rows[name] < 0) & ~np.isinf(rows[name])
    return is_good


def _records(table: pa.Table) -> dict[str, Records]:
    """Return a table's rows by symbol and ascending open time; raise whatever pyarrow and numpy do about others."""
    names = _names(table["symbol"])
    for name in ("symbol", "open_time", *COLUMNS, "source", "finality", "is_corrected"):
        if table[name].null_count:
            raise ValueError(f"column {name} must be full, lacks {table[name].null_count}")
    rows = np.zeros(len(table), BAR_RECORD)
    if not pa.types.is_timestamp(table["open_time"].type):
        raise TypeError(f"column open_time must be of timestamps, was of {table['open_time'].type}")
    rows["open_time_ms"] = table["open_time"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()
    for name in (*COLUMNS, "source", "finality"):
        rows[name] = table[name].cast(pa.from_numpy_dtype(BAR_RECORD[name])).to_numpy()
    rows["reserved"] = np.where(table["is_corrected"].cast(pa.bool_()).to_numpy(), CORRECTED, 0)
    codes = names.indices.to_numpy()
    order = np.lexsort((rows["open_time_ms"], codes))
    rows, codes = rows[order], codes[order]
    edges = np.searchsorted(codes, np.arange(len(names.dictionary) + 1))
    return {
        symbol: rows[first:last]
        for symbol, first, last in zip(names.dictionary.to_pylist(), edges[:-1], edges[1:], strict=True)
    }


def _names(column: pa.ChunkedArray) -> pa.DictionaryArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise TypeError(f"column symbol must be of strings, was of {kind}")
    return pa.chunked_array(column.cast(pa.string()).chunks, pa.string()).combine_chunks().dictionary_encode()


def _sum(rows: Records) -> list[int]:
    """Return how many bars there are and the CRC-32 of what a file keeps of them."""
    kept = rows.copy()
    kept["reserved"] &= CORRECTED
    return [len(kept), zlib.crc32(kept.tobytes())]


def _sums(table: pa.Table) -> dict[str, Any] | None:
    held = (table.schema.metadata or {}).get(SUMS)
    return None if held is None else dict(orjson.loads(held))


def _verify(found: Mapping[str, Records], sums: Mapping[str, Any], symbols: Collection[str] | None) -> None:
    asked = sums.keys() if symbols is None else sums.keys() & set(symbols)
    for symbol in sorted(asked | found.keys()):
        told = sums.get(symbol, [0, 0])
        held = _sum(found.get(symbol, np.zeros(0, BAR_RECORD)))
        if held != told:
            raise InvalidInput(f"bars of {symbol} must be {told} (number, CRC-32), were {held}")


__all__ = ["COLUMNS", "SUMS", "is_possible", "possible", "read_table", "write_table"]
