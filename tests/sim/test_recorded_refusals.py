"""Recorded files that cannot be used: each refusal names what and where."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from aione.errors import InvalidInput
from aione.sim.market import DAY_MS, MINUTE_MS
from aione.sim.recorded import RecordedMarket
from aione.sim.replay_clock import Window, clock_at

from .recorded_parts import MAY_MS, NOW_MS, minutes, save_feather
from .recorded_parts import folder as folder  # noqa: PLC0414  # a fixture


def refusal(directory, at_ms=None):
    with pytest.raises(InvalidInput) as caught:
        RecordedMarket(directory, at_ms=at_ms, now_ms=NOW_MS)
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)
    return str(caught.value)


def test_a_missing_directory_is_named(tmp_path):
    assert "no directory of recorded bars" in refusal(tmp_path / "absent")


def test_a_file_is_not_a_directory(tmp_path):
    (tmp_path / "file").write_text("")
    assert "expected files such as" in refusal(tmp_path / "file")


def test_a_directory_without_minutes_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert "no 1m bars" in refusal(tmp_path / "empty")
    for path in folder.glob("*-1m-*"):
        path.unlink()
    assert "no 1m bars" in refusal(folder)


@pytest.mark.parametrize(
    "name", ["AAA_USDT_USDT-1m-futures.feather", "AAAUSDT-1m-2025-05.parquet", "AAAUSDT-1m-2025-05.zip"]
)
def test_an_unreadable_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a table at all")
    message = refusal(tmp_path)
    assert name in message
    assert "can't be read" in message


@pytest.mark.parametrize("text", ["1,2,3\n", "1746057600000,a,b,c,d,e,1,2,3,4,5,0\n", ""])
def test_a_csv_of_another_form_is_named(tmp_path, text):
    (tmp_path / "AAAUSDT-1m-2025-05.csv").write_text(text)
    assert "AAAUSDT-1m-2025-05.csv" in refusal(tmp_path)


def test_bars_that_cannot_be_are_named_by_file_and_row(tmp_path):
    frame = minutes(10)
    frame.loc[3, "low"] = frame.loc[3, "high"] + 1
    save_feather(frame, tmp_path / "AAA_USDT_USDT-1m-futures.feather")
    assert "row 4" in refusal(tmp_path)
    frame.loc[3, "low"] = np.nan
    save_feather(frame, tmp_path / "AAA_USDT_USDT-1m-futures.feather")
    assert "row 4" in refusal(tmp_path)


def test_a_missing_column_is_named(tmp_path):
    save_feather(minutes(10).drop(columns="volume"), tmp_path / "AAA_USDT_USDT-1m-futures.feather")
    assert "expected a column volume" in refusal(tmp_path)
    table = pa.Table.from_pandas(minutes(10).drop(columns="open_time"), preserve_index=False)
    feather.write_feather(table, tmp_path / "AAA_USDT_USDT-1m-futures.feather")
    assert "date or open_time" in refusal(tmp_path)


def test_a_moment_outside_the_recording_is_refused(folder):
    assert "2025-05-01T03:00:00 to 2025-05-10T" in refusal(folder, at_ms=MAY_MS - 1)
    with pytest.raises(InvalidInput, match="must lie in the recording"):
        clock_at(Window(0, 10), 10, 10)


def test_symbols_that_share_no_minute_are_refused(tmp_path):
    save_feather(minutes(10), tmp_path / "AAA_USDT_USDT-1m-futures.feather")
    save_feather(minutes(10, MAY_MS + DAY_MS), tmp_path / "BBB_USDT_USDT-1m-futures.feather")
    assert "share no minute" in refusal(tmp_path)


def test_an_unknown_symbol_is_refused_everywhere(folder):
    market = RecordedMarket(folder, at_ms=None, now_ms=NOW_MS)
    for ask in (
        lambda: market.bars("NOPE", MINUTE_MS, 0, 1),
        lambda: market.forming("NOPE", 0),
        lambda: market.trades("NOPE", 0, 1),
        lambda: market.quote("NOPE", 0),
    ):
        with pytest.raises(InvalidInput, match="holds no 1m bars of 'NOPE'"):
            ask()
    with pytest.raises(InvalidInput, match="interval_ms"):
        market.bars("AAAUSDT", 1, 0, 1)
