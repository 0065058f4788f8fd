"""Stage1 on real bar panels, through the indicators: what a chart shows is what fires."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.indicators.readings import compute_readings
from aione.panel import DAY_MS, MINUTE_MS, BarPanel, MarketSnapshot
from aione.stage1 import run_stage1

BARS = 480
LAST_MS = 1_750_000_000_000 // DAY_MS * DAY_MS + 6 * 60 * MINUTE_MS
SYMBOLS = ("BTCUSDT", "AUSDT", "BUSDT")
A = 1


class Chart:
    """A quiet market round 100 (each symbol its own noise) whose symbol A is then drawn by hand."""

    def __init__(self, seed: int = 5) -> None:
        rng = np.random.default_rng(seed)
        shape = (len(SYMBOLS), BARS)
        close = 100.0 + 0.3 * np.sin(np.arange(BARS) / 40.0) + rng.normal(0.0, 0.05, shape)
        self.close = close
        self.open = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
        self.wick = rng.uniform(0.02, 0.05, shape)
        self.volume = rng.lognormal(3.0, 0.2, shape)
        self.bought = rng.normal(0.5, 0.05, shape)

    def path(self, *closes: float) -> Chart:
        """Draw A's last closes; each bar opens where the one before closed."""
        self.close[A, -len(closes) :] = closes
        self.open[A, 1:] = self.close[A, :-1]
        return self

    def rising(self, bars: int, step: float) -> Chart:
        start = self.close[A, -bars - 1]
        return self.path(*(start + step * np.arange(1, bars + 1)))

    def panel(self) -> BarPanel:
        high = np.maximum(self.open, self.close) + self.wick
        low = np.minimum(self.open, self.close) - self.wick
        return BarPanel(
            symbols=SYMBOLS,
            open_time_ms=LAST_MS - MINUTE_MS * np.arange(BARS - 1, -1, -1, dtype=np.int64),
            open=self.open,
            high=high,
            low=low,
            close=self.close,
            volume=self.volume,
            quote_volume=self.volume * self.close,
            taker_buy_volume=self.volume * self.bought,
            trade_count=np.round(self.volume),
            valid=np.ones(high.shape, dtype=np.bool_),
        )


def upside_down(panel: BarPanel) -> BarPanel:
    """Reflect prices at 100; what was bought is sold."""
    return replace(
        panel,
        open=200.0 - panel.open,
        high=200.0 - panel.low,
        low=200.0 - panel.high,
        close=200.0 - panel.close,
        taker_buy_volume=panel.volume - panel.taker_buy_volume,
    )


def daily_of(high: float, low: float, close: float) -> BarPanel:
    days = 30
    flat = {"open": close, "high": high, "low": low, "close": close}
    shape = (len(SYMBOLS), days)
    return BarPanel(
        symbols=SYMBOLS,
        open_time_ms=LAST_MS // DAY_MS * DAY_MS - DAY_MS * np.arange(days, 0, -1, dtype=np.int64),
        **{name: np.full(shape, value) for name, value in flat.items()},
        **{name: np.full(shape, 1e6) for name in ("volume", "quote_volume", "taker_buy_volume", "trade_count")},
        valid=np.ones(shape, dtype=np.bool_),
        interval_ms=DAY_MS,
    )


def stage1(panel, settings, *, daily=None, states=None, market=None):
    readings = compute_readings(panel, settings.STAGE1_MONITOR_PARAMS.indicators, daily)
    return run_stage1(readings, market or MarketSnapshot.of(panel.symbols), settings, states or {})


def test_a_quiet_market_has_no_alert(settings):
    found = stage1(Chart().panel(), settings)
    assert found.scored.all()
    assert not found.alert.any()
    assert set(found.reasons(A)) <= {"near_high", "near_low", "bullish_div", "bearish_div", "volatility_burst"}


def _surge(chart: Chart) -> Chart:
    chart.volume[A, -1] *= 10.0
    return chart


def _bought(chart: Chart) -> Chart:
    chart.bought[A, -5:] = 0.95
    return chart


def _wide(chart: Chart) -> Chart:
    chart.wick[A, -1] = 2.0
    return chart


def _at_the_top(chart: Chart) -> Chart:
    """Close just below the highest high of the 20 bars before, coming from below."""
    top = (np.maximum(chart.open, chart.close) + chart.wick)[A, -22:-2].max()
    return chart.path(top - 0.05, top - 0.01)


def _divergence(chart: Chart) -> Chart:
    """A steep rise to a first top, a rest, then a slow climb to a slightly higher one, seen three bars later."""
    first = 100.0 + np.cumsum(np.full(12, 0.35))
    rest = first[-1] - np.cumsum(np.full(10, 0.12))
    second = np.linspace(rest[-1], first[-1] + 0.4, 20)[1:]
    return chart.path(*first, *rest, *second, second[-1] - 0.2, second[-1] - 0.3, second[-1] - 0.4)


DRAWN = {
    "volume_spike": (_surge, None),
    "bull_vol_spike": (lambda chart: _bought(_surge(chart.rising(1, 0.1))), "bear_vol_spike"),
    "volatility_burst": (_wide, "volatility_burst"),
    "breakout_up": (lambda chart: chart.rising(1, 1.5), "breakout_down"),
    "near_high": (_at_the_top, "near_low"),
    "rsi_overbought": (lambda chart: chart.rising(30, 0.1), "rsi_oversold"),
    "bearish_div": (_divergence, "bullish_div"),
    "vwap_deviation": (lambda chart: chart.rising(1, 3.0), "vwap_deviation"),
    "order_imbalance": (_bought, "order_imbalance"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_fires_for_that_symbol_and_upside_down_for_the_other_side(name, settings):
    draw, twin = DRAWN[name]
    panel = draw(Chart()).panel()
    quiet, drawn = stage1(Chart().panel(), settings), stage1(panel, settings)
    assert name not in quiet.reasons(A)
    assert name in drawn.reasons(A)
    assert drawn.reasons(0) == quiet.reasons(0)
    assert drawn.reasons(2) == quiet.reasons(2)
    if twin:
        turned = stage1(upside_down(panel), settings)
        assert twin in turned.reasons(A)
        assert turned.triggers[twin].side[A] == -drawn.triggers[name].side[A]
        assert turned.triggers[twin].strength[A] == pytest.approx(drawn.triggers[name].strength[A], rel=0.02)


def test_daily_levels_are_approached_from_their_own_side(settings):
    chart = Chart().path(100.0, 100.4)
    close = chart.close[A, -1]
    above = stage1(chart.panel(), settings, daily=daily_of(close + 0.01, 90.0, 91.0))
    assert "near_daily_resistance" in above.reasons(A)
    assert "near_daily_support" not in above.reasons(A)
    chart = Chart().path(100.0, 99.6)
    below = stage1(chart.panel(), settings, daily=daily_of(110.0, chart.close[A, -1] - 0.01, 109.0))
    assert "near_daily_support" in below.reasons(A)
    assert "near_daily_resistance" not in below.reasons(A)


def test_a_thin_book_fires_without_any_bar(settings):
    panel = Chart().panel()
    book = {"spread_frac": 0.01, "spread_median_frac": 0.001}
    market = MarketSnapshot.of(panel.symbols, **{name: np.full(3, value) for name, value in book.items()})
    assert "liquidity_gap" in stage1(panel, settings, market=market).reasons(A)


def test_a_breakout_with_volume_is_an_alert_of_its_side(settings):
    panel = _bought(_surge(Chart().rising(1, 1.5))).panel()
    found, turned = stage1(panel, settings), stage1(upside_down(panel), settings)
    assert found.alert.tolist() == turned.alert.tolist() == [False, True, False]
    assert (found.side[A], turned.side[A]) == (1, -1)


# ── Time ──


def _replay(panel, settings, bars):
    """Stage1 bar by bar, each bar knowing only what had closed by then."""
    states, results = {}, []
    for stop in range(BARS - bars + 1, BARS + 1):
        found = stage1(panel.until(stop), settings, states=states)
        states = found.states
        results.append(found)
    return results


def test_the_past_is_the_same_whatever_comes_after(settings):
    drawn, other = _bought(_surge(Chart().path(101.5, 103.0, 99.0))).panel(), Chart().panel()
    both = _replay(drawn, settings, 25), _replay(other, settings, 25)
    for first, second in zip(*(results[:-5] for results in both), strict=True):
        np.testing.assert_array_equal(first.evidence, second.evidence)
        assert dict(first.states) == dict(second.states)
    assert both[0][-1].alert[A]
    assert not both[1][-1].alert[A]


def test_an_alert_announces_itself_once_while_it_lasts(settings):
    results = _replay(Chart().rising(12, 0.25).panel(), settings, 25)
    alert = np.array([found.alert[A] for found in results])
    announced = np.array([found.announced[A] for found in results])
    begins = alert & ~np.concatenate([[False], alert[:-1]])
    assert alert.any()
    assert (announced <= begins).all()
    assert announced.sum() == 1


def test_a_missing_last_bar_is_never_an_alert(settings):
    panel = _bought(_surge(Chart().rising(1, 1.5))).panel()
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count"):
        getattr(panel, name)[A, -1] = np.nan
    panel.valid[A, -1] = False
    found = stage1(panel, settings)
    assert found.scored.tolist() == [True, False, True]
    assert not found.alert.any()


def test_too_little_history_is_never_an_alert(settings):
    panel = _bought(_surge(Chart().rising(1, 1.5))).panel()
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trade_count"):
        getattr(panel, name)[A, : BARS // 5] = np.nan
    panel.valid[A, : BARS // 5] = False
    assert stage1(panel, settings).scored.tolist() == [True, False, True]


@pytest.mark.parametrize("bars", [1, 2, 5])
def test_a_panel_of_few_bars_is_no_alert_and_no_error(settings, bars):
    found = stage1(Chart().panel().tail(bars), settings)
    assert not found.alert.any()


def test_a_flat_market_is_no_alert(settings):
    panel = Chart().panel()
    flat = {name: np.full_like(panel.close, 100.0) for name in ("open", "high", "low", "close")}
    found = stage1(replace(panel, **flat, volume=np.full_like(panel.close, 7.0)), settings)
    assert not found.alert.any()
