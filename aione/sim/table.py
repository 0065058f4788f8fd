"""A market made once and looked up ever after: cheap enough for hundreds of fault schedules and for soak tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from aione.errors import InvalidInput
from aione.sim.market import (
    FUNDING_INTERVAL_MS,
    MINUTE_MS,
    SIM_BAR,
    SIM_TRADE,
    Bars,
    DepthLevel,
    Listing,
    Quote,
    Trades,
    aggregate,
    between,
)

DECIMALS: Final = 2
TICK: Final = 10.0**-DECIMALS
NEVER_DELIVERED_MS: Final = 10**13


class TableMarket:
    """Random walks of every symbol; a minute's bar grows evenly from its open to its whole. Nobody trades.

    Parameters
    ----------
    symbols : sequence of str
        Perpetuals quoted in USDT.
    start_ms : int
        Open time of the first bar.
    minutes : int
        Bars of each symbol; after the last one nothing forms.
    seed : int
    """

    def __init__(self, symbols: Sequence[str], start_ms: int, minutes: int, seed: int = 5) -> None:
        self.symbols = tuple(symbols)
        self._bars: dict[str, Bars] = {}
        for number, symbol in enumerate(self.symbols):
            self._bars[symbol] = walk(np.random.default_rng([seed, number]), start_ms, minutes)
        self._start_ms = start_ms
        self._seen: dict[str, tuple[int, Bars]] = {}

    def listings(self, now_ms: int) -> tuple[Listing, ...]:
        """Return every contract, each tradable for ever."""
        del now_ms
        return tuple(
            Listing(symbol, symbol.removesuffix("USDT"), "USDT", "PERPETUAL", "COIN", "TRADING", 1, NEVER_DELIVERED_MS,
                    str(TICK), "0.01", "5")
            for symbol in self.symbols
        )  # fmt: skip

    def bars(self, symbol: str, interval_ms: int, start_ms: int, end_ms: int) -> Bars:
        """Return whole bars with open times from ``start_ms`` to ``end_ms``."""
        rows = between(self._of(symbol), start_ms, end_ms + interval_ms - MINUTE_MS)
        return rows if interval_ms == MINUTE_MS else aggregate(rows, interval_ms)

    def forming(self, symbol: str, now_ms: int) -> Bars:
        """Return the minute's bar as of now, ``(1,)``, or nothing after the last one."""
        seen_ms, grown = self._seen.get(symbol, (-1, None))
        if grown is None or seen_ms != now_ms:
            grown = self._grow(symbol, now_ms)
            self._seen[symbol] = now_ms, grown
        return grown

    def trades(self, symbol: str, start_ms: int, end_ms: int) -> Trades:
        """Return nothing."""
        del start_ms, end_ms
        self._of(symbol)
        return np.empty(0, SIM_TRADE)

    def quote(self, symbol: str, now_ms: int) -> Quote:
        """Return a book one tick wide around the last price."""
        bar = self.forming(symbol, now_ms)
        price = float(bar["close"][0]) if len(bar) else 100.0
        depth = tuple(DepthLevel(frac, 100.0 * n, 100.0 * n) for n, frac in enumerate((0.001, 0.005, 0.02), start=1))
        next_funding_ms = (now_ms // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS
        return Quote(
            bid=price, bid_qty=5.0, ask=round(price + TICK, DECIMALS), ask_qty=5.0, mark=price, index=price,
            funding_rate=0.0001, next_funding_ms=next_funding_ms, open_interest=1000.0, depth=depth,
        )  # fmt: skip

    def _grow(self, symbol: str, now_ms: int) -> Bars:
        at = (now_ms - self._start_ms) // MINUTE_MS
        grown = self._of(symbol)[at : at + 1].copy() if at >= 0 else np.zeros(0, SIM_BAR)
        if len(grown):
            part = (now_ms % MINUTE_MS + 1) / MINUTE_MS
            for name in ("high", "low", "close"):
                grown[name] = np.round(grown["open"] + (grown[name] - grown["open"]) * part, DECIMALS)
            for name in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
                grown[name] = np.round(grown[name] * part, DECIMALS)
            grown["trade_count"] = (grown["trade_count"] * part).astype(np.int64)
        return grown

    def _of(self, symbol: str) -> Bars:
        if symbol not in self._bars:
            raise InvalidInput(f"no symbol {symbol}")
        return self._bars[symbol]


def walk(dice: np.random.Generator, start_ms: int, minutes: int) -> Bars:
    """Return ``minutes`` bars, prices on a grid of a hundredth, each low <= open, close <= high."""
    rows = np.zeros(minutes, SIM_BAR)
    close = np.round(100.0 + np.cumsum(dice.normal(0, 0.2, minutes)) % 50, DECIMALS)
    opened = np.concatenate(([100.0], close[:-1]))
    rows["open_time_ms"] = start_ms + MINUTE_MS * np.arange(minutes)
    rows["open"], rows["close"] = opened, close
    rows["high"] = np.round(np.maximum(opened, close) + dice.uniform(0, 0.3, minutes), DECIMALS)
    rows["low"] = np.round(np.minimum(opened, close) - dice.uniform(0, 0.3, minutes), DECIMALS)
    rows["volume"] = np.round(dice.uniform(10, 100, minutes), DECIMALS)
    rows["taker_buy_volume"] = np.round(rows["volume"] * dice.uniform(0.2, 0.8, minutes), DECIMALS)
    rows["quote_volume"] = np.round(rows["volume"] * close, DECIMALS)
    rows["taker_buy_quote_volume"] = np.round(rows["taker_buy_volume"] * close, DECIMALS)
    rows["trade_count"] = dice.integers(5, 500, minutes)
    return rows


__all__ = ["TableMarket", "walk"]
