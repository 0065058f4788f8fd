"""The same indicators with pandas, symbol by symbol, as notebooks and bots write them: columns, the last row kept.

`rolling` and `ewm` wherever they serve, `resample` for the higher timeframes, a NumPy histogram for the profile, a
centred rolling maximum for the pivots. The parameters are those of `config`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from aione.panel import BarPanel

WILDER = {"alpha": 1.0 / 14.0, "adjust": False, "min_periods": 14}


def frame_of(panel: BarPanel, s: int) -> pd.DataFrame:
    names = ("high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
    times = pd.to_datetime(panel.open_time_ms, unit="ms", utc=True)
    return pd.DataFrame({name: getattr(panel, name)[s] for name in names}, index=times)


def momentum(bars: pd.DataFrame) -> tuple[dict[str, float], pd.Series, pd.Series]:
    high, low, close = bars["high"], bars["low"], bars["close"]
    change, before = close.diff(), close.shift()
    up, down = change.clip(lower=0.0).ewm(**WILDER).mean(), (-change.clip(upper=0.0)).ewm(**WILDER).mean()
    rsi = 100.0 * up / (up + down)
    true_range = np.maximum(high, before) - np.minimum(low, before)
    atr = true_range.ewm(**WILDER).mean()
    rise, fall = high.diff(), -low.diff()
    plus = 100.0 * rise.where((rise > fall) & (rise > 0.0), 0.0).ewm(**WILDER).mean() / atr
    minus = 100.0 * fall.where((fall > rise) & (fall > 0.0), 0.0).ewm(**WILDER).mean() / atr
    adx = (100.0 * (plus - minus).abs() / (plus + minus)).ewm(**WILDER).mean()
    share = atr / close
    out = {
        "rsi": rsi.iloc[-1],
        "atr": atr.iloc[-1],
        "adx": adx.iloc[-1],
        "plus_di": plus.iloc[-1],
        "minus_di": minus.iloc[-1],
        "true_range": true_range.iloc[-1],
        "atr_percentile": (share.iloc[-241:-1] < share.iloc[-1]).mean(),
    }
    return out, rsi, atr


def divergence(x: pd.Series, rsi: pd.Series, atr: float) -> tuple[float, float]:
    """The last pivot of the last 240 bars, and whether the last two of the last 60 disagree with RSI."""
    recent = x.iloc[-240:]
    is_pivot = recent == recent.rolling(7, center=True).max()
    places = np.flatnonzero(is_pivot.to_numpy())
    last = recent.iloc[places[-1]] if len(places) else np.nan
    places = places[places >= 180]
    if len(places) < 2 or 239 - (places[-1] + 3) > 5:
        return last, 0.0
    first, second = places[-2] - 240, places[-1] - 240
    return last, float(rsi.iloc[first] - rsi.iloc[second] >= 2.0 and x.iloc[second] - x.iloc[first] >= 0.25 * atr)


def volume(bars: pd.DataFrame) -> dict[str, float]:
    quote, traded = bars["quote_volume"], bars["volume"]
    past = quote.shift().rolling(50)
    flow = 2.0 * bars["taker_buy_volume"].rolling(5).sum() / traded.rolling(5).sum() - 1.0
    usual = flow.shift().rolling(240, min_periods=216)
    session = bars.iloc[-780:]
    typical = (session["high"] + session["low"] + session["close"]) / 3.0
    weight = session["volume"]
    vwap = (typical * weight).sum() / weight.sum()
    spread = np.sqrt((weight * (typical - vwap) ** 2).sum() / weight.sum())
    return {
        "volume_z": ((quote - past.mean()) / past.std(ddof=0)).iloc[-1],
        "relative_volume": (quote / past.median()).iloc[-1],
        "taker_imbalance": flow.iloc[-1],
        "taker_imbalance_z": ((flow - usual.mean()) / usual.std(ddof=0)).iloc[-1],
        "vwap": vwap,
        "vwap_z": (bars["close"].iloc[-1] - vwap) / spread,
    }


def returns(bars: pd.DataFrame, market: pd.Series) -> dict[str, float]:
    close = bars["close"]
    moves = np.log(close).diff()
    ratio = moves.rolling(15).std(ddof=0) / moves.rolling(240).std(ddof=0)
    path = np.log(close.iloc[-60:].to_numpy())
    x = np.arange(60.0)
    slope, level = np.polyfit(x, path, 1)
    error = np.sqrt(((path - slope * x - level) ** 2).sum() / 58.0 / ((x - x.mean()) ** 2).sum())
    out = {
        "realized_vol": moves.rolling(60).std(ddof=0).iloc[-1],
        "vol_ratio": ratio.iloc[-1],
        "vol_ratio_p95": ratio.shift().rolling(240, min_periods=216).quantile(0.95).iloc[-1],
        "slope_t": slope / error,
        "beta_btc": (moves.rolling(240).cov(market) / market.rolling(240).var()).iloc[-1],
        "corr_btc": moves.rolling(240).corr(market).iloc[-1],
        "efficiency_ratio": (close.diff(60).abs() / close.diff().abs().rolling(60).sum()).iloc[-1],
        "return_15": close.pct_change(15).iloc[-1],
        "return_60": close.pct_change(60).iloc[-1],
    }
    for n in (5, 30, 60):
        top, bottom = bars["high"].rolling(n).max(), bars["low"].rolling(n).min()
        out[f"max_{n}bar_move"] = ((top - bottom) / bottom).iloc[-240 + n - 1 :].max()
        out[f"max_{n}bar_return"] = close.pct_change(n).abs().iloc[-240 + n :].max()
    for n in (20, 60):
        out[f"range_high_{n}"] = bars["high"].shift().rolling(n).max().iloc[-1]
        out[f"range_low_{n}"] = bars["low"].shift().rolling(n).min().iloc[-1]
    return out


def frames(bars: pd.DataFrame) -> list[float]:
    out = []
    for rule in ("5min", "15min", "60min", "240min"):
        longer = bars[["high", "low", "close"]].resample(rule).agg({"high": "max", "low": "min", "close": "last"})
        close, before = longer["close"], longer["close"].shift()
        span = (np.maximum(longer["high"], before) - np.minimum(longer["low"], before)).ewm(alpha=1.0 / 14.0).mean()
        out.append(((close.ewm(span=20).mean() - close.ewm(span=50).mean()) / span).iloc[-1])
    return out


def profile(bars: pd.DataFrame, bins: int = 48) -> tuple[float, float, float]:
    """Volume at the sixteenths of bins that each bar touches, and the value area."""
    recent = bars.iloc[-1440:]
    high, low, traded = (recent[name].to_numpy() for name in ("high", "low", "volume"))
    bottom, top = low.min(), high.max()
    scale = 16 * bins / (top - bottom)
    first = np.minimum((low - bottom) * scale, 16 * bins - 1).astype(np.int64)
    last = np.minimum((high - bottom) * scale, 16 * bins - 1).astype(np.int64)
    share = traded / (last - first + 1)
    steps = np.bincount(first, share, 16 * bins + 1) - np.bincount(last + 1, share, 16 * bins + 1)
    volumes = np.cumsum(steps)[:-1].reshape(bins, 16).sum(axis=1)
    poc = int(volumes.argmax())
    low_, high_, held = poc, poc, volumes[poc]
    while held < 0.7 * volumes.sum():
        above = volumes[high_ + 1] if high_ < bins - 1 else -1.0
        below = volumes[low_ - 1] if low_ > 0 else -1.0
        if above >= below:
            high_, held = high_ + 1, held + above
        else:
            low_, held = low_ - 1, held + below
    width = (top - bottom) / bins
    return bottom + (poc + 0.5) * width, bottom + (high_ + 1) * width, bottom + low_ * width


def pandas_symbol(panel: BarPanel, s: int, market: pd.Series) -> list[object]:
    bars = frame_of(panel, s)
    out, rsi, atr = momentum(bars)
    now = float(atr.iloc[-1])
    highs, lows = divergence(bars["high"], rsi, now), divergence(-bars["low"], 100.0 - rsi, now)
    return [out, highs, lows, volume(bars), returns(bars, market), frames(bars), profile(bars)]


def pandas_panel(panel: BarPanel) -> list[list[object]]:
    market = np.log(frame_of(panel, 0)["close"]).diff()
    return [pandas_symbol(panel, s, market) for s in range(len(panel.symbols))]
