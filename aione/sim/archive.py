"""Reads recorded bars from files: feather and parquet tables, and the exchange's public-archive CSV.

Names say what a file holds::

    BTC_USDT_USDT-1m-futures.feather     also -1h-, -1d-, and -8h-funding_rate (the rate stands in ``open``)
    BTCUSDT-1m-2023-03.parquet           the full record of the exchange's klines
    BTCUSDT-1m-2024-08-05.csv            as published, with or without a header line, also .csv.gz and .zip

Epochs are milliseconds or, in the exchange's files since 2025, microseconds; each row is judged by its size.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from pyarrow import csv, feather, parquet

from aione.errors import InvalidInput
from aione.sim.market import DAY_MS, SIM_BAR, Bars, empty_bars, stack
from aione.sim.noise import F8, I8

HOUR_MS: Final = 3_600_000
INTERVALS: Final = {"1m": 60_000, "1h": HOUR_MS, "1d": DAY_MS}
EXPECTED: Final = "SYMBOL-1m-YYYY-MM[-DD].csv/.parquet or BASE_QUOTE_QUOTE-1m-futures.feather"

_TABLE_NAME: Final = re.compile(
    r"(?P<base>[^_-]+)_(?P<quote>[^_-]+)(?:_[^_-]+)?-(?P<tf>\d+[mhd])(?:-(?P<kind>\w+))?\.(?:feather|parquet)"
)
_ARCHIVE_NAME: Final = re.compile(
    r"(?P<symbol>[^-]+)-(?P<tf>1m|1h|1d)-\d{4}-\d\d(?:-\d\d)?\.(?:parquet|csv|csv\.gz|zip)"
)
_COLUMNS: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_MICROSECONDS_FROM: Final = 10**14
_KNOWN_TYPES: Final = {
    name: pa.int64() if name in {"open_time", "close_time", "count"} else pa.float64() for name in _COLUMNS
}


@dataclass(slots=True)
class Recording:
    """What the files of one symbol hold.

    Attributes
    ----------
    symbol, base_asset, quote_asset : str
    bars : dict of int to SIM_BAR
        Interval in milliseconds -> its recorded bars, ascending, each open time once.
    funding_ms : int64 (F,), funding_rate : float64 (F,)
        Ascending; empty where no file holds them.
    """

    symbol: str
    base_asset: str
    quote_asset: str
    bars: dict[int, Bars] = field(default_factory=dict)
    funding_ms: I8 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    funding_rate: F8 = field(default_factory=lambda: np.empty(0))

    @property
    def minutes(self) -> Bars:
        """Its 1m bars."""
        return self.bars.get(INTERVALS["1m"], empty_bars())


def read_directory(directory: str | Path, *, fill: bool = True) -> dict[str, Recording]:
    """Read every recording of a directory that has 1m bars, by symbol in alphabetical order.

    Fields that a file lacks are filled by `fill_unknown`, or with ``fill`` off left NaN (a count -1). Files of other
    names are left alone.

    Raises
    ------
    InvalidInput
        The directory is missing, a file can't be read, or there is no 1m bar; the message names the path.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InvalidInput(f"no directory of recorded bars at {folder}; expected files such as {EXPECTED}")
    found: dict[str, Recording] = {}
    parts: dict[tuple[str, int], list[Bars]] = {}
    for path in sorted(folder.iterdir()):
        _read_file(path, found, parts)
    for (symbol, interval_ms), tables in parts.items():
        bars = _joined(tables)
        if fill:
            fill_unknown(bars)
        found[symbol].bars[interval_ms] = bars
    with_minutes = {symbol: found[symbol] for symbol in sorted(found) if len(found[symbol].minutes)}
    if not with_minutes:
        raise InvalidInput(f"no 1m bars in {folder}; expected files such as {EXPECTED}")
    return with_minutes


def _read_file(path: Path, found: dict[str, Recording], parts: dict[tuple[str, int], list[Bars]]) -> None:
    table_name, archive_name = _TABLE_NAME.fullmatch(path.name), _ARCHIVE_NAME.fullmatch(path.name)
    if archive_name:
        symbol, kind, interval = archive_name["symbol"], "", archive_name["tf"]
        base, quote = split_symbol(symbol)
    elif table_name:
        base, quote, interval = table_name["base"], table_name["quote"], table_name["tf"]
        symbol, kind = base + quote, table_name["kind"] or ""
    else:
        return
    recording = found.setdefault(symbol, Recording(symbol, base, quote))
    if kind == "funding_rate":
        table = _read_table(path)
        recording.funding_ms = _epoch_ms(table, path)
        recording.funding_rate = _column(table, "open", path)
    elif interval in INTERVALS and kind in {"", "futures"}:
        parts.setdefault((symbol, INTERVALS[interval]), []).append(_bars(_read_table(path), path))


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return base and quote asset of a symbol that is written as one word.

    Examples
    --------
    >>> split_symbol("BTCUSDT"), split_symbol("ETHBTC")
    (('BTC', 'USDT'), ('ETH', 'BTC'))
    """
    for quote in ("USDT", "USDC", "FDUSD", "BUSD", "BTC", "ETH", "USD"):
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    return symbol, "USDT"


def fill_unknown(bars: Bars) -> None:
    """Replace NaN fields by stated proxies, in place; for a simulated exchange only, which must send something.

    ``quote_volume`` is close x volume. The taker's share of buying is ``0.5 + 0.35 x (close - open) / (high - low)``,
    one half where the bar has no range. ``trade_count`` is one for each 250 of quote volume, at least one where
    anything was traded.
    """
    _fill(bars, "quote_volume", bars["close"] * bars["volume"])
    reach = bars["high"] - bars["low"]
    lean = np.divide(bars["close"] - bars["open"], reach, out=np.zeros(len(bars)), where=reach > 0)
    _fill(bars, "taker_buy_volume", bars["volume"] * (0.5 + 0.35 * lean))
    share = np.divide(bars["taker_buy_volume"], bars["volume"], out=np.zeros(len(bars)), where=bars["volume"] > 0)
    _fill(bars, "taker_buy_quote_volume", bars["quote_volume"] * share)
    unknown = bars["trade_count"] < 0
    counts = np.ceil(bars["quote_volume"][unknown] / 250.0)
    bars["trade_count"][unknown] = counts


def _fill(bars: Bars, name: str, proxy: F8) -> None:
    column = bars[name]
    np.copyto(column, proxy, where=np.isnan(column))


# ── Tables ──


def _read_table(path: Path) -> pa.Table:
    try:
        if path.name.endswith(".feather"):
            return feather.read_table(path, memory_map=False)
        if path.name.endswith(".parquet"):
            return parquet.read_table(path)
        return _read_csv(path)
    except (OSError, pa.ArrowException, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"{path}: expected recorded bars, can't be read: {reason}") from error


def _read_csv(path: Path) -> pa.Table:
    """Read the archive's CSV: twelve columns, a header line in some files and none in others."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            raw = archive.read(archive.namelist()[0])
    else:
        with pa.input_stream(path) as stream:
            raw = stream.read()
    has_header = not raw[:1].isdigit()
    return csv.read_csv(
        io.BytesIO(raw),
        read_options=csv.ReadOptions(column_names=_COLUMNS, skip_rows=int(has_header)),
        convert_options=csv.ConvertOptions(column_types=_KNOWN_TYPES),
    )


def _bars(table: pa.Table, path: Path) -> Bars:
    """Return the rows of a table as SIM_BAR, checked; what the table lacks is NaN (-1 for the count)."""
    out = np.empty(table.num_rows, dtype=SIM_BAR)
    out["open_time_ms"] = _epoch_ms(table, path)
    for name in ("open", "high", "low", "close", "volume"):
        out[name] = _column(table, name, path)
    for name in ("quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
        out[name] = _column(table, name, path) if name in table.column_names else np.nan
    out["trade_count"] = _column(table, "count", path) if "count" in table.column_names else -1
    _check(out, path)
    return out


def _check(bars: Bars, path: Path) -> None:
    top, bottom = np.maximum(bars["open"], bars["close"]), np.minimum(bars["open"], bars["close"])
    is_sound = (bars["low"] > 0) & (bars["low"] <= bottom) & (bars["high"] >= top) & (bars["volume"] >= 0)
    if not is_sound.all():
        row = int(np.argmin(is_sound))
        raise InvalidInput(
            f"{path}: expected 0 < low <= open, close <= high and volume >= 0, row {row + 1} has {bars[row].tolist()}"
        )


def _epoch_ms(table: pa.Table, path: Path) -> I8:
    name = "date" if "date" in table.column_names else "open_time"
    if name not in table.column_names:
        raise InvalidInput(f"{path}: expected a column date or open_time, found {table.column_names}")
    column = table[name]
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()).to_numpy())
    epoch = np.asarray(column.to_numpy(), dtype=np.int64)
    return np.where(epoch >= _MICROSECONDS_FROM, epoch // 1000, epoch)


def _column(table: pa.Table, name: str, path: Path) -> F8:
    if name not in table.column_names:
        raise InvalidInput(f"{path}: expected a column {name}, found {table.column_names}")
    try:
        return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowException as error:
        raise InvalidInput(f"{path}: column {name} must hold numbers, holds {table[name].type}") from error


def _joined(tables: list[Bars]) -> Bars:
    """Return all rows ascending, the first file's row where several hold the same open time."""
    rows = stack(tables)
    times = rows["open_time_ms"]
    if (times[1:] > times[:-1]).all():
        return rows
    _, first = np.unique(times, return_index=True)
    return np.asarray(rows[first])


__all__ = ["EXPECTED", "INTERVALS", "Recording", "fill_unknown", "read_directory", "split_symbol"]
