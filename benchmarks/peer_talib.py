"""The same indicators with TA-Lib, symbol by symbol: a call wherever there is one, elsewhere NumPy on the window."""

from __future__ import annotations

import numpy as np
import talib

from aione.panel import BarPanel


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
