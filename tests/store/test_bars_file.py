"""A file of bars: it comes back bit by bit, or it is refused; never other bars."""

from __future__ import annotations

import io
import random
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aione.errors import InvalidInput, ServiceUnavailable
from aione.panel.bars import BAR_RECORD, MINUTE_MS, VALUE_FIELDS, Finality
from aione.store import bars_file
from aione.store.bars_file import SUMS, is_possible, read_table, write_table
from aione.store.ring_layout import CORRECTED

MIDNIGHT = 1_779_235_200_000


def bars(count, *, seed=1):
    dice = np.random.default_rng(seed)
    rows = np.zeros(count, BAR_RECORD)
    rows["open_time_ms"] = MIDNIGHT + MINUTE_MS * np.arange(count)
    for name in VALUE_FIELDS:
        rows[name] = dice.uniform(100, 200, count).round(3)
    rows["low"], rows["high"] = 99.0, 201.0
    rows["finality"], rows["source"] = Finality.REST_CONFIRMED, 1
    rows["reserved"] = np.where(dice.random(count) < 0.1, CORRECTED, 0)
    return rows


def content_of(records):
    file = io.BytesIO()
    write_table(records, file)
    return file.getvalue()


def rewritten(content, change, *, keeps_sums=False):
    """What another program makes of a file: without our sums unless it keeps them."""
    table = change(pq.read_table(pa.BufferReader(content)))
    if not keeps_sums:
        table = table.replace_schema_metadata(None)
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def equal(found, records):
    return {s: rows.tobytes() for s, rows in found.items()} == {s: rows.tobytes() for s, rows in records.items()}


MANY = {f"S{number}USDT": bars(120, seed=number) for number in range(4)} | {"币安USDT": bars(1)}


@pytest.mark.parametrize("symbols", [None, ["S1USDT"], ["币安USDT", "S3USDT", "NONE"], ["NONE"]])
def test_it_comes_back_bit_by_bit_whole_or_by_symbol(symbols):
    wanted = MANY if symbols is None else {symbol: MANY[symbol] for symbol in symbols if symbol in MANY}
    assert equal(read_table(content_of(MANY), MINUTE_MS, symbols), wanted)


@pytest.mark.parametrize("symbols", [None, ["S0USDT", "S2USDT"]])
def test_a_flipped_bit_anywhere_is_refused_or_does_nothing(symbols):
    content, dice = content_of(MANY), random.Random(7)
    wanted = MANY if symbols is None else {symbol: MANY[symbol] for symbol in symbols}
    refused = 0
    for _ in range(250):
        broken = bytearray(content)
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        try:
            assert equal(read_table(bytes(broken), MINUTE_MS, symbols), wanted)
        except InvalidInput:
            refused += 1
    assert refused > 150


def test_pages_have_checksums():
    column = pq.ParquetFile(pa.BufferReader(content_of(MANY))).metadata.row_group(0).column(1)
    broken = bytearray(content_of(MANY))
    broken[column.data_page_offset + column.total_compressed_size - 3] ^= 1
    with pytest.raises(InvalidInput, match="CRC checksum verification failed"):
        read_table(bytes(broken), MINUTE_MS, None)


def test_bars_that_are_gone_or_others_are_noticed():
    renamed = pa.array(["BUSDT"] * 3)
    content = content_of({"AUSDT": bars(3), "BUSDT": bars(3, seed=2)})
    with pytest.raises(InvalidInput, match=r"bars of BUSDT must be \[3, \d+\] .number, CRC-32., were \[0, 0\]"):
        read_table(rewritten(content, lambda table: table.slice(0, 3), keeps_sums=True), MINUTE_MS, None)
    with pytest.raises(InvalidInput, match="bars of BUSDT must be"):
        read_table(
            rewritten(content, lambda table: table.slice(0, 3).set_column(0, "symbol", renamed), keeps_sums=True),
            MINUTE_MS,
            ["BUSDT"],
        )


def test_a_file_of_another_program_is_read_whatever_its_order():
    content = content_of({"AUSDT": bars(5), "BUSDT": bars(4, seed=2)})
    order = [8, 0, 7, 1, 2, 6, 3, 5, 4]
    foreign = rewritten(content, lambda table: table.take(order))
    assert SUMS not in (pq.read_schema(pa.BufferReader(foreign)).metadata or {})
    assert equal(read_table(foreign, MINUTE_MS, None), {"BUSDT": bars(4, seed=2), "AUSDT": bars(5)})


def _column(name, values):
    return lambda table: table.set_column(table.schema.get_field_index(name), name, values)


OFF = pa.array([MIDNIGHT, MIDNIGHT + MINUTE_MS + 64, MIDNIGHT + 2 * MINUTE_MS], pa.timestamp("ms", tz="UTC"))
STRANGE = {
    "symbols are numbers": _column("symbol", pa.array([1, 2, 3])),
    "no symbols": _column("symbol", pa.array([None, None, None])),
    "a symbol is lacking": _column("symbol", pa.array(["AUSDT", None, "AUSDT"])),
    "prices are words": _column("open", pa.array(["1", "x", "3"])),
    "a price is lacking": _column("close", pa.array([1.0, None, 2.0])),
    "prices are lists": _column("low", pa.array([[1.0], [2.0], [3.0]])),
    "counts are negative": _column("trade_count", pa.array([-1, 2, 3])),
    "a finality is too large": _column("finality", pa.array([300, 2, 3])),
    "times are numbers": _column("open_time", pa.array([1, 2, 3])),
    "a time is off the grid": _column("open_time", OFF),
    "a time between milliseconds": _column("open_time", pa.array([1_001, 2, 3], pa.timestamp("us", tz="UTC"))),
    "a time before all": _column("open_time", pa.array([-MINUTE_MS, 0, 0], pa.timestamp("ms", tz="UTC"))),
    "a column is lacking": lambda table: table.drop_columns(["taker_buy_volume"]),
}


@pytest.mark.parametrize("how", STRANGE)
def test_another_schema_is_one_clear_error(how):
    with pytest.raises(InvalidInput, match=r"not a file of bars|open times of"):
        read_table(rewritten(content_of({"AUSDT": bars(3)}), STRANGE[how]), MINUTE_MS, None)


@pytest.mark.parametrize("how", STRANGE)
def test_another_schema_is_no_other_error_where_symbols_are_asked_for(how):
    """Only what is asked for is looked at, so some of these hold bars that are good, but never all three."""
    content = rewritten(content_of({"AUSDT": bars(3)}), STRANGE[how])
    found = {}
    with suppress(InvalidInput):
        found = read_table(content, MINUTE_MS, ["AUSDT"])
    assert sum(map(len, found.values())) < 3


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 not a file", b"\0" * 4096, b"PAR1" + b"\xff" * 64 + b"PAR1"])
def test_what_is_no_parquet_is_refused(content):
    with pytest.raises(InvalidInput, match="not a file of bars"):
        read_table(content, MINUTE_MS, ["AUSDT"])


def test_no_memory_says_nothing_about_the_file(monkeypatch):
    def no_memory(*_, **__):
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr(bars_file.pq, "read_table", no_memory)
    with pytest.raises(ServiceUnavailable, match="no memory to read 3 bytes of bars"):
        read_table(b"abc", MINUTE_MS, None)


@pytest.mark.parametrize(
    ("name", "value", "is_good"),
    [
        ("open", np.nan, False), ("high", np.inf, False), ("low", -np.inf, False), ("close", 201.5, False),
        ("open", 98.0, False), ("low", 201.0, False), ("volume", -1.0, False), ("volume", np.inf, False),
        ("taker_buy_volume", np.nan, True), ("quote_volume", np.nan, True), ("volume", 0.0, True),
        ("close", 201.0, True),
    ],
)  # fmt: skip
def test_what_can_be(name, value, is_good, caplog):
    rows = bars(3)
    rows[name][1] = value
    assert is_possible(rows).tolist() == [True, is_good, True]
    found = read_table(content_of({"AUSDT": rows}), MINUTE_MS, None)["AUSDT"]
    assert found.tobytes() == rows[is_possible(rows)].tobytes()
    assert ("1 bars of AUSDT cannot be" in caplog.text) is not is_good
