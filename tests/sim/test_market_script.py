"""Every scripted event happens, and can be seen in the bars by the definition that a trigger or scenario uses."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
import talib

from aione.errors import InvalidInput
from aione.sim.market import DAY_MS, MINUTE_MS
from aione.sim.script import DURATIONS, Canvas, Event, play, script_of_day
from aione.sim.synthetic import SyntheticMarket

DAY = 20_775
NOW_MS = DAY * DAY_MS
SYMBOLS = 14
DAYS = 3


def atr(bars, period=14):
    return talib.ATR(bars["high"].copy(), bars["low"].copy(), bars["close"].copy(), period)


def volume_z(bars, at, lookback=50):
    past = bars["quote_volume"][at - lookback : at]
    return (bars["quote_volume"][at] - past.mean()) / past.std()


def is_breakout(bars, first, side):
    """Some bar of the event closes 0.1 ATR beyond the previous 20, the close before it being inside."""
    ranges = atr(bars)
    for at in range(first, first + 34):
        top, bottom = bars["high"][at - 20 : at].max(), bars["low"][at - 20 : at].min()
        beyond = bars["close"][at] - top if side > 0 else bottom - bars["close"][at]
        was_inside = bottom <= bars["close"][at - 1] <= top
        if beyond > 0.1 * ranges[at - 1] and was_inside:
            return True
    return False


def has_divergence(bars, first, side):
    """The last two pivots disagree with RSI by 2 points and 0.25 ATR in price."""
    price = -bars["low"] if side > 0 else bars["high"]
    rsi = talib.RSI(bars["close"].copy(), 14) * (-side)
    ranges = atr(bars)
    pivots = [
        at
        for at in range(first - 2, first + 46)
        if price[at] > price[at - 3 : at].max() and price[at] > price[at + 1 : at + 4].max()
    ]
    return any(
        price[two] > price[one] + 0.25 * ranges[two] and rsi[two] < rsi[one] - 2.0
        for one, two in itertools.pairwise(pivots)
    )


def move(bars, first, start, stop):
    """Log move between two minutes of the event, in deviations of the hour before it."""
    close = np.log(bars["close"])
    unit = np.diff(close[first - 60 : first]).std()
    return (close[first + stop - 1] - close[first + start - 1]) / unit


def is_spike_without_range(bars, first):
    spread = (bars["high"] - bars["low"]) / atr(bars)
    return volume_z(bars, first) > 2.5 and spread[first] < 2.0


def is_wick(bars, first):
    bar = bars[first]
    body = abs(bar["close"] - bar["open"])
    wick = max(bar["high"] - max(bar["open"], bar["close"]), min(bar["open"], bar["close"]) - bar["low"])
    return wick > 3 * body and wick > 2 * atr(bars)[first - 1] and volume_z(bars, first) > 2.0


def is_failed(bars, first, side):
    """It leaves the range of the rest before it, and is back inside at the end."""
    rest = bars[first : first + 22]
    top, bottom = rest["high"].max(), rest["low"].min()
    run = bars["close"][first + 22 : first + 25]
    end = bars["close"][first + 28]
    return (run.max() > top and end < top) if side > 0 else (run.min() < bottom and end > bottom)


def stays(bars, first):
    inside = bars["close"][first : first + 80]
    return abs(np.log(inside[-1] / inside[0])) < 0.5 * np.log(inside.max() / inside.min())


def climbs(bars, first, side):
    close = np.log(bars["close"][first : first + 80])
    efficiency = (close[-1] - close[0]) / np.abs(np.diff(close)).sum()
    return side * efficiency > 0.25


SEEN = {
    "pump": lambda bars, at: move(bars, at, 0, 6) > 5 and volume_z(bars, at + 3) > 2.5,
    "dump": lambda bars, at: move(bars, at, 0, 6) < -5 and volume_z(bars, at + 3) > 2.5,
    "breakout_up": lambda bars, at: is_breakout(bars, at + 20, 1),
    "breakout_down": lambda bars, at: is_breakout(bars, at + 20, -1),
    "fakeout_up": lambda bars, at: is_failed(bars, at, 1),
    "fakeout_down": lambda bars, at: is_failed(bars, at, -1),
    "bullish_divergence": lambda bars, at: has_divergence(bars, at, 1),
    "bearish_divergence": lambda bars, at: has_divergence(bars, at, -1),
    "volume_spike": is_spike_without_range,
    "wick_trap": is_wick,
    "spread_blowout": lambda bars, at: (
        np.median(bars["volume"][at : at + 12]) < np.median(bars["volume"][at - 60 : at])
    ),
    "range_bound": stays,
    "steady_trend_up": lambda bars, at: climbs(bars, at, 1),
    "steady_trend_down": lambda bars, at: climbs(bars, at, -1),
}


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(SYMBOLS)


@pytest.fixture(scope="module")
def seen_by_kind(market):
    """Kind -> for each occurrence whether it shows in the bars."""
    seen = defaultdict(list)
    for symbol in [row.symbol for row in market.listings(NOW_MS)][:SYMBOLS]:
        start = NOW_MS - DAY_MS
        bars = market.bars(symbol, MINUTE_MS, start, NOW_MS + (DAYS + 1) * DAY_MS)
        for event in market.events(symbol, NOW_MS, NOW_MS + DAYS * DAY_MS):
            seen[event.kind].append(bool(SEEN[event.kind](bars, (event.start_ms - start) // MINUTE_MS)))
    return seen


def test_every_kind_has_a_check():
    assert SEEN.keys() == DURATIONS.keys()


@pytest.mark.parametrize("kind", sorted(DURATIONS))
def test_an_event_can_be_seen_in_the_bars(kind, seen_by_kind):
    """Four of five at least; the rest drown in the market's own noise, as on a real exchange."""
    seen = seen_by_kind[kind]
    assert len(seen) >= 10
    assert np.mean(seen) >= 0.8, f"{kind}: {np.mean(seen):.2f} of {len(seen)}"


@pytest.mark.parametrize("kind", ["pump", "dump", "volume_spike", "wick_trap", "fakeout_up", "bullish_divergence"])
def test_the_checks_can_fail(kind, market):
    """At moments that the script leaves alone the same checks rarely say yes."""
    seen = []
    for symbol in [row.symbol for row in market.listings(NOW_MS)][:6]:
        start = NOW_MS - DAY_MS
        bars = market.bars(symbol, MINUTE_MS, start, NOW_MS + 2 * DAY_MS)
        seen += [
            bool(SEEN[kind](bars, (at - start) // MINUTE_MS))
            for at in range(NOW_MS, NOW_MS + DAY_MS, 50 * MINUTE_MS)
            if not market.events(symbol, at - 30 * MINUTE_MS, at + 60 * MINUTE_MS)
        ]
    assert len(seen) >= 10
    assert np.mean(seen) < 0.5


def test_somebody_who_watches_sixty_symbols_sees_events():
    """One starts every other minute; there are no long silences, and several are under way at any time."""
    market = SyntheticMarket(60)
    symbols = [row.symbol for row in market.listings(NOW_MS)][:60]
    events = [e for s in symbols for e in market.events(s, NOW_MS, NOW_MS + DAY_MS)]
    gaps = np.diff(sorted(e.start_ms for e in events))
    assert gaps.mean() < 3 * MINUTE_MS
    assert gaps.max() <= 20 * MINUTE_MS
    noon = NOW_MS + DAY_MS // 2
    assert sum(e.start_ms <= noon < e.end_ms for e in events) >= 5


def test_events_lie_in_their_day_and_do_not_overlap():
    for day in range(DAY, DAY + 40):
        events = script_of_day(7, "ETHUSDT", day)
        edges = [day * DAY_MS, *(edge for e in events for edge in (e.start_ms, e.end_ms)), (day + 1) * DAY_MS]
        assert edges == sorted(edges)
        assert all(0.8 <= e.size <= 1.4 for e in events)


def test_another_seed_is_another_script():
    assert script_of_day(7, "ETHUSDT", DAY) != script_of_day(8, "ETHUSDT", DAY)


def test_events_are_listed_by_the_time_they_touch(market):
    event = market.events("BTCUSDT", NOW_MS, NOW_MS + DAY_MS)[0]
    assert event in market.events("BTCUSDT", event.end_ms - 1, event.end_ms - 1)
    assert event not in market.events("BTCUSDT", event.end_ms, event.end_ms)
    assert event in market.events("BTCUSDT", event.start_ms, event.start_ms)


def test_a_spread_blowout_shows_in_the_quote(market):
    found = []
    for symbol in [row.symbol for row in market.listings(NOW_MS)][:SYMBOLS]:
        for event in market.events(symbol, NOW_MS, NOW_MS + DAY_MS):
            if event.kind == "spread_blowout":
                now, before = (market.quote(symbol, at) for at in (event.start_ms + 60_000, event.start_ms - 60_000))
                found.append(((now.ask - now.bid) / (before.ask - before.bid), now.depth[3], before.depth[3]))
    assert len(found) >= 3
    for widening, depth, usual in found:
        assert widening > 3.0
        assert depth.bid_qty < usual.bid_qty / 3
        assert depth.ask_qty < usual.ask_qty / 3


@pytest.mark.parametrize("kind", sorted(DURATIONS))
def test_an_event_draws_on_its_own_minutes_alone(kind):
    arrays = [np.full(1440, 1e-4), np.full(1440, 1e-3), np.ones(1440), *np.zeros((3, 1440))]
    canvas = Canvas(*(array.copy() for array in arrays))
    start, length = 100, DURATIONS[kind]
    play(Event(kind, "BTCUSDT", start * MINUTE_MS, (start + length) * MINUTE_MS), canvas)
    outside = np.r_[0:start, start + length : 1440]
    for name, before in zip(Canvas.__slots__, arrays, strict=True):
        np.testing.assert_array_equal(getattr(canvas, name)[outside], before[outside])
    assert any((getattr(canvas, name) != before).any() for name, before in zip(Canvas.__slots__, arrays, strict=True))


def test_an_unknown_symbol_has_no_script(market):
    with pytest.raises(InvalidInput, match="does not know 'NOPEUSDT'"):
        market.events("NOPEUSDT", 0, 1)
