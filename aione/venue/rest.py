"""`BinanceRest`: the exchange's REST endpoints, one try each, typed replies, errors named by what to do next.

1. A request reserves its weight in the ledger, which waits for the budget and for holds.
2. It is sent once. Retrying is the caller's: a flow's task, or `aione.venue.history.preload`.
3. The reply's own count of used weight corrects the ledger.
4. 429, 418 and their like put every process on hold before the error is raised.
5. The body is decoded into typed rows; the exchange's names and strings end here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import httpx
from numpy.typing import NDArray

from aione.errors import InvalidInput, RateLimited
from aione.venue import weights, wire
from aione.venue.clock import CLOCK_LIFE_S, OTHER_CLOCK_MS, ServerClock, set_budget_clock
from aione.venue.errors_map import reply_error, venue_errors
from aione.venue.ledger import Priority, WeightLedger
from aione.venue.weights import Budget
from aione.venue.wire_bars import decode_klines, interval_ms
from aione.venue.wire_contracts import decode_exchange_info
from config.models import SymbolInfo

log = logging.getLogger(__name__)

USED_WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
USED_DIGITS: Final = 9
"""A longer count of used weight is no count."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A success: its body, headers, and when it was asked for and received (monotonic seconds)."""

    body: bytes
    headers: Mapping[str, str]
    sent_s: float
    received_s: float


@dataclass(slots=True)
class _Line:
    """What all views of one client share."""

    client: httpx.AsyncClient | None = None
    clock_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    measured_s: float = -CLOCK_LIFE_S


class BinanceRest:
    """A client of one exchange address; an async context manager.

    Parameters
    ----------
    base_url : str
        ``https://fapi.binance.com``, or a simulated exchange's.
    ledger : WeightLedger
        Shared by everybody who sends from this address.
    timeout_s : float
        To connect, to send and between two parts of an answer; a whole answer may take twice as long.
    transport : httpx transport, optional
        Replaces the network.

    Notes
    -----
    Every method but `server_time` may raise any `VenueError`; see `aione.venue.errors_map` for which means what.
    HTTP/2 is used where the server offers it.
    """

    def __init__(
        self,
        base_url: str,
        ledger: WeightLedger,
        *,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise InvalidInput(f"rest_url must start with http:// or https://, was {base_url!r}")
        self.base_url = base_url.rstrip("/")
        self.clock = ServerClock()
        self._ledger = ledger
        self._timeout_s = timeout_s
        self._transport = transport
        self._line = _Line()
        self._priority = Priority.SCREEN

    @property
    def ledger(self) -> WeightLedger:
        """Return the ledger in which every request is booked."""
        return self._ledger

    def at(self, priority: Priority) -> BinanceRest:
        """Return the same client, whose requests have this priority."""
        view = copy(self)
        view._priority = priority  # noqa: SLF001  # a copy of this one
        return view

    async def __aenter__(self) -> Self:
        self._line.client = httpx.AsyncClient(
            base_url=self.base_url,
            http2=True,
            timeout=self._timeout_s,
            transport=self._transport,
            verify=self.base_url.startswith("https://"),  # certificates are loaded only where they are used
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line.client is not None:
            await self._line.client.aclose()
            self._line.client = None

    # ── The exchange itself ──

    async def ping(self) -> None:
        """Ask for nothing, to see that the exchange answers."""
        await self._get("/fapi/v1/ping", {}, weights.PING)

    async def server_time(self) -> int:
        """Return the exchange's time, UTC epoch milliseconds, and set the clocks by it.

        A reading that contradicts the one before is asked for once more, and the second counts: the exchange's clock
        may have been set, but one absurd reply must not close a bar that is still forming.
        """
        server_ms, reply = await self._read_time()
        if self.clock.known_ms is not None:
            off_ms = self.clock.off_ms(server_ms, sent_s=reply.sent_s, received_s=reply.received_s)
            if off_ms > OTHER_CLOCK_MS:
                log.warning("the exchange's clock leapt by %.1f s, to %d; asking again", off_ms / 1000, server_ms)
                server_ms, reply = await self._read_time()
        self._line.measured_s = reply.received_s
        self.clock.measured(server_ms, sent_s=reply.sent_s, received_s=reply.received_s)
        date = reply.headers.get("date", "")
        set_budget_clock(self._ledger.clock, server_ms, date, sent_s=reply.sent_s, received_s=reply.received_s)
        return server_ms

    async def _read_time(self) -> tuple[int, Reply]:
        path = "/fapi/v1/time"
        reply = await self._get(path, {}, weights.TIME)
        return wire.decode(reply.body, wire.SERVER_TIME, what=f"GET {path}").server_time_ms, reply

    async def exchange_info(self) -> list[SymbolInfo]:
        """Return every contract that has usable trading rules; the others are logged."""
        path = "/fapi/v1/exchangeInfo"
        reply = await self._get(path, {}, weights.EXCHANGE_INFO)
        infos, refused = decode_exchange_info(reply.body, what=f"GET {path}")
        if refused:
            log.warning("contracts without usable trading rules left out: %s", refused)
        return infos

    # ── Bars ──

    async def klines(
        self, symbol: str, interval: str, *, limit: int, start_ms: int | None = None, end_ms: int | None = None
    ) -> NDArray[Any]:
        """Return closed bars as `BAR_RECORD` rows, oldest first, confirmed by REST.

        Parameters
        ----------
        symbol : str
        interval : str
            ``1m`` to ``12h``, ``1d``.
        limit : int
            Bars, 1 to 1500; sets the weight.
        start_ms, end_ms : int, optional
            First and last open time, inclusive. Without ``start_ms`` the newest bars.

        Notes
        -----
        A bar is closed when the exchange's clock, read before the request, had reached its end. That reading is
        renewed when a bar may have closed since; it costs one more weight, at most once a bar and process.
        """
        step_ms = interval_ms(interval)
        weight = weights.klines_weight(limit)
        known_ms = await self._know_time(step_ms, end_ms)
        params = {"symbol": symbol, "interval": interval, "limit": limit, "startTime": start_ms, "endTime": end_ms}
        path = "/fapi/v1/klines"
        reply = await self._get(path, params, weight)
        bars = decode_klines(reply.body, interval, what=f"GET {path} {symbol} {interval}")
        return bars[bars["open_time_ms"] + step_ms <= known_ms]

    async def _know_time(self, step_ms: int, end_ms: int | None) -> float:
        """Return a time that the exchange's clock has reached, in the bar that is forming now.

        Who asks for a bar up to ``end_ms`` believes it closed: a reading from before its end is renewed. It is asked
        for at the highest priority, whoever asks: everybody else waits for it.
        """
        async with self._line.clock_lock:
            known_ms = self.clock.known_ms
            is_old = self.clock.monotonic_s() - self._line.measured_s > CLOCK_LIFE_S
            last_ms = self.clock.now_ms() if end_ms is None else max(self.clock.now_ms(), end_ms + step_ms)
            if known_ms is None or is_old or last_ms // step_ms > known_ms // step_ms:
                known_ms = await self.at(Priority.HEAL).server_time()
            return known_ms

    # ── The whole market in one request ──

    async def tickers_24h(self) -> list[wire.Ticker24h]:
        """Return the last 24 hours of every trading symbol."""
        path = "/fapi/v1/ticker/24hr"
        reply = await self._get(path, {}, weights.TICKERS_24H)
        return wire.decode(reply.body, wire.TICKERS_24H, what=f"GET {path}")

    async def book_tickers(self) -> list[wire.BookTicker]:
        """Return the best bid and ask of every symbol."""
        path = "/fapi/v1/ticker/bookTicker"
        reply = await self._get(path, {}, weights.BOOK_TICKERS)
        return wire.decode(reply.body, wire.BOOK_TICKERS, what=f"GET {path}")

    async def premium_index(self) -> list[wire.PremiumIndex]:
        """Return mark price, index price and funding of every symbol."""
        path = "/fapi/v1/premiumIndex"
        reply = await self._get(path, {}, weights.PREMIUM_INDEX)
        return wire.decode(reply.body, wire.PREMIUM_INDEX, what=f"GET {path}")

    # ── One symbol ──

    async def open_interest(self, symbol: str) -> wire.OpenInterest:
        """Return a symbol's open contracts, in base."""
        path = "/fapi/v1/openInterest"
        reply = await self._get(path, {"symbol": symbol}, weights.OPEN_INTEREST)
        return wire.decode(reply.body, wire.OPEN_INTEREST, what=f"GET {path} {symbol}")

    async def depth(self, symbol: str, limit: int) -> wire.Depth:
        """Return a symbol's order book; ``limit`` is 5, 10, 20, 50, 100, 500 or 1000 rows a side."""
        path = "/fapi/v1/depth"
        reply = await self._get(path, {"symbol": symbol, "limit": limit}, weights.depth_weight(limit))
        return wire.decode(reply.body, wire.DEPTH, what=f"GET {path} {symbol}")

    async def open_interest_hist(
        self,
        symbol: str,
        period: str = "5m",
        *,
        limit: int = 30,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[wire.OpenInterestPoint]:
        """Return the history of a symbol's open interest, at most 500 points of at most a month."""
        path = "/futures/data/openInterestHist"
        params = {"symbol": symbol, "period": period, "limit": limit, "startTime": start_ms, "endTime": end_ms}
        reply = await self._get(path, params, 1, weights.DATA_BUDGET)
        return wire.decode(reply.body, wire.OPEN_INTEREST_HIST, what=f"GET {path} {symbol}")

    async def funding_rate(
        self, symbol: str, *, limit: int = 100, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[wire.FundingRate]:
        """Return a symbol's past funding settlements, at most 1000."""
        path = "/fapi/v1/fundingRate"
        params = {"symbol": symbol, "limit": limit, "startTime": start_ms, "endTime": end_ms}
        reply = await self._get(path, params, 1, weights.FUNDING_BUDGET)
        return wire.decode(reply.body, wire.FUNDING_RATE, what=f"GET {path} {symbol}")

    # ── One try ──

    async def _get(self, path: str, params: Mapping[str, Any], weight: int, budget: Budget | None = None) -> Reply:
        if self._line.client is None:
            raise InvalidInput("BinanceRest is used inside `async with`")
        what = f"GET {path}" + (f" {params['symbol']}" if "symbol" in params else "")
        sent = {name: value for name, value in params.items() if value is not None}
        window = await self._ledger.reserve(weight, budget, priority=self._priority)
        sent_s = self.clock.monotonic_s()
        with venue_errors(what):
            async with asyncio.timeout(2 * self._timeout_s):
                response = await self._line.client.get(path, params=sent)
        received_s = self.clock.monotonic_s()
        used = used_weight(response.headers)
        if budget is None and used is not None:
            await self._ledger.observe(used, window)
        if not response.is_success:
            now_ms = self._ledger.clock.now_ms()
            error = reply_error(response.status_code, response.headers, response.content, what=what, now_ms=now_ms)
            if isinstance(error, RateLimited):
                await self._ledger.hold(error.retry_after_s)
            raise error
        return Reply(response.content, response.headers, sent_s, received_s)


def used_weight(headers: Mapping[str, str]) -> int | None:
    """Return the exchange's count of the minute's weight; None where the header is missing or is no such count."""
    said = headers.get(USED_WEIGHT_HEADER, "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) <= USED_DIGITS else None


__all__ = ["BinanceRest", "Reply"]
