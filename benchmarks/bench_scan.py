"""Time the minute's scan against TA-Lib called per symbol, side by side in one run.

Every round times, one after the other, so that a busy machine weighs on all alike:

- ``read``: summing the six arrays of the panel once, what memory alone allows
- ``talib``: the same indicators at the same parameters with a TA-Lib call wherever there is one, symbol by symbol, as
  such programs are written: each call gives the whole series, of which the last values are kept. What TA-Lib lacks is
  plain NumPy on the last bar's window alone (session VWAP, profile, median, quantile, resampling, pivots, efficiency)
- ``readings``: `compute_readings`
- ``scan``: `compute_readings`, `run_stage1` and `run_stage2`, from the panel in memory to the results

All in one thread. The daily levels, ranks of the universe and shapes of bars are only in ours. The
panel is a seeded random walk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import talib

from aione.indicators import Readings, compute_readings
from aione.panel import BarPanel, MarketSnapshot
from aione.stage1 import run_stage1
from aione.stage2 import run_stage2
from config.settings import load_settings

FIRST_OPEN_MS = 1_747_742_400_000


def random_walk(symbols: int, bars: int, seed: int = 7) -> BarPanel:
    """A market of random walks with one common factor, the benchmark first."""
    rng = np.random.default_rng(seed)
    steps = 1e-3 * (rng.standard_normal((symbols, bars)) + 0.5 * rng.standard_normal(bars))
    close = 100.0 * np.exp(np.cumsum(steps, axis=1))
    open_ = np.concatenate([np.full((symbols, 1), 100.0), close[:, :-1]], axis=1)
    high = np.maximum(open_, close) * (1.0 + 5e-4 * np.abs(rng.standard_normal((symbols, bars))))
    low = np.minimum(open_, close) * (1.0 - 5e-4 * np.abs(rng.standard_normal((symbols, bars))))
    volume = rng.lognormal(3.0, 1.0, (symbols, bars))
    return BarPanel(
        symbols=("BTCUSDT", *(f"S{i:04d}USDT" for i in range(1, symbols))),
        open_time_ms=FIRST_OPEN_MS + 60_000 * np.arange(bars),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=volume * close,
        taker_buy_volume=volume * rng.random((symbols, bars)),
        trade_count=np.ceil(volume),
        valid=np.ones((symbols, bars), dtype=np.bool_),
    )


# ── The other side ──


def frames(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> list[float]:
    values = []
    for minutes in (5, 15, 60, 240):
        n = len(close) // minutes
        h = high[-n * minutes :].reshape(n, minutes).max(axis=1)
        low_ = low[-n * minutes :].reshape(n, minutes).min(axis=1)
        c = np.ascontiguousarray(close[-n * minutes :].reshape(n, minutes)[:, -1])
        fast, slow = talib.EMA(c, min(20, n)), talib.EMA(c, min(50, n))
        values.append((fast[-1] - slow[-1]) / talib.ATR(h, low_, c, min(14, n - 1))[-1])
    return values


def profile(high: np.ndarray, low: np.ndarray, volume: np.ndarray, bins: int = 48) -> tuple[float, float]:
    h, low_, v = high[-1440:], low[-1440:], volume[-1440:]
    bottom, top = low_.min(), h.max()
    scale = 16 * bins / (top - bottom)
    first = np.minimum((low_ - bottom) * scale, 16 * bins - 1).astype(np.int64)
    last = np.minimum((h - bottom) * scale, 16 * bins - 1).astype(np.int64)
    share = v / (last - first + 1)
    steps = np.bincount(first, share, 16 * bins + 1) - np.bincount(last + 1, share, 16 * bins + 1)
    volumes = np.cumsum(steps)[:-1].reshape(bins, 16).sum(axis=1)
    return float(volumes.argmax()), float(np.sort(volumes).cumsum()[-1])


def pivots(x: np.ndarray, span: int = 3) -> np.ndarray:
    """Places of the confirmed pivot highs among the last 240 bars."""
    windows = np.lib.stride_tricks.sliding_window_view(x[-240:], 2 * span + 1)
    middle = windows[:, span]
    return (
        np.flatnonzero((middle > windows[:, :span].max(axis=1)) & (middle >= windows[:, span + 1 :].max(axis=1))) + span
    )


def divergence(x: np.ndarray, rsi: np.ndarray, atr: float) -> float:
    """Last pivot, and whether the last two of the last 60 bars disagree with RSI."""
    found = pivots(x)
    recent = found[found >= 180]
    if len(recent) < 2 or 239 - (recent[-1] + 3) > 5:
        return 0.0
    first, second = recent[-2] - 240, recent[-1] - 240
    return float(rsi[first] - rsi[second] >= 2.0 and x[second] - x[first] >= 0.25 * atr)


def slope_t(close: np.ndarray, n: int = 60) -> float:
    y = np.log(close[-n:])
    slope = talib.LINEARREG_SLOPE(y, n)[-1]
    spread = (n * n - 1.0) / 12.0
    return float(slope / np.sqrt((talib.VAR(y, n)[-1] / spread - slope * slope) / (n - 2)))


def talib_symbol(panel: BarPanel, s: int, benchmark: np.ndarray) -> list[float]:
    """One symbol; each call gives the whole series, of which the last value is kept."""
    high, low, close = panel.high[s], panel.low[s], panel.close[s]
    volume, quote, taker = panel.volume[s], panel.quote_volume[s], panel.taker_buy_volume[s]
    returns = np.diff(np.log(close))
    rsi = talib.RSI(close, 14)
    out = [
        rsi[-1],
        talib.ADX(high, low, close, 14)[-1],
        talib.PLUS_DI(high, low, close, 14)[-1],
        talib.MINUS_DI(high, low, close, 14)[-1],
        talib.TRANGE(high, low, close)[-1],
        talib.STDDEV(returns, 60)[-1],
        slope_t(close),
        abs(close[-1] - close[-61]) / np.abs(np.diff(close[-61:])).sum(),
        close[-1] / close[-16] - 1.0,
        close[-1] / close[-61] - 1.0,
        talib.BETA(close, benchmark, 240)[-1],
        talib.CORREL(returns, np.diff(np.log(benchmark)), 240)[-1],
    ]
    atr = talib.ATR(high, low, close, 14)
    atr_frac = atr / close
    out += [divergence(high, rsi, atr[-1]), divergence(-low, 100.0 - rsi, atr[-1])]
    out += [atr_frac[-1], float((atr_frac[-241:-1] < atr_frac[-1]).mean())]
    ratio = talib.STDDEV(returns, 15) / talib.STDDEV(returns, 240)
    out += [ratio[-1], float(np.quantile(ratio[-241:-1], 0.95))]
    for n in (20, 60):
        out += [talib.MAX(high, n)[-2], talib.MIN(low, n)[-2]]
    for n in (5, 30, 60):
        top, bottom = talib.MAX(high, n)[-240 + n - 1 :], talib.MIN(low, n)[-240 + n - 1 :]
        out += [((top - bottom) / bottom).max(), np.abs(talib.ROCP(close, n)[-240 + n :]).max()]
    out.append((quote[-1] - talib.SMA(quote, 50)[-2]) / talib.STDDEV(quote, 50)[-2])
    out.append(quote[-1] / float(np.median(quote[-51:-1])))
    flow = 2.0 * talib.SUM(taker, 5) / talib.SUM(volume, 5) - 1.0
    out.append((flow[-1] - talib.SMA(flow[5:], 240)[-2]) / talib.STDDEV(flow[5:], 240)[-2])
    typical, weight = talib.TYPPRICE(high, low, close)[-780:], volume[-780:]
    vwap = float(np.dot(typical, weight) / weight.sum())
    out += [vwap, (close[-1] - vwap) / float(np.sqrt(np.dot((typical - vwap) ** 2, weight) / weight.sum()))]
    out += [*frames(high, low, close), *profile(high, low, volume)]
    return out


def talib_panel(panel: BarPanel) -> list[list[float]]:
    return [talib_symbol(panel, s, panel.close[0]) for s in range(len(panel.symbols))]


# ── Ours ──


def market_of(panel: BarPanel) -> MarketSnapshot:
    ones = np.ones(len(panel.symbols))
    close = panel.close[:, -1]
    return MarketSnapshot.of(
        panel.symbols,
        tick_size=0.001 * ones,
        step_size=0.1 * ones,
        bid=close * 0.9999,
        ask=close * 1.0001,
        spread_frac=2e-4 * ones,
        spread_median_frac=2e-4 * ones,
        depth_bid_quote=2e5 * ones,
        depth_ask_quote=2e5 * ones,
        depth_median_quote=2e5 * ones,
    )


def read_once(panel: BarPanel) -> float:
    names = ("high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
    return float(sum(getattr(panel, name).sum() for name in names))


def contestants(panel: BarPanel) -> dict[str, Callable[[], object]]:
    settings = load_settings(environ={})
    params = settings.STAGE1_MONITOR_PARAMS.indicators
    market = market_of(panel)

    def readings() -> Readings:
        return compute_readings(panel, params)

    def scan() -> object:
        now = readings()
        alerts = run_stage1(now, market, settings, {})
        return run_stage2(panel, None, now, market, alerts, settings)

    return {
        "read": lambda: read_once(panel),
        "talib": lambda: talib_panel(panel),
        "readings": readings,
        "scan": scan,
    }


def measure(symbols: int, bars: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median, quartiles and fastest of each contestant in ms, and the medians' ratio to TA-Lib's."""
    runs = contestants(random_walk(symbols, bars))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(2):
        for name, run in runs.items():
            if name != "talib":
                run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    table = {}
    for name, taken in times.items():
        low, _, high = statistics.quantiles(taken, n=4)
        table[name] = {
            "median_ms": medians[name],
            "q1_ms": low,
            "q3_ms": high,
            "min_ms": min(taken),
            "times_faster_than_talib": medians["talib"] / medians[name],
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, nargs="+", default=[50, 500, 2000])
    parser.add_argument("--bars", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {symbols: measure(symbols, options.bars, options.rounds) for symbols in options.symbols}
    if options.json:
        print(json.dumps({"bars": options.bars, "rounds": options.rounds, "symbols": results}))
        return
    print(f"{options.bars} bars, {options.rounds} rounds; milliseconds")
    print(f"{'symbols':>8} {'what':<10} {'median':>9} {'q1':>9} {'q3':>9} {'min':>9} {'x TA-Lib':>9}")
    for symbols, table in results.items():
        for name, row in table.items():
            numbers = [row[key] for key in ("median_ms", "q1_ms", "q3_ms", "min_ms")]
            text = " ".join(f"{x:9.2f}" for x in numbers)
            print(f"{symbols:>8} {name:<10} {text} {row['times_faster_than_talib']:9.1f}")


if __name__ == "__main__":
    main()
