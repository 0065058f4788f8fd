"""A small market made once: cheap to ask, so that hundreds of schedules can be played."""

from __future__ import annotations

import numpy as np

from aione.errors import InvalidInput
from aione.sim.market import MINUTE_MS, SIM_BAR, SIM_TRADE, DepthLevel, Listing, Quote, aggregate, between

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
DECIMALS = 2


class TableMarket:
    """Random walks from ``start_ms`` on for every symbol; a minute's bar grows evenly from its open to its whole."""

    def __init__(self, start_ms, minutes, seed=5):
        self._bars = {}
        for number, symbol in enumerate(SYMBOLS):
            self._bars[symbol] = walk(np.random.default_rng([seed, number]), start_ms, minutes)
        self._rows = {symbol: {row[0]: row for row in bars.tolist()} for symbol, bars in self._bars.items()}
        self._seen = {}

    def listings(self, now_ms):
        return [
            Listing(symbol, symbol[:-4], "USDT", "PERPETUAL", "COIN", "TRADING", 1, 10**13, "0.01", "0.01", "5")
            for symbol in SYMBOLS
        ]

    def bars(self, symbol, interval_ms, start_ms, end_ms):
        rows = between(self._of(symbol), start_ms, end_ms + interval_ms - MINUTE_MS)
        return rows if interval_ms == MINUTE_MS else aggregate(rows, interval_ms)

    def forming(self, symbol, now_ms):
        if self._seen.get(symbol, (None,))[0] != now_ms:
            self._seen[symbol] = now_ms, self._grow(symbol, now_ms)
        return self._seen[symbol][1]

    def _grow(self, symbol, now_ms):
        open_ms = now_ms // MINUTE_MS * MINUTE_MS
        part = (now_ms - open_ms + 1) / MINUTE_MS
        grown = np.zeros(1, SIM_BAR)
        whole = self._rows[symbol].get(open_ms)
        if whole is None:
            return grown[:0]
        _, opened, *prices, volume, quote_volume, buy, buy_quote, trades = whole
        grown[0] = (
            open_ms,
            opened,
            *(round(opened + (price - opened) * part, DECIMALS) for price in prices),
            *(round(total * part, DECIMALS) for total in (volume, quote_volume, buy, buy_quote)),
            int(trades * part),
        )
        return grown

    def trades(self, symbol, start_ms, end_ms):
        self._of(symbol)
        return np.empty(0, SIM_TRADE)

    def quote(self, symbol, now_ms):
        bar = self.forming(symbol, now_ms)
        price = float(bar["close"][0]) if len(bar) else 100.0
        depth = tuple(DepthLevel(frac, 100.0 * n, 100.0 * n) for n, frac in enumerate((0.001, 0.005, 0.02), start=1))
        return Quote(
            bid=price, bid_qty=5.0, ask=round(price + 0.01, 2), ask_qty=5.0, mark=price, index=price,
            funding_rate=0.0001, next_funding_ms=now_ms // 28_800_000 * 28_800_000 + 28_800_000,
            open_interest=1000.0, depth=depth,
        )  # fmt: skip

    def _of(self, symbol):
        if symbol not in self._bars:
            raise InvalidInput(f"no symbol {symbol}")
        return self._bars[symbol]


def walk(rng, start_ms, minutes):
    """Return ``minutes`` bars, prices on a grid of a hundredth, each low <= open, close <= high."""
    rows = np.zeros(minutes, SIM_BAR)
    close = np.round(100.0 + np.cumsum(rng.normal(0, 0.2, minutes)) % 50, DECIMALS)
    opened = np.concatenate(([100.0], close[:-1]))
    rows["open_time_ms"] = start_ms + MINUTE_MS * np.arange(minutes)
    rows["open"], rows["close"] = opened, close
    rows["high"] = np.round(np.maximum(opened, close) + rng.uniform(0, 0.3, minutes), DECIMALS)
    rows["low"] = np.round(np.minimum(opened, close) - rng.uniform(0, 0.3, minutes), DECIMALS)
    rows["volume"] = np.round(rng.uniform(10, 100, minutes), DECIMALS)
    rows["taker_buy_volume"] = np.round(rows["volume"] * rng.uniform(0.2, 0.8, minutes), DECIMALS)
    rows["quote_volume"] = np.round(rows["volume"] * close, DECIMALS)
    rows["taker_buy_quote_volume"] = np.round(rows["taker_buy_volume"] * close, DECIMALS)
    rows["trade_count"] = rng.integers(5, 500, minutes)
    return rows


__all__ = ["SYMBOLS", "TableMarket"]
