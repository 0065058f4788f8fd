"""A market of a few lines, exact by construction, and servers of it; the tests of the server need no other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.sim.clock import ManualClock
from aione.sim.market import DEPTH_FRACS, MINUTE_MS, SIM_BAR, SIM_TRADE, DepthLevel, Listing, Quote, aggregate
from aione.sim.options import SimOptions
from aione.sim.server import SimServer

NOON_MS = 1_779_278_400_000
"""2026-05-20 12:00 UTC."""
ONBOARD_MS = NOON_MS - 3 * 86_400_000
OUTAGE = range(NOON_MS // MINUTE_MS - 40, NOON_MS // MINUTE_MS - 30)
"""Ten minutes (since the epoch) in which OUTUSDT has no bars."""


def _listing(symbol: str, base: str, **other: str | int) -> Listing:
    known: dict[str, Any] = {
        "quote_asset": "USDT",
        "contract_type": "PERPETUAL",
        "underlying_type": "COIN",
        "status": "TRADING",
        "onboard_ms": ONBOARD_MS,
        "delivery_ms": 4_133_404_800_000,
        "tick_size": "0.10",
        "step_size": "0.001",
        "min_notional": "100",
    }
    return Listing(symbol=symbol, base_asset=base, **{**known, **other})


class TinyMarket:
    """Every symbol trades once a second, except those that rest; all numbers follow from the moment."""

    def __init__(self) -> None:
        self.rows = [
            _listing("BTCUSDT", "BTC"),
            _listing("ETHUSDT", "ETH", tick_size="0.01"),
            _listing("OUTUSDT", "OUT"),
            _listing("RESTUSDT", "REST"),
            _listing("币安USDT", "币安", tick_size="0.0001", step_size="1", min_notional="5"),
            _listing("GONEUSDT", "GONE", status="SETTLING"),
            _listing("BTCUSDT_261225", "BTC", contract_type="CURRENT_QUARTER"),
        ]

    def listings(self, now_ms: int) -> Sequence[Listing]:
        return [row for row in self.rows if row.onboard_ms <= now_ms]

    def _trades(self, symbol: str, first_minute: int, last_minute: int) -> np.ndarray:
        """All trades of whole minutes, 60 a minute."""
        row = next((row for row in self.rows if row.symbol == symbol), None)
        if row is None:
            raise InvalidInput(f"unknown symbol {symbol}")
        first = max(first_minute, row.onboard_ms // MINUTE_MS)
        place = np.arange(first * 60, max(first, last_minute + 1) * 60)
        if symbol == "RESTUSDT":
            place = place[:0]
        if symbol == "OUTUSDT":
            minute = place // 60
            place = place[(minute < OUTAGE[0]) | (minute > OUTAGE[-1])]
        out = np.empty(len(place), dtype=SIM_TRADE)
        out["time_ms"] = place * 1000 + 500
        out["price"] = 1000 + (place * 7 % 31) * float(row.tick_size)
        out["quantity"] = 1 + place % 4
        out["is_buyer_maker"] = place % 3 == 0
        return out

    @staticmethod
    def _bars(trades: np.ndarray, per_bar: int) -> np.ndarray:
        out = np.zeros(len(trades) // per_bar if per_bar else 0, dtype=SIM_BAR)
        if len(out):
            price, quantity = (trades[name].reshape(-1, per_bar) for name in ("price", "quantity"))
            bought = quantity * ~trades["is_buyer_maker"].reshape(-1, per_bar)
            out["open_time_ms"] = trades["time_ms"][::per_bar] // MINUTE_MS * MINUTE_MS
            out["open"], out["close"] = price[:, 0], price[:, -1]
            out["high"], out["low"] = price.max(axis=1), price.min(axis=1)
            out["volume"], out["quote_volume"] = quantity.sum(axis=1), (price * quantity).sum(axis=1)
            out["taker_buy_volume"] = bought.sum(axis=1)
            out["taker_buy_quote_volume"] = (price * bought).sum(axis=1)
            out["trade_count"] = per_bar
        return out

    def bars(self, symbol: str, interval_ms: int, start_ms: int, end_ms: int) -> np.ndarray:
        first = -(-start_ms // interval_ms) * interval_ms
        last = end_ms // interval_ms * interval_ms + interval_ms - MINUTE_MS
        minutes = self._bars(self._trades(symbol, first // MINUTE_MS, last // MINUTE_MS), 60)
        return aggregate(minutes, interval_ms)

    def forming(self, symbol: str, now_ms: int) -> np.ndarray:
        minute = now_ms // MINUTE_MS
        trades = self._trades(symbol, minute, minute)
        seen = trades[trades["time_ms"] <= now_ms]
        return self._bars(seen, len(seen))

    def trades(self, symbol: str, start_ms: int, end_ms: int) -> np.ndarray:
        rows = self._trades(symbol, start_ms // MINUTE_MS, end_ms // MINUTE_MS)
        return rows[(rows["time_ms"] >= start_ms) & (rows["time_ms"] <= end_ms)]

    def quote(self, symbol: str, now_ms: int) -> Quote:
        moves = 0 if symbol == "RESTUSDT" else now_ms // 500 % 5
        bid = 1000.0 + moves * 0.1
        depth = tuple(DepthLevel(frac, 1000 * frac * 100, 900 * frac * 100) for frac in DEPTH_FRACS)
        next_funding_ms = (now_ms // 28_800_000 + 1) * 28_800_000
        rate = next_funding_ms // 28_800_000 % 7 / 10_000
        return Quote(bid, 2.0, bid + 0.2, 3.0, bid + 0.1, bid + 0.05, rate, next_funding_ms, 5000.0 + moves, depth)


@pytest.fixture
def market() -> TinyMarket:
    return TinyMarket()


@pytest.fixture
def clock() -> ManualClock:
    """20 s into a minute."""
    return ManualClock(NOON_MS + 20_000)


Starter = Callable[..., Awaitable[SimServer]]


@pytest.fixture
async def start(market: TinyMarket, clock: ManualClock) -> AsyncIterator[Starter]:
    """Start servers with options; they end with the test."""
    running: list[SimServer] = []

    async def begin(**options: Any) -> SimServer:
        quick = {"tick_s": 0.01, "kline_ms": 20, "book_ticker_ms": 20, "trade_ms": 20, "ticker_ms": 50}
        chosen = SimOptions(**{**quick, **options})
        running.append(await SimServer(market, clock=clock, options=chosen))
        return running[-1]

    yield begin
    for server in running:
        await server.close()


@pytest.fixture
async def sim(start: Starter) -> SimServer:
    return await start()


@pytest.fixture
async def rest(sim: SimServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=False, base_url=sim.rest_url, timeout=5.0) as client:
        yield client


@pytest.fixture
def fault() -> Callable[..., Awaitable[Any]]:
    """Ask a server for a fault through its control endpoint."""

    async def ask(server: SimServer, name: str, **fields: Any) -> Any:
        async with httpx.AsyncClient(verify=False, base_url=server.rest_url) as client:
            reply = await client.post("/sim/faults", content=json.dumps({"fault": name, **fields}))
            assert reply.status_code == 200, reply.text
            return reply.json()[0]

    return ask


@pytest.fixture
def noon_ms() -> int:
    return NOON_MS
