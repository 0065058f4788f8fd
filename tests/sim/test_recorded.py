"""Recorded files as a market: what is in the files, at the shifted time."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from aione.errors import InvalidInput
from aione.sim.archive import read_directory
from aione.sim.market import DAY_MS, MINUTE_MS, aggregate
from aione.sim.recorded import RecordedMarket, decimals_of
from aione.sim.replay_clock import ReplayClock, Window, common_window, looping_clock

from .recorded_parts import HOUR_MS, MAY_MS, NOW_MS, full, minutes
from .recorded_parts import folder as folder  # noqa: PLC0414  # a fixture

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
