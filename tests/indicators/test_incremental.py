"""The incremental path is the batch on the same window, whatever comes: gaps, midnights, corrections, new symbols."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import talib

from aione.errors import InvalidInput
from aione.indicators import compute_readings
from aione.indicators.incremental import IncrementalReadings
from aione.panel import BAR_RECORD, MINUTE_MS, VALUE_FIELDS
from aione.panel.resample import resample
from config.models import IndicatorParams

PARAMS = IndicatorParams()
BRISK = IndicatorParams(profile_bars=240, wilder_period=5, vwap_min_bars=30, ema_fast=3, ema_slow=7)
"""Short memories: every branch is taken within a few hundred bars."""


def bars_at(panel, at):
    return {name: np.ascontiguousarray(getattr(panel, name)[:, at]) for name in VALUE_FIELDS}


def records_of(panel, at):
    rows = np.zeros(len(panel.symbols), dtype=BAR_RECORD)
    rows["open_time_ms"] = np.where(panel.valid[:, at], panel.open_time_ms[at], 0)
    for name in VALUE_FIELDS:
        rows[name] = (
            np.nan_to_num(getattr(panel, name)[:, at]) if name == "trade_count" else getattr(panel, name)[:, at]
        )
    return rows


def assert_same(ours, theirs, where):
    assert ours.symbols == theirs.symbols
    assert ours.open_time_ms == theirs.open_time_ms
    assert ours.values.keys() == theirs.values.keys()
    assert ours.market.keys() == theirs.market.keys()
    for name, expected in theirs.values.items():
        np.testing.assert_allclose(ours[name], expected, rtol=1e-9, atol=1e-12, err_msg=f"{name} at {where}")
    for name, value in theirs.market.items():
        np.testing.assert_allclose(ours.market[name], value, rtol=1e-9, atol=1e-12, err_msg=f"{name} at {where}")


# ── One bar more of all symbols ──


@pytest.fixture(scope="module")
def market(make_panel):
    """More than two days, from seven minutes before a midnight on."""
    return make_panel(3400, seed=11)


def test_three_thousand_bars_later_it_is_still_the_batch(market):
    """Every reading, at every third bar and at each of the last: what is remembered does not drift."""
    following = IncrementalReadings(market.until(300), PARAMS, lookback=1500)
    assert_same(following.readings(), compute_readings(market.until(300), PARAMS), 300)
    for at in range(300, market.shape[1]):
        readings = following.push(int(market.open_time_ms[at]), bars_at(market, at))
        if at % 3 == 0 or at > 3380:
            assert_same(readings, compute_readings(market.window(at + 1, 1500), PARAMS), at)
    exact = compute_readings(market.tail(1500), PARAMS)
    for name in ("poc", "vah", "val", "realized_vol", "slope_t", "beta_btc", "range_high_60", "pivot_low", "volume_z"):
        np.testing.assert_array_equal(readings[name], exact[name], err_msg=name)
    close = market.close[1]
    np.testing.assert_allclose(readings["rsi"][1], talib.RSI(close, 14)[-1], rtol=1e-9)
    np.testing.assert_allclose(readings["adx"][1], talib.ADX(market.high[1], market.low[1], close, 14)[-1], rtol=1e-9)


def test_days_are_those_of_the_daily_bars(make_panel):
    """Yesterday and the daily pivots change at midnight, and with other daily bars."""
    long = make_panel(7 * 1440, seed=12)
    daily = resample(long, 1440).take(("AAAUSDT", "BTCUSDT", "GAPUSDT"))
    start = 6 * 1440 - 30
    following = IncrementalReadings(long.window(start, 1500), PARAMS, daily.until(3))
    for at in range(start, start + 300):
        if at == start + 100:
            following.follow_days(daily)
        known = daily.until(3) if at < start + 100 else daily
        readings = following.push(int(long.open_time_ms[at]), bars_at(long, at))
        if at % 7 == 0:
            assert_same(readings, compute_readings(long.window(at + 1, 1500), PARAMS, known), at)


@pytest.mark.recorded
def test_recorded_bars(recorded_panel):
    following = IncrementalReadings(recorded_panel.until(1500), PARAMS)
    for at in range(1500, 2880):
        readings = following.push(int(recorded_panel.open_time_ms[at]), bars_at(recorded_panel, at))
        if at % 11 == 0:
            assert_same(readings, compute_readings(recorded_panel.window(at + 1, 1500), PARAMS), at)


def test_from_one_bar_on(market):
    """A history that grows: at first nearly everything is unknown."""
    following = IncrementalReadings(market.until(1), PARAMS, lookback=400)
    for at in range(1, 520):
        readings = following.push(int(market.open_time_ms[at]), bars_at(market, at))
        assert_same(readings, compute_readings(market.window(at + 1, 400), PARAMS), at)


@pytest.mark.parametrize("lookback", [5, 17, 61, 239, 300])
def test_windows_shorter_than_the_indicators(market, lookback):
    following = IncrementalReadings(market.until(lookback), PARAMS)
    for at in range(lookback, lookback + 70):
        readings = following.push(int(market.open_time_ms[at]), bars_at(market, at))
        assert_same(readings, compute_readings(market.window(at + 1, lookback), PARAMS), at)


def test_odd_parameters(market):
    names = [name for name, field in IndicatorParams.model_fields.items() if field.annotation is int]
    for bars in (1, 2, 5000):
        odd = PARAMS.model_copy(update=dict.fromkeys(names, bars))
        following = IncrementalReadings(market.until(250), odd)
        for at in range(250, 262):
            readings = following.push(int(market.open_time_ms[at]), bars_at(market, at))
            assert_same(readings, compute_readings(market.window(at + 1, 250), odd), at)


def test_records_and_columns_say_the_same(market):
    one, other = (IncrementalReadings(market.until(1100), PARAMS) for _ in range(2))
    for at in range(1100, 1120):  # the gap of GAPUSDT begins before
        time = int(market.open_time_ms[at])
        by_columns, by_records = one.push(time, bars_at(market, at)), other.push(time, records_of(market, at))
        for name, values in by_columns.values.items():
            np.testing.assert_array_equal(by_records[name], values, err_msg=name)


# ── Whatever may come ──


class Story:
    """A market that is written down bar by bar, and read twice."""

    def __init__(self, market, rng, params, lookback):
        self.market, self.rng, self.params, self.lookback = market, rng, params, lookback
        self.at = 600
        self.panel = market.until(self.at).take(market.symbols[:5])
        self.following = IncrementalReadings(self.panel.tail(lookback), params)

    def push(self, skipped=0):
        """Bars of the market, some of which are missing, after so many minutes without any."""
        self.at += skipped + 1
        panel = self.market.until(self.at).take(self.panel.symbols)
        missing = self.rng.random(len(panel.symbols)) < 0.02
        arrays = {name: getattr(panel, name).copy() for name in (*VALUE_FIELDS, "valid")}
        old = self.panel.shape[1]
        for name in VALUE_FIELDS:
            arrays[name][:, :old] = getattr(self.panel, name)
            arrays[name][:, old : old + skipped] = np.nan
            arrays[name][missing, -1] = np.nan
        arrays["valid"] = ~np.isnan(arrays["close"])
        self.panel = replace(panel, **arrays)
        self.following.push(int(panel.open_time_ms[-1]), bars_at(self.panel, -1))

    def correct(self, symbol, ages):
        """Past bars are others than they were, or are there after all, or are not."""
        row, places = self.panel.symbols.index(symbol), [self.panel.shape[1] - 1 - age for age in ages]
        records = np.zeros(len(ages), dtype=BAR_RECORD)
        records["open_time_ms"] = self.panel.open_time_ms[places]
        arrays = {name: getattr(self.panel, name).copy() for name in (*VALUE_FIELDS, "valid")}
        base = self.market.close[self.market.symbols.index("AAAUSDT"), places]
        is_gone = self.rng.random() < 0.1
        for name in VALUE_FIELDS:
            records[name] = base * {"high": 1.002, "low": 0.998}.get(name, 1.0)
            if is_gone and name == "close":
                records[name] = np.nan
            arrays[name][row, places] = np.nan if is_gone else records[name]
        arrays["valid"][row, places] = not is_gone
        self.panel = replace(self.panel, **arrays)
        self.following.correct(symbol, records)

    def join(self, symbol):
        history = self.market.until(self.at).take([symbol])
        known = int(self.rng.integers(1, self.at))
        arrays = {name: getattr(history, name).copy() for name in (*VALUE_FIELDS, "valid")}
        for name in VALUE_FIELDS:
            arrays[name][:, : self.at - known] = np.nan
        arrays["valid"][:, : self.at - known] = False
        history = replace(history, **arrays)
        both = {
            name: np.vstack([getattr(self.panel, name), getattr(history, name)]) for name in (*VALUE_FIELDS, "valid")
        }
        self.panel = replace(self.panel, symbols=(*self.panel.symbols, symbol), **both)
        self.following.join(history.tail(self.lookback))

    def leave(self, symbol):
        self.panel = self.panel.take([name for name in self.panel.symbols if name != symbol])
        self.following.leave([symbol])

    def tell(self):
        absent = [name for name in self.market.symbols if name not in self.panel.symbols]
        kind = self.rng.random()
        if kind < 0.86:
            self.push(int(self.rng.integers(1, 8)) if kind < 0.01 else 0)
        elif kind < 0.94 and self.panel.symbols:
            newest = int(self.rng.integers(0, 200)) if kind < 0.92 else 0
            symbol = self.panel.symbols[int(self.rng.integers(len(self.panel.symbols)))]
            self.correct(symbol, range(newest, newest + int(self.rng.integers(1, 4))))
        elif kind < 0.97 and absent:
            self.join(absent[int(self.rng.integers(len(absent)))])
        elif len(self.panel.symbols) > 1:
            self.leave(self.panel.symbols[int(self.rng.integers(len(self.panel.symbols)))])

    def check(self, where):
        assert_same(self.following.readings(), compute_readings(self.panel.tail(self.lookback), self.params), where)


@pytest.mark.parametrize(
    ("seed", "params", "lookback"), [(1, BRISK, 400), (2, BRISK, 333), (3, PARAMS, 600), (4, BRISK, 400)]
)
def test_whatever_comes_it_is_the_batch(make_panel, seed, params, lookback):
    """Gaps, minutes without any bar, corrections (the last bar's and the benchmark's too), joins and leaves."""
    story = Story(make_panel(2400, seed=100 + seed), np.random.default_rng(seed), params, lookback)
    for turn in range(260):
        story.tell()
        story.check(f"turn {turn}")


def test_all_may_leave_and_come_back(market):
    following = IncrementalReadings(market.until(400), PARAMS)
    following.leave(market.symbols)
    assert following.symbols == ()
    assert following.push(int(market.open_time_ms[400]), {name: np.empty(0) for name in VALUE_FIELDS}).symbols == ()
    following.join(market.until(401).tail(400))
    assert_same(following.readings(), compute_readings(market.until(401).tail(400), PARAMS), "back")


def test_as_many_as_there_are(make_panel):
    """More symbols join than there is room for: the rings grow, and those that were there stay as they were."""
    names = [f"S{k}USDT" for k in range(60)]
    panel = make_panel(330, seed=14, symbols=("BTCUSDT", *names))
    following = IncrementalReadings(panel.until(300).take(("BTCUSDT",)), PARAMS)
    for first in range(0, 60, 20):
        following.join(panel.until(300).take(names[first : first + 20]))
    for at in range(300, 330):
        readings = following.push(int(panel.open_time_ms[at]), bars_at(panel, at))
    assert_same(readings, compute_readings(panel.tail(300), PARAMS), "grown")


# ── The forming bar of one ──


def forming_panel(panel, at, rows):
    """The panel up to bar ``at``, of which only these rows are known."""
    part = panel.until(at + 1)
    arrays = {name: getattr(part, name).copy() for name in (*VALUE_FIELDS, "valid")}
    others = np.setdiff1d(np.arange(len(panel.symbols)), rows)
    for name in VALUE_FIELDS:
        arrays[name][others, -1] = np.nan
    arrays["valid"][others, -1] = False
    return replace(part, **arrays)


@pytest.mark.parametrize("start", [1440 + 7 - 40, 1440 + 7 + 235])
def test_a_forming_bar_is_read_as_if_it_closed(market, start):
    """At ends of all timeframes, over midnight, and of symbols with every kind of trouble."""
    following = IncrementalReadings(market.window(start, 700), PARAMS)
    names = set(following.readings().values) - {"relative_strength_rank"}
    for at in range(start, start + 60):
        records = records_of(market, at)
        for row, symbol in enumerate(market.symbols):
            if not market.valid[row, at]:
                continue
            live = following.live_peek(symbol, records[row], records[0])
            batch = compute_readings(forming_panel(market, at, [0, row]).tail(700), PARAMS)
            assert live.keys() == {f"live_{name}" for name in names}
            for name in names:
                expected = batch[name][row]
                np.testing.assert_allclose(
                    live[f"live_{name}"], expected, rtol=1e-9, atol=1e-12, err_msg=f"{name} of {symbol} at {at}"
                )
        following.push(int(market.open_time_ms[at]), records)


def test_without_the_benchmarks_bar_only_what_needs_it_is_unknown(market):
    following = IncrementalReadings(market.until(700), PARAMS)
    records = records_of(market, 700)
    with_it, without = (
        following.live_peek("AAAUSDT", records[1], records[0]),
        following.live_peek("AAAUSDT", records[1]),
    )
    for name, value in without.items():
        if name in {"live_beta_btc", "live_corr_btc", "live_relative_strength"}:
            assert np.isnan(value)
        else:
            np.testing.assert_equal(value, with_it[name])
    own = following.live_peek("BTCUSDT", records[0])
    assert own["live_beta_btc"] == pytest.approx(1.0)


def closed_bytes(following):
    """Everything that a closed bar may look at."""
    memory = following._memory
    rings, kept = memory._rings, [memory._rings.state[1:].tobytes(), memory._rings.steps[1:].tobytes()]
    minutes = {"frames_5m": 5, "frames_15m": 15, "frames_1h": 60, "frames_4h": 240}
    for name, ring in zip(rings._fields[:-2], rings[:-2], strict=True):
        size = minutes.get(name, 1)
        half, last = ring.shape[2] // 2, (memory.minute + 1) // size - 1
        count = memory.bars if name == "long" else half - 1
        kept.append(ring[:, :, last % half + half + 1 - count : last % half + half + 1].tobytes())
    return kept


def test_peeking_changes_nothing(market):
    """Nothing that a closed bar may look at, and not a byte of the readings that follow; however wild the bar."""
    calm, peeked = (IncrementalReadings(market.until(1500), PARAMS) for _ in range(2))
    rng = np.random.default_rng(5)
    for at in range(1500, 1640):
        time, before = int(market.open_time_ms[at]), closed_bytes(peeked)
        for kind in range(4):
            wild = records_of(market, at)
            wild["open_time_ms"] = time
            for name in VALUE_FIELDS:
                wild[name] = np.abs(np.nan_to_num(wild[name], nan=1.0)) * rng.lognormal(0.0, 2.0)
            if kind == 0:
                wild["close"] = np.nan
            row = int(rng.integers(len(market.symbols)))
            peeked.live_peek(market.symbols[row], wild[row], wild[0])
        assert closed_bytes(peeked) == before
        one, other = calm.push(time, bars_at(market, at)), peeked.push(time, bars_at(market, at))
        for name, values in one.values.items():
            assert values.tobytes() == other[name].tobytes(), f"{name} at {at}"


# ── Refusals ──


def test_refusals(market):
    with pytest.raises(InvalidInput, match="1-minute bars, at least one"):
        IncrementalReadings(market.until(0), PARAMS)
    with pytest.raises(InvalidInput, match="lookback must be at least 5, was 4"):
        IncrementalReadings(market.until(4), PARAMS)
    following = IncrementalReadings(market.until(300), PARAMS)
    last = following.open_time_ms
    with pytest.raises(InvalidInput, match=f"a full minute after {last}, was {last}"):
        following.push(last, bars_at(market, 299))
    with pytest.raises(InvalidInput, match=r"open must have shape \(7,\), was \(6,\)"):
        following.push(last + MINUTE_MS, {name: column[:6] for name, column in bars_at(market, 300).items()})
    with pytest.raises(InvalidInput, match="7 symbols are followed, but not NONEUSDT"):
        following.live_peek("NONEUSDT", records_of(market, 300)[0])
    with pytest.raises(InvalidInput, match=f"must open at {last + MINUTE_MS}, was {last + 2 * MINUTE_MS}"):
        following.live_peek("BTCUSDT", records_of(market, 301)[0])
    with pytest.raises(InvalidInput, match=f"not be later than {last}, was {last + MINUTE_MS}"):
        following.correct("BTCUSDT", records_of(market, 300)[:1])
    with pytest.raises(InvalidInput, match=r"must be new and end at .*known \['BTCUSDT'\]"):
        following.join(market.until(300).take(("BTCUSDT",)))
    with pytest.raises(InvalidInput, match="must be new and end at"):
        following.join(market.until(299))
