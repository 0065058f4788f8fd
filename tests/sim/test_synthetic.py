"""The synthetic market: one history whatever is asked and in whatever order, and it looks like a market."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.sim.market import DAY_MS, MINUTE_MS, aggregate
from aione.sim.synthetic import SyntheticMarket
from aione.sim.synthetic_bars import HABIT
from aione.sim.synthetic_catalog import (
    LIFE_DAYS,
    NON_ASCII,
    SETTLING_MS,
    coin_profiles,
    quarter_ends,
    quarterly_profile,
    visitor_profile,
    visitor_symbol,
)

DAY = 20_775
NOW_MS = DAY * DAY_MS + 9 * 3_600_000
MONTH_MS = 30 * DAY_MS
COINS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(20)


@pytest.fixture(scope="module")
def month(market):
    """Thirty days of minutes of a few coins."""
    return {symbol: market.bars(symbol, MINUTE_MS, NOW_MS - MONTH_MS, NOW_MS) for symbol in COINS}


# ── One history ──

questions = st.lists(
    st.tuples(
        st.sampled_from(["BTCUSDT", "SOLUSDT", NON_ASCII, "BTCUSDC", "OLDUSDT", visitor_symbol(DAY - 3)]),
        st.sampled_from([MINUTE_MS, 5 * MINUTE_MS, 3_600_000, DAY_MS]),
        st.integers(-9_000, 3_000),
        st.integers(0, 2_000),
    ),
    min_size=2,
    max_size=8,
)


@given(questions)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_the_order_of_questions_changes_nothing(market, asked):
    """A fresh market that is asked backwards answers what one that has been asked a lot does."""
    ranges = [
        (symbol, step, NOW_MS + at * MINUTE_MS, NOW_MS + (at + length) * MINUTE_MS)
        for symbol, step, at, length in asked
    ]
    fresh = SyntheticMarket(20)
    backwards = [fresh.bars(*one) for one in reversed(ranges)][::-1]
    for one, answer in zip(ranges, backwards, strict=True):
        np.testing.assert_array_equal(market.bars(*one), answer)


def test_another_process_has_the_same_bars(market):
    program = (
        "from aione.sim.synthetic import SyntheticMarket\n"
        f"m = SyntheticMarket(50); b = m.bars('SOLUSDT', 60000, {NOW_MS - 900 * MINUTE_MS}, {NOW_MS})\n"
        f"print(b.tobytes().hex(), m.quote('SOLUSDT', {NOW_MS + 1234}))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    here = market.bars("SOLUSDT", MINUTE_MS, NOW_MS - 900 * MINUTE_MS, NOW_MS)
    assert out == f"{here.tobytes().hex()} {market.quote('SOLUSDT', NOW_MS + 1234)}"


def test_another_seed_is_another_market(market):
    other = SyntheticMarket(20, seed=8).bars("SOLUSDT", MINUTE_MS, NOW_MS, NOW_MS + DAY_MS)
    assert (other["close"] != market.bars("SOLUSDT", MINUTE_MS, NOW_MS, NOW_MS + DAY_MS)["close"]).mean() > 0.9


def test_a_symbol_does_not_depend_on_how_many_others_are_listed(market):
    alone = SyntheticMarket(3).bars("ETHUSDT", MINUTE_MS, NOW_MS, NOW_MS + DAY_MS)
    np.testing.assert_array_equal(alone, market.bars("ETHUSDT", MINUTE_MS, NOW_MS, NOW_MS + DAY_MS))


def test_the_past_is_the_same_whether_or_not_the_future_was_asked(market):
    fresh = SyntheticMarket(20)
    before = fresh.bars("XRPUSDT", MINUTE_MS, NOW_MS - DAY_MS, NOW_MS)
    fresh.bars("XRPUSDT", MINUTE_MS, NOW_MS, NOW_MS + 20 * DAY_MS)
    np.testing.assert_array_equal(fresh.bars("XRPUSDT", MINUTE_MS, NOW_MS - DAY_MS, NOW_MS), before)
    np.testing.assert_array_equal(market.bars("XRPUSDT", MINUTE_MS, NOW_MS - DAY_MS, NOW_MS), before)


# ── Bars ──


@pytest.mark.parametrize("symbol", COINS)
def test_bars_are_sound(month, market, symbol):
    bars = month[symbol]
    tick = float(next(row.tick_size for row in market.listings(NOW_MS) if row.symbol == symbol))
    np.testing.assert_array_equal(np.diff(bars["open_time_ms"]), MINUTE_MS)
    assert (bars["low"] <= np.minimum(bars["open"], bars["close"])).all()
    assert (bars["high"] >= np.maximum(bars["open"], bars["close"])).all()
    assert (bars["low"] > 0).all()
    assert (bars["volume"] > 0).all()
    assert ((bars["taker_buy_volume"] >= 0) & (bars["taker_buy_volume"] <= bars["volume"])).all()
    assert (bars["taker_buy_quote_volume"] <= bars["quote_volume"]).all()
    assert (bars["trade_count"] >= 1).all()
    average = bars["quote_volume"] / bars["volume"]
    assert ((average >= bars["low"] * (1 - 1e-9)) & (average <= bars["high"] * (1 + 1e-9))).all()
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(bars[name] / tick, np.round(bars[name] / tick), atol=1e-4)
        assert all(len(repr(value)) < 14 for value in bars[name][:200].tolist()), (
            "a price is written with its tick's decimals"
        )


@pytest.mark.parametrize("symbol", COINS)
def test_a_bar_opens_where_the_last_one_closed_midnight_too(month, symbol):
    bars = month[symbol]
    np.testing.assert_array_equal(bars["open"][1:], bars["close"][:-1])
    moves = np.abs(np.diff(np.log(bars["close"])))
    midnight = bars["open_time_ms"][1:] % DAY_MS == 0
    assert midnight.sum() == 30
    assert np.median(moves[midnight]) < 3 * np.median(moves)
    assert moves[midnight].max() < 12 * moves.std()


def test_longer_bars_are_made_of_the_minutes(market):
    for interval in (5 * MINUTE_MS, 3_600_000, 14_400_000, DAY_MS, 7 * DAY_MS):
        made = market.bars("SOLUSDT", interval, NOW_MS - 20 * DAY_MS, NOW_MS - 2 * DAY_MS)
        minutes = market.bars("SOLUSDT", MINUTE_MS, NOW_MS - 28 * DAY_MS, NOW_MS + 8 * DAY_MS)
        expected = aggregate(minutes, interval)
        inside = (expected["open_time_ms"] >= NOW_MS - 20 * DAY_MS) & (expected["open_time_ms"] <= NOW_MS - 2 * DAY_MS)
        assert len(made)
        if interval <= DAY_MS:
            np.testing.assert_array_equal(made, expected[inside])
        for name in made.dtype.names:
            np.testing.assert_allclose(made[name], expected[inside][name], rtol=1e-12)


def test_both_ends_of_the_range_are_inside(market):
    start = NOW_MS // MINUTE_MS * MINUTE_MS
    assert len(market.bars("BTCUSDT", MINUTE_MS, start, start + 10 * MINUTE_MS)) == 11
    assert len(market.bars("BTCUSDT", MINUTE_MS, start + 1, start + 10 * MINUTE_MS - 1)) == 9
    assert len(market.bars("BTCUSDT", DAY_MS, start, start)) == 0
    assert len(market.bars("BTCUSDT", MINUTE_MS, start, start - 1)) == 0


# ── Statistics ──


@pytest.mark.parametrize("symbol", COINS)
def test_returns_have_fat_tails_and_clusters(month, symbol):
    returns = np.diff(np.log(month[symbol]["close"]))
    size = np.abs(returns)
    kurtosis = ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2
    assert kurtosis > 8
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.1
    assert np.corrcoef(size[60:], size[:-60])[0, 1] > 0.03
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.35
    assert 2e-4 < returns.std() < 3e-3


def test_coins_move_with_bitcoin(month):
    btc = np.diff(np.log(month["BTCUSDT"]["close"]))
    found = [np.corrcoef(btc, np.diff(np.log(month[symbol]["close"])))[0, 1] for symbol in COINS[1:]]
    assert min(found) > 0.25
    assert np.mean(found) > 0.35
    assert max(found) < 0.95


def rank(values):
    return np.argsort(np.argsort(values))


def test_volume_follows_the_size_of_the_move_and_takers_its_sign(month):
    for bars in month.values():
        returns = np.log(bars["close"] / bars["open"])
        assert np.corrcoef(rank(np.abs(returns)), rank(bars["quote_volume"]))[0, 1] > 0.3
        imbalance = 2 * bars["taker_buy_volume"] / bars["volume"] - 1
        assert np.corrcoef(returns, imbalance)[0, 1] > 0.3


def test_the_day_has_its_busy_hours(month):
    assert HABIT.mean() == pytest.approx(1.0, abs=1e-12)
    hour = month["BTCUSDT"]["open_time_ms"] // 3_600_000 % 24
    volume = month["BTCUSDT"]["quote_volume"]
    by_hour = np.array([np.median(volume[hour == one]) for one in range(24)])
    assert by_hour[13:17].mean() > 1.5 * by_hour[2:6].mean()


def test_prices_stay_near_their_level_for_years(market):
    for symbol in COINS:
        profile = next(row for row in coin_profiles(20, 7) if row.symbol == symbol)
        for year in range(4):
            at = NOW_MS + year * 365 * DAY_MS
            close = float(market.bars(symbol, MINUTE_MS, at, at)["close"][0])
            assert 0.3 < close / profile.price < 3.0


def test_liquidity_is_spread_from_billions_to_little():
    turnover = [row.daily_turnover for row in coin_profiles(400, 7)]
    assert turnover == sorted(turnover, reverse=True)
    assert turnover[0] > 5e9
    assert turnover[-1] < 1e7
    market = SyntheticMarket(400)
    for row in (coin_profiles(400, 7)[0], coin_profiles(400, 7)[-1]):
        traded = market.bars(row.symbol, DAY_MS, NOW_MS - 20 * DAY_MS, NOW_MS - DAY_MS)["quote_volume"].mean()
        assert traded == pytest.approx(row.daily_turnover, rel=0.5)


# ── Listings ──


def test_a_listing_has_the_coins_and_what_must_be_kept_out(market):
    rows = {row.symbol: row for row in market.listings(NOW_MS)}
    assert len(rows) == len(market.listings(NOW_MS))
    assert NON_ASCII in rows
    assert {"PERPETUAL", "TRADIFI_PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER"} == {
        r.contract_type for r in rows.values()
    }
    assert {"USDT", "USDC", "USD"} == {row.quote_asset for row in rows.values()}
    assert {"COIN", "EQUITY", "COMMODITY", "INDEX"} == {row.underlying_type for row in rows.values()}
    assert any(0 <= NOW_MS - row.onboard_ms <= DAY_MS for row in rows.values()), "a contract that is a day old"
    assert all(float(row.tick_size) > 0 and float(row.step_size) > 0 for row in rows.values())
    assert all("e" not in row.tick_size for row in rows.values())


@pytest.mark.parametrize("symbols", [1, 4, 5, 60, 1000])
def test_there_are_as_many_coins_as_asked_for(symbols):
    names = [row.symbol for row in coin_profiles(symbols, 7)]
    assert len(set(names)) == symbols
    assert "BTCUSDT" in names
    assert (NON_ASCII in names) == (symbols >= 5)


def test_every_listed_symbol_has_bars_quote_and_trades(market):
    for row in market.listings(NOW_MS):
        if row.status == "TRADING":
            assert len(market.bars(row.symbol, MINUTE_MS, NOW_MS, NOW_MS)) == 1
            assert len(market.forming(row.symbol, NOW_MS + 5_000)) == 1
        quote = market.quote(row.symbol, NOW_MS)
        assert 0 < quote.bid < quote.ask


def test_dead_symbols_are_flat_and_trade_nothing(market):
    bars = market.bars("OLDUSDT", MINUTE_MS, NOW_MS - DAY_MS, NOW_MS)
    assert len(set(bars["close"])) == 1
    assert bars["volume"].sum() == bars["trade_count"].sum() == 0
    assert len(market.trades("OLDUSDT", NOW_MS, NOW_MS + DAY_MS // 24)) == 0
    assert market.events("OLDUSDT", NOW_MS - DAY_MS, NOW_MS) == []


def test_a_contract_is_listed_traded_settled_and_gone(market):
    life = visitor_profile(7, DAY)
    symbol, born, dead = life.symbol, life.onboard_ms, life.delivery_ms
    assert dead - born == LIFE_DAYS * DAY_MS

    def status(at):
        return next((row.status for row in market.listings(at) if row.symbol == symbol), None)

    seen = [status(at) for at in (born - 7 * 3_600_000, born - 1, born, dead - 1, dead, dead + SETTLING_MS)]
    assert seen == [None, "PENDING_TRADING", "TRADING", "TRADING", "SETTLING", None]
    bars = market.bars(symbol, MINUTE_MS, born - DAY_MS, dead + DAY_MS)
    assert (bars["open_time_ms"][0], bars["open_time_ms"][-1]) == (born, dead - MINUTE_MS)
    days = market.bars(symbol, DAY_MS, born - DAY_MS, dead + DAY_MS)
    np.testing.assert_array_equal(days, aggregate(bars, DAY_MS))
    assert {"listing", "delisting"} <= {event.kind for event in market.events(symbol, born, dead)}
    assert len(market.forming(symbol, dead + 1)) == 0
    assert market.quote(symbol, dead + 1).bid > 0


def test_one_contract_leaves_every_day(market):
    for day in range(DAY, DAY + 30):
        ends = [visitor_profile(7, one).delivery_ms // DAY_MS for one in range(day - 8, day + 1)]
        assert day in ends
        kinds = [row.status for row in market.listings(day * DAY_MS) if row.symbol.startswith("VISIT")]
        assert kinds.count("TRADING") >= 5


def test_quarterlies_are_delivered_on_the_last_friday():
    for quarter in range(12):
        current, following = quarter_ends(NOW_MS + quarter * 92 * DAY_MS)
        assert current < following
        assert {current.weekday(), following.weekday()} == {4}
        assert current.month % 3 == 0
        assert current.day >= 24
    assert quarterly_profile(7, "BTCUSDT_261225") is not None
    for name in ("BTCUSDT_261218", "BTCUSDT_269999", "SOLUSDT_261225", "BTCUSDT_26122", "BTCUSDT"):
        assert quarterly_profile(7, name) is None


def test_a_quarterly_has_bars_until_its_delivery(market):
    end = int(quarter_ends(NOW_MS)[0].timestamp() * 1000)
    symbol = next(row.symbol for row in market.listings(NOW_MS) if row.contract_type == "CURRENT_QUARTER")
    bars = market.bars(symbol, MINUTE_MS, end - 3_600_000, end + 3_600_000)
    assert bars["open_time_ms"][-1] == end - MINUTE_MS
    assert symbol not in {row.symbol for row in market.listings(end)}


# ── Ticks ──


def test_forming_bar_and_trades_lead_to_the_bar(market):
    at = NOW_MS // MINUTE_MS * MINUTE_MS
    bar = market.bars("ETHUSDT", MINUTE_MS, at, at)
    assert market.forming("ETHUSDT", at + MINUTE_MS - 1) == bar
    tape = market.trades("ETHUSDT", at, at + MINUTE_MS - 1)
    assert tape["quantity"].sum() == pytest.approx(bar["volume"][0], rel=1e-9)
    assert tape["price"].max() == bar["high"][0]


def test_the_quote_is_around_the_last_price(market):
    for second in range(0, 60, 7):
        at = NOW_MS + second * 1000
        last = market.forming("SOLUSDT", at)["close"][0]
        quote = market.quote("SOLUSDT", at)
        assert quote.bid <= last <= quote.ask
        assert (quote.ask - quote.bid) / last < 0.002


# ── Refusals and cost ──


@pytest.mark.parametrize("symbols", [0, -1, 1001])
def test_the_number_of_symbols_is_bounded(symbols):
    with pytest.raises(InvalidInput, match=f"1 to 1000 symbols, asked for {symbols}"):
        SyntheticMarket(symbols)


@pytest.mark.parametrize(
    "symbol", ["NOPEUSDT", "btcusdt", "VISITUSDT", "VISITABUSDT", "VISIT~USDT", "", "BTCUSDT_261218"]
)
def test_an_unknown_symbol_is_refused_everywhere(market, symbol):
    for ask in (
        lambda: market.bars(symbol, MINUTE_MS, 0, 1),
        lambda: market.forming(symbol, 0),
        lambda: market.trades(symbol, 0, 1),
        lambda: market.quote(symbol, 0),
        lambda: market.events(symbol, 0, 1),
    ):
        with pytest.raises(InvalidInput, match="does not know"):
            ask()


def test_an_odd_interval_is_refused(market):
    with pytest.raises(InvalidInput, match="interval_ms"):
        market.bars("BTCUSDT", 90_000, 0, 1)


def test_it_is_quick():
    """Budgets are several times what a quiet machine needs: they catch a change of order, not noise."""
    market = SyntheticMarket(60)
    market.bars("BTCUSDT", DAY_MS, NOW_MS - 35 * DAY_MS, NOW_MS)
    start = time.process_time()
    market.bars("SOLUSDT", DAY_MS, NOW_MS - 35 * DAY_MS, NOW_MS)
    daily = time.process_time() - start
    market.bars("SOLUSDT", MINUTE_MS, NOW_MS - 1500 * MINUTE_MS, NOW_MS)
    start = time.process_time()
    market.bars("SOLUSDT", MINUTE_MS, NOW_MS - 1500 * MINUTE_MS, NOW_MS)
    minutes = time.process_time() - start
    assert daily < 0.3
    assert minutes < 0.05


def test_memory_is_bounded():
    market = SyntheticMarket(5)
    for back in range(40):
        at = NOW_MS - back * 10 * DAY_MS
        market.bars("BTCUSDT", MINUTE_MS, at - 12 * DAY_MS, at)
    assert len(market._days) <= market._days_kept
    assert len(market._model._factor) <= 400
