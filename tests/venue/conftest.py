"""An exchange of a few lines over a real socket, whose answers a test can replace one by one."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from aione.venue.ledger import LocalLedger
from aione.venue.rest import BinanceRest
from aione.venue.weights import klines_weight
from config.models import VenueParams

STEPS_MS = {"1m": 60_000, "1d": 86_400_000}


@dataclass(frozen=True)
class Canned:
    """An answer that a test has prepared; ``promised`` is a Content-Length that the body does not keep."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None


class TinyExchange:
    """Serves time and klines; everything else must be prepared.

    Bar ``t`` of any symbol opens at ``1 + t % 97`` and closes one higher, so that a bar tells which one it is.
    """

    def __init__(self) -> None:
        self.offset_ms = 0
        self.frozen_ms: int | None = None
        self.listed_ms: dict[str, int] = {}
        self.halts: set[int] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, deque[Canned]] = {}
        self.headers: dict[str, str] = {}
        self.weight = 0
        self.url = ""

    def answer(self, path: str, *canned: Canned) -> None:
        self.answers.setdefault(path, deque()).extend(canned)

    def now_ms(self) -> int:
        return self.frozen_ms if self.frozen_ms is not None else int(time.time() * 1000) + self.offset_ms

    def klines(self) -> list[dict[str, str]]:
        """Return the parameters of every klines request so far."""
        return [params for path, params in self.asked if path == "/fapi/v1/klines"]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        params = dict(request.query)
        self.asked.append((request.path, params))
        waiting = self.answers.get(request.path)
        if waiting:
            canned = waiting.popleft()
            if canned.promised is not None:
                return await self._break_promise(request, canned)
            return web.Response(status=canned.status, body=canned.body, headers=canned.headers)
        if request.path == "/fapi/v1/time":
            return self._json({"serverTime": self.now_ms()}, 1)
        if request.path == "/fapi/v1/klines":
            return self._json(self._rows(params), klines_weight(int(params["limit"])))
        return web.Response(status=404, body=b"not here")

    async def _break_promise(self, request: web.Request, canned: Canned) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(canned.promised)})
        await response.prepare(request)
        await response.write(canned.body)
        request.transport.close()
        return response

    def _json(self, value: object, weight: int) -> web.Response:
        self.weight += weight
        return web.Response(body=json.dumps(value).encode(), headers=self.headers)

    def _rows(self, params: dict[str, str]) -> list[list[object]]:
        step = STEPS_MS[params["interval"]]
        last = min(int(params.get("endTime", self.now_ms())), self.now_ms()) // step * step
        first = int(params.get("startTime", last - step * (int(params["limit"]) - 1)))
        first = max(first, self.listed_ms.get(params["symbol"], 0))
        first = -(-first // step) * step
        times = [t for t in range(first, last + 1, step) if t not in self.halts][: int(params["limit"])]
        return [kline(t, step) for t in times]


def kline(open_ms: int, step_ms: int = 60_000) -> list[object]:
    price = 1 + open_ms // step_ms % 97
    o, h, lo, c = (f"{p:.4f}" for p in (price, price + 1.5, price - 0.5, price + 1))
    return [open_ms, o, h, lo, c, "10.0", open_ms + step_ms - 1, "105.5", 7, "4.0", "42.2", "0"]


@pytest.fixture
async def exchange() -> AsyncIterator[TinyExchange]:
    tiny = TinyExchange()
    app = web.Application()
    app.router.add_get("/{path:.*}", tiny.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    tiny.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield tiny
    await runner.cleanup()


@pytest.fixture
def ledger() -> LocalLedger:
    return LocalLedger(VenueParams())


@pytest.fixture
async def rest(exchange: TinyExchange, ledger: LocalLedger) -> AsyncIterator[BinanceRest]:
    async with BinanceRest(exchange.url, ledger, timeout_s=1.0) as client:
        yield client


@pytest.fixture
def canned() -> type[Canned]:
    return Canned


@pytest.fixture
def row():
    """A kline as the exchange sends it: ``row(open_ms, step_ms)``."""
    return kline
