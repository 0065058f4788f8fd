"""The feeds of the whole market: arrays of what changed, liquidations, contracts that come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from zlib import crc32

from aione.sim import wire
from aione.sim.desk import Instrument
from aione.sim.feed_base import Source, content, encode

USD_MARGINED: Final = 1
COIN_MARGINED: Final = 2


class AllFeed:
    """A push of all symbols: one JSON list of the rows that changed since the last one."""

    def __init__(
        self, source: Source, period_ms: int, event: Callable[[Instrument, int], Any], *, mixes_coin_margined: bool
    ) -> None:
        self.period_ms = period_ms
        self._source = source
        self._event = event
        self._mixes = mixes_coin_margined
        self._last: dict[str, Any] = {}

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield nothing (an empty payload) a symbol, and the list at the end."""
        rows: list[Any] = []
        listed = self._source.trading(now_ms)
        for instrument in listed:
            event = self._event(instrument, now_ms)
            fresh = content(event)
            if fresh != self._last.get(instrument.symbol):
                self._last[instrument.symbol] = fresh
                rows += self._rows(instrument, event)
            yield b""
        if rows:
            yield encode(rows)

    def _rows(self, instrument: Instrument, event: dict[str, Any]) -> list[dict[str, Any]]:
        if not self._mixes:
            return [event]
        rows = [{**event, "st": USD_MARGINED}]
        listing = instrument.listing
        is_twin = (
            listing.quote_asset == "USDT"
            and listing.contract_type == "PERPETUAL"
            and listing.symbol == f"{listing.base_asset}USDT"
        )
        if is_twin and listing.base_asset in self._source.options.coin_margined:
            rows.append({**event, "s": f"{listing.base_asset}USD_PERP", "st": COIN_MARGINED})
        return rows


class LiquidationFeed:
    """Now and then the last trade as a forced order: a sample, one a second at most, of one symbol or of all."""

    def __init__(self, source: Source, symbol: str) -> None:
        self.period_ms = 1000
        self._source = source
        self._symbol = symbol

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield a forced order for a symbol whose turn it is and which has traded within the second."""
        second = now_ms // 1000
        for instrument in self._source.trading(now_ms):
            if self._symbol not in {"", instrument.symbol}:
                continue
            lot = crc32(f"{instrument.symbol}{second}".encode())
            if lot % self._source.options.liquidation_every_s == 0:
                found = self._source.desk.trades(instrument.symbol, second * 1000 - 1001, second * 1000 - 1)
                if found:
                    yield encode(_forced_order(instrument, found[-1][1][-1].item(), now_ms))
            yield b""


class ContractFeed:
    """Contracts that were listed, left or changed their status (``!contractInfo``)."""

    def __init__(self, source: Source) -> None:
        self.period_ms = source.options.ticker_ms
        self._source = source
        self._known: dict[str, str] | None = None

    def produce(self, now_ms: int) -> Iterator[bytes]:
        """Yield one payload a change of status."""
        listed = self._source.desk.instruments(now_ms)
        status = {one.symbol: one.listing.status for one in listed.values()}
        before, self._known = self._known, status
        if before is None or before == status:
            return
        for symbol, now_is in status.items():
            if before.get(symbol) != now_is:
                listing = listed[symbol].listing
                yield encode(
                    {
                        "e": "contractInfo",
                        "E": now_ms,
                        "s": symbol,
                        "ps": symbol.split("_")[0],
                        "ct": listing.contract_type,
                        "dt": listing.delivery_ms,
                        "ot": listing.onboard_ms,
                        "cs": now_is,
                    }
                )


def _forced_order(one: Instrument, trade: tuple[int, float, float, bool], now_ms: int) -> dict[str, Any]:
    time_ms, price, quantity, is_maker = trade
    p, q = wire.fixed(price, one.price_decimals), wire.fixed(quantity, one.quantity_decimals)
    side = "SELL" if is_maker else "BUY"
    order = {"s": one.symbol, "S": side, "o": "LIMIT", "f": "IOC", "q": q, "p": p, "ap": p, "X": "FILLED"}
    return {"e": "forceOrder", "E": now_ms, "o": {**order, "l": q, "z": q, "T": time_ms}}


__all__ = ["COIN_MARGINED", "USD_MARGINED", "AllFeed", "ContractFeed", "LiquidationFeed"]
