"""Recorded files as a market: what is in the files, at the shifted time, and a clear refusal of what can't be used."""

from __future__ import annotations

import gzip
import time
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from aione.errors import InvalidInput
from aione.sim.archive import read_directory
from aione.sim.market import DAY_MS, MINUTE_MS, SIM_BAR, aggregate
from aione.sim.recorded import RecordedMarket, decimals_of
from aione.sim.replay_clock import ReplayClock, Window, clock_at, common_window, looping_clock

HOUR_MS = 3_600_000
MAY_MS = int(pd.Timestamp("2025-05-01", tz="UTC").timestamp() * 1000)
NOW_MS = int(pd.Timestamp("2026-11-22 21:45:13", tz="UTC").timestamp() * 1000)


def minutes(count, start_ms=MAY_MS, seed=1, level=100.0):
    rng = np.random.default_rng(seed)
    close = np.round(level * np.exp(np.cumsum(rng.normal(0, 1e-3, count))), 2)
    opened = np.concatenate(([level], close[:-1]))
    frame = pd.DataFrame({"open": opened, "close": close})
    frame["high"] = np.round(frame.max(axis=1) + rng.uniform(0, 0.2, count), 2)
    frame["low"] = np.round(frame[["open", "close"]].min(axis=1) - rng.uniform(0, 0.2, count), 2)
    frame["volume"] = np.round(rng.uniform(1, 20, count), 3)
    frame["open_time"] = start_ms + np.arange(count) * MINUTE_MS
    return frame[["open_time", "open", "high", "low", "close", "volume"]]


def full(frame):
    """The archive's twelve columns."""
    out = frame.copy()
    out["close_time"] = out["open_time"] + MINUTE_MS - 1
    out["quote_volume"] = out["volume"] * out["close"] * 1.01
    out["count"] = 77
    out["taker_buy_volume"] = out["volume"] * 0.25
    out["taker_buy_quote_volume"] = out["quote_volume"] * 0.25
    out["ignore"] = 0
    return out


def save_feather(frame, path):
    out = frame.copy()
    out.insert(0, "date", pd.to_datetime(out.pop("open_time"), unit="ms", utc=True))
    feather.write_feather(pa.Table.from_pandas(out, preserve_index=False), path)


@pytest.fixture
def folder(tmp_path):
    """Ten days of two symbols in feather, with an 8 h funding rate and older days."""
    save_feather(minutes(14_400), tmp_path / "AAA_USDT_USDT-1m-futures.feather")
    save_feather(minutes(14_000, MAY_MS + 3 * HOUR_MS, 2), tmp_path / "BTC_USDT_USDT-1m-futures.feather")
    older = minutes(5, seed=3)
    older["open_time"] = MAY_MS - np.arange(5, 0, -1) * DAY_MS
    save_feather(older, tmp_path / "AAA_USDT_USDT-1d-futures.feather")
    rates = minutes(20, seed=4)
    rates["open_time"] = MAY_MS + np.arange(20) * 8 * HOUR_MS
    rates["open"] = np.arange(20) * 1e-5
    save_feather(rates, tmp_path / "AAA_USDT_USDT-8h-funding_rate.feather")
    save_feather(rates, tmp_path / "AAA_USDT_USDT-8h-mark.feather")
    (tmp_path / "LICENSE").write_text("MIT")
    return tmp_path


# ── Layouts ──


def test_feather_rows_come_out_as_they_are(folder):
    market = RecordedMarket(folder, at_ms=MAY_MS + DAY_MS, now_ms=MAY_MS + DAY_MS)
    expected = minutes(14_400)
    bars = market.bars("AAAUSDT", MINUTE_MS, 0, 2**50)
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(bars[name], expected[name])
    np.testing.assert_array_equal(bars["open_time_ms"], expected["open_time"])


def test_fields_that_a_recording_lacks_follow_the_stated_rules(folder):
    bars = read_directory(folder)["AAAUSDT"].minutes
    np.testing.assert_allclose(bars["quote_volume"], bars["close"] * bars["volume"])
    lean = (bars["close"] - bars["open"]) / (bars["high"] - bars["low"])
    np.testing.assert_allclose(bars["taker_buy_volume"], bars["volume"] * (0.5 + 0.35 * lean))
    np.testing.assert_array_equal(bars["trade_count"], np.ceil(bars["quote_volume"] / 250))
    assert (bars["taker_buy_volume"] <= bars["volume"]).all()


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("packed", ["csv", "csv.gz", "zip"])
@pytest.mark.parametrize("factor", [1, 1000])
def test_archive_files_with_and_without_header_in_either_epoch(tmp_path, header, packed, factor):
    frame = full(minutes(1440))
    written = frame.copy()
    written["open_time"] *= factor
    written["close_time"] *= factor
    text = written.to_csv(index=False, header=header)
    path = tmp_path / f"AAAUSDT-1m-2025-05-01.{packed}"
    if packed == "csv":
        path.write_text(text)
    elif packed == "csv.gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("AAAUSDT-1m-2025-05-01.csv", text)
    bars = read_directory(tmp_path)["AAAUSDT"].minutes
    np.testing.assert_array_equal(bars["open_time_ms"], frame["open_time"])
    for name in ("close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
        np.testing.assert_allclose(bars[name], frame[name], rtol=1e-15)
    assert set(bars["trade_count"]) == {77}


def test_epochs_may_differ_from_file_to_file_and_days_may_overlap(tmp_path):
    frame = full(minutes(2880))
    first, second = frame[:1500].copy(), frame[1440:].copy()
    second[["open_time", "close_time"]] *= 1000
    parquet.write_table(pa.Table.from_pandas(first, preserve_index=False), tmp_path / "AAAUSDT-1m-2025-05.parquet")
    second.to_csv(tmp_path / "AAAUSDT-1m-2025-05-02.csv", index=False, header=False)
    bars = read_directory(tmp_path)["AAAUSDT"].minutes
    np.testing.assert_array_equal(bars["open_time_ms"], frame["open_time"])


# ── Time ──


def test_a_frozen_clock_at_the_recorded_moment_shifts_nothing(folder):
    at = MAY_MS + 3 * DAY_MS + 12_345
    assert RecordedMarket(folder, at_ms=at, now_ms=at).clock.shift_ms == 0


def test_bars_are_those_of_the_chosen_moment(folder):
    at = MAY_MS + 5 * DAY_MS
    market = RecordedMarket(folder, at_ms=at, now_ms=NOW_MS)
    now_minute = NOW_MS // MINUTE_MS * MINUTE_MS
    bars = market.bars("AAAUSDT", MINUTE_MS, now_minute - 600 * MINUTE_MS, now_minute)
    expected = minutes(14_400)
    rows = expected[(expected.open_time <= at) & (expected.open_time >= at - 600 * MINUTE_MS)]
    np.testing.assert_array_equal(bars["close"], rows["close"])
    np.testing.assert_array_equal(bars["open_time_ms"] - rows["open_time"], market.clock.shift_ms)
    assert market.clock.shift_ms % MINUTE_MS == 0
    assert abs(NOW_MS - market.clock.shift_ms - at) < MINUTE_MS
    ahead = market.bars("AAAUSDT", MINUTE_MS, now_minute, now_minute + 30 * DAY_MS)
    assert ahead["open_time_ms"][-1] == expected["open_time"].iloc[-1] + market.clock.shift_ms, "silence at its end"


@pytest.mark.parametrize("later_ms", [0, MINUTE_MS, HOUR_MS, 26 * HOUR_MS])
def test_without_a_chosen_moment_a_restart_sees_the_same_bars(folder, later_ms):
    one, two = (RecordedMarket(folder, at_ms=None, now_ms=now) for now in (NOW_MS, NOW_MS + later_ms))
    assert one.clock == two.clock
    assert one.clock.shift_ms % DAY_MS == 0
    asked = ("BTCUSDT", MINUTE_MS, NOW_MS - DAY_MS, NOW_MS + 2 * DAY_MS)
    np.testing.assert_array_equal(one.bars(*asked), two.bars(*asked))


def test_any_now_has_two_days_of_history_and_a_day_ahead(folder):
    for day in range(0, 40, 3):
        now = NOW_MS + day * DAY_MS + day * 777_777
        market = RecordedMarket(folder, at_ms=None, now_ms=now)
        played = now - market.clock.shift_ms
        assert played - market.window.start_ms >= 2 * DAY_MS
        assert market.window.end_ms - played >= DAY_MS - MINUTE_MS
        assert played % DAY_MS == now % DAY_MS
        assert len(market.bars("AAAUSDT", MINUTE_MS, now - 2 * DAY_MS, now + DAY_MS - 2 * MINUTE_MS)) >= 3 * 1440 - 2


def test_the_recording_is_repeated_when_it_ends(folder):
    market = RecordedMarket(folder, at_ms=None, now_ms=NOW_MS)
    bars = market.bars("AAAUSDT", MINUTE_MS, NOW_MS, NOW_MS + 40 * DAY_MS)
    np.testing.assert_array_equal(np.diff(bars["open_time_ms"]), MINUTE_MS)
    loop = market.clock.loop_ms // MINUTE_MS
    assert loop % 1440 == 0
    np.testing.assert_array_equal(bars["close"][-loop:], bars["close"][-2 * loop : -loop])
    assert market.forming("AAAUSDT", NOW_MS + 30 * DAY_MS)["close"][0] > 0


def test_before_the_recording_there_is_simply_no_bar(folder):
    market = RecordedMarket(folder, at_ms=None, now_ms=NOW_MS)
    begins = MAY_MS + market.clock.shift_ms
    assert len(market.bars("AAAUSDT", MINUTE_MS, begins - 9 * DAY_MS, begins - 1)) == 0
    assert len(market.forming("AAAUSDT", begins - 1)) == 0
    assert len(market.trades("AAAUSDT", begins - HOUR_MS, begins - 1)) == 0


def test_a_short_recording_gives_up_the_day_ahead_first_then_the_history():
    for days, history, period in ((4, 2, 1), (3, 2, 1), (2, 1, 1), (1, 0, 1)):
        clock = looping_clock(Window(MAY_MS, MAY_MS + days * DAY_MS), NOW_MS)
        played = NOW_MS - clock.shift_ms
        assert history * DAY_MS <= played - MAY_MS < (history + period) * DAY_MS
        assert clock.shift_ms % DAY_MS == 0


def test_less_than_a_day_is_played_in_a_loop_of_its_own_length():
    clock = looping_clock(Window(MAY_MS, MAY_MS + 90 * MINUTE_MS), NOW_MS)
    assert MAY_MS <= clock.recorded_ms(NOW_MS) < MAY_MS + 90 * MINUTE_MS
    assert clock.recorded_ms(NOW_MS) == clock.recorded_ms(NOW_MS + 90 * MINUTE_MS)


def test_pieces_of_a_looping_clock_cover_the_range_once():
    clock = ReplayClock(Window(0, 10 * MINUTE_MS), 1000 * MINUTE_MS, 4 * MINUTE_MS)
    pieces = clock.pieces(1005 * MINUTE_MS, 1025 * MINUTE_MS)
    played = [recorded + shift for first, last, shift in pieces for recorded in range(first, last + 1, MINUTE_MS)]
    assert played == list(range(1005 * MINUTE_MS, 1025 * MINUTE_MS + 1, MINUTE_MS))
    assert max(last for _, last, _ in pieces) < 10 * MINUTE_MS


def test_the_common_window_is_the_longest_stretch_that_all_have():
    one = np.concatenate([np.arange(100), np.arange(5000, 9000)]) * MINUTE_MS
    two = np.arange(50, 7000) * MINUTE_MS
    assert common_window([one, two]) == Window(5000 * MINUTE_MS, 7000 * MINUTE_MS)
    with pytest.raises(InvalidInput, match="share no minute"):
        common_window([np.arange(10) * MINUTE_MS, np.arange(20, 30) * MINUTE_MS])


# ── Longer bars, listings, quotes ──


def test_longer_bars_are_aggregates_and_a_partial_first_one_is_left_out(folder):
    market = RecordedMarket(folder, at_ms=MAY_MS + DAY_MS, now_ms=MAY_MS + DAY_MS)
    minute_bars = market.bars("BTCUSDT", MINUTE_MS, 0, 2**50)
    assert minute_bars["open_time_ms"][0] % DAY_MS == 3 * HOUR_MS
    days = market.bars("BTCUSDT", DAY_MS, 0, 2**50)
    np.testing.assert_array_equal(days, aggregate(minute_bars, DAY_MS)[1:])
    hours = market.bars("BTCUSDT", HOUR_MS, 0, 2**50)
    np.testing.assert_array_equal(hours, aggregate(minute_bars, HOUR_MS))


def test_recorded_days_stand_before_the_minutes(folder):
    market = RecordedMarket(folder, at_ms=None, now_ms=NOW_MS)
    days = market.bars("AAAUSDT", DAY_MS, NOW_MS - 40 * DAY_MS, NOW_MS)
    begins = MAY_MS + market.clock.shift_ms
    older = days[days["open_time_ms"] < begins]
    np.testing.assert_array_equal(older["open_time_ms"], begins - np.arange(5, 0, -1) * DAY_MS)
    np.testing.assert_array_equal(older["close"], minutes(5, seed=3)["close"])
    np.testing.assert_array_equal(np.diff(days["open_time_ms"]), DAY_MS)
    assert len(market.bars("AAAUSDT", DAY_MS, begins - 2 * DAY_MS, begins - 1)) == 2


def test_recorded_days_do_not_fit_a_shift_of_part_of_a_day(folder):
    market = RecordedMarket(folder, at_ms=MAY_MS + 5 * DAY_MS, now_ms=NOW_MS)
    assert market.clock.shift_ms % DAY_MS
    days = market.bars("AAAUSDT", DAY_MS, 0, 2**50)
    assert days["open_time_ms"][0] >= MAY_MS + market.clock.shift_ms
    assert (days["open_time_ms"] % DAY_MS == 0).all()


def test_listings_are_old_perpetuals_with_the_rules_of_their_prices(folder):
    market = RecordedMarket(folder, at_ms=None, now_ms=NOW_MS)
    rows = market.listings(NOW_MS)
    assert [row.symbol for row in rows] == ["AAAUSDT", "BTCUSDT"]
    assert {(row.contract_type, row.underlying_type, row.status) for row in rows} == {("PERPETUAL", "COIN", "TRADING")}
    assert all(NOW_MS - row.onboard_ms > 300 * DAY_MS for row in rows)
    assert [row.tick_size for row in rows] == ["0.01", "0.01"], "BTC's known tick does not fit these prices"
    assert [row.step_size for row in rows] == ["0.001", "0.001"]


def test_the_quote_is_around_the_price_and_pays_the_recorded_funding(folder):
    market = RecordedMarket(folder, at_ms=MAY_MS + DAY_MS, now_ms=MAY_MS + DAY_MS)
    at = MAY_MS + DAY_MS + 10 * HOUR_MS
    quote = market.quote("AAAUSDT", at)
    last = market.forming("AAAUSDT", at)["close"][0]
    assert quote.bid <= last <= quote.ask
    assert quote.funding_rate == pytest.approx(4e-5)
    assert market.quote("AAAUSDT", MAY_MS + 90 * DAY_MS).bid > 0, "after the end the last price stands"
    assert market.quote("AAAUSDT", MAY_MS - DAY_MS).bid > 0


def test_trades_and_forming_bar_lead_to_the_recorded_bar(folder):
    market = RecordedMarket(folder, at_ms=None, now_ms=NOW_MS)
    at = NOW_MS // MINUTE_MS * MINUTE_MS
    bar = market.bars("BTCUSDT", MINUTE_MS, at, at)
    assert market.forming("BTCUSDT", at + MINUTE_MS - 1) == bar
    assert market.trades("BTCUSDT", at, at + MINUTE_MS - 1)["quantity"].sum() == pytest.approx(bar["volume"][0])


@pytest.mark.parametrize(
    ("values", "decimals"), [([1.0, 20.0], 0), ([0.5], 1), ([0.00000042], 8), ([95000.1, 1.25], 2)]
)
def test_decimals_are_inferred(values, decimals):
    assert decimals_of(np.array(values)) == decimals


# ── Refusals ──


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


# ── The real recordings ──


@pytest.mark.recorded
def test_sixteen_recorded_symbols_load_fast_and_equal_their_files(recordings):
    start = time.process_time()
    market = RecordedMarket(recordings / "usdm-2025-05", at_ms=None, now_ms=NOW_MS)
    assert time.process_time() - start < 5.0, "2 s on a quiet machine"
    assert len(market.listings(NOW_MS)) == 16
    assert {row.symbol: row.tick_size for row in market.listings(NOW_MS)}["BTCUSDT"] == "0.1"
    assert str(np.datetime64(market.window.start_ms, "ms")) == "2025-05-09T18:18:00.000"
    assert str(np.datetime64(market.window.end_ms - MINUTE_MS, "ms")) == "2025-06-03T15:31:00.000"
    shift = market.clock.shift_ms
    for row in market.listings(NOW_MS):
        path = recordings / "usdm-2025-05" / f"{row.base_asset}_USDT_USDT-1m-futures.feather"
        frame = pd.read_feather(path)
        frame["open_time"] = frame["date"].astype("datetime64[ms, UTC]").astype(np.int64) + shift
        frame = frame[(frame.open_time > NOW_MS - 1500 * MINUTE_MS) & (frame.open_time <= NOW_MS)]
        bars = market.bars(row.symbol, MINUTE_MS, NOW_MS - 1500 * MINUTE_MS, NOW_MS)
        assert len(bars) == 1500
        np.testing.assert_array_equal(bars["open_time_ms"], frame["open_time"])
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(bars[name], frame[name])


@pytest.mark.recorded
def test_recorded_days_reach_back_before_the_minutes(recordings):
    at = int(pd.Timestamp("2025-05-20 12:00", tz="UTC").timestamp() * 1000)
    market = RecordedMarket(recordings / "usdm-2025-05", at_ms=at, now_ms=at)
    days = market.bars("BTCUSDT", DAY_MS, at - 65 * DAY_MS, at)
    assert str(np.datetime64(int(days["open_time_ms"][0]), "ms")).startswith("2025-03-17")
    minute_bars = market.bars("BTCUSDT", MINUTE_MS, at - 3 * DAY_MS, at + DAY_MS)
    for day in days[-3:-1]:
        inside = minute_bars["open_time_ms"] // DAY_MS == day["open_time_ms"] // DAY_MS
        assert day["high"] == minute_bars["high"][inside].max()


@pytest.mark.recorded
def test_the_halt_of_march_2023_stays_a_gap(recordings, tmp_path):
    (tmp_path / "BTCUSDT-1m-2023-03-24.csv").symlink_to(recordings / "btc-spot-1m" / "BTCUSDT-1m-2023-03-24.csv")
    at = int(pd.Timestamp("2023-03-24 18:00", tz="UTC").timestamp() * 1000)
    market = RecordedMarket(tmp_path, at_ms=at, now_ms=at)
    bars = market.bars("BTCUSDT", MINUTE_MS, at - 10 * HOUR_MS, at)
    holes = np.flatnonzero(np.diff(bars["open_time_ms"]) != MINUTE_MS)
    assert len(holes) == 1
    hole = [str(np.datetime64(int(bars["open_time_ms"][row]), "ms"))[11:16] for row in (holes[0], holes[0] + 1)]
    assert hole == ["12:39", "14:00"]
    silent = int(pd.Timestamp("2023-03-24 13:10", tz="UTC").timestamp() * 1000)
    assert len(market.forming("BTCUSDT", silent)) == 0
    assert len(market.trades("BTCUSDT", silent, silent + HOUR_MS // 2)) == 0
    assert market.quote("BTCUSDT", silent).bid > 0


@pytest.mark.recorded
def test_the_real_microsecond_file_follows_the_millisecond_one(recordings, tmp_path):
    for day in ("2024-12-31", "2025-01-01"):
        name = f"BTCUSDT-1m-{day}.csv"
        (tmp_path / name).symlink_to(recordings / "btc-spot-1m" / name)
    bars = read_directory(tmp_path)["BTCUSDT"].minutes
    np.testing.assert_array_equal(np.diff(bars["open_time_ms"]), MINUTE_MS)
    assert len(bars) == 2880
    assert bars.dtype == SIM_BAR
    assert bars["trade_count"].min() >= 1
