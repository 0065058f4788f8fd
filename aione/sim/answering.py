"""Answering REST requests, whoever brings them: the server over a socket, or a test in the same process.

What happens to a request, in order: a fault may hold it back or answer it; the line's latency passes; its weight is
charged and may be refused; its answer is made on the market's thread; a fault may cut the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from aione.sim.clock import Clock
from aione.sim.desk import Desk
from aione.sim.faults import Banned, Faults, HttpError, RateLimited
from aione.sim.limits import WEIGHT, Limits, Refusal, ban_text
from aione.sim.options import SimOptions
from aione.sim.rest import ENDPOINTS, Ask, Endpoint, Rejected

_log = logging.getLogger(__name__)
WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-1M"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class RestDesk:
    """Answers requests within the limits of each address, and as the faults want it.

    Parameters
    ----------
    desk : Desk
    faults : Faults
    limits : Limits
    clock : Clock
        The market's moment.
    options : SimOptions

    Attributes
    ----------
    requests : Counter of (path, status)
    """

    def __init__(self, desk: Desk, faults: Faults, limits: Limits, clock: Clock, options: SimOptions) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self._desk = desk
        self._faults = faults
        self._limits = limits
        self._clock = clock
        self._options = options

    async def answer(self, method: str, path: str, query: Mapping[str, str], address: str) -> Answer:
        """Answer one request of ``address``, and count it."""
        answer = await self._answer(method, path, query, address)
        self.requests[path if path in ENDPOINTS else "(unknown path)", answer.status] += 1
        return answer

    async def _answer(self, method: str, path: str, query: Mapping[str, str], address: str) -> Answer:
        endpoint = ENDPOINTS.get(path) if method == "GET" else None
        hang_s = self._faults.hang_s(path) + self._options.latency_s
        if hang_s:
            await asyncio.sleep(hang_s)
        broken = self._faults.reply(path)
        if broken is not None:
            return self._broken(broken, address)
        refusal = self._charge(endpoint, query, address)
        if refusal is not None:
            headers = {**self._weight_header(endpoint, address), "Retry-After": str(refusal.retry_after_s)}
            return _json({"code": -1003, "msg": refusal.message}, refusal.status, headers)
        headers = self._weight_header(endpoint, address)
        if endpoint is None:
            return _json({"code": -5000, "msg": f"Path {path}, Method {method} is invalid"}, 404, headers)
        try:
            body = await self._make(endpoint, query)
        except Rejected as rejected:
            return _json({"code": rejected.code, "msg": rejected.msg}, 400, headers)
        except Exception as error:  # noqa: BLE001 - see below
            # Any market may be plugged in; its failure is answered as the exchange answers its own.
            _log.exception("%s %s could not be answered", path, dict(query), exc_info=error)
            msg = "An unknown error occurred while processing the request."
            return _json({"code": -1000, "msg": msg}, 500, headers)
        keep_frac = self._faults.keeps_frac(path)
        if keep_frac is not None and isinstance(rows := orjson.loads(body), list):
            body = orjson.dumps(rows[: int(len(rows) * keep_frac)])
        if self._faults.is_truncated(path):
            body = body[: len(body) // 2]
        return Answer(200, body, headers)

    async def _make(self, endpoint: Endpoint, query: Mapping[str, str]) -> bytes:
        ask = Ask(self._desk, dict(query), self._clock.now_ms(), self._options.weight_limit)

        def whole() -> bytes | Iterator[Any]:
            value = endpoint.answer(ask)
            return value if isinstance(value, Iterator) else orjson.dumps(value)

        answer = await self._desk.run(whole)
        if isinstance(answer, bytes):
            return answer
        rows = await self._desk.gather(answer)
        return orjson.dumps(rows)

    def _charge(self, endpoint: Endpoint | None, query: Mapping[str, str], address: str) -> Refusal | None:
        budget, cost = (endpoint.budget, endpoint.cost(query)) if endpoint else (WEIGHT, 1)
        return self._limits.charge(address, budget, cost)

    def _weight_header(self, endpoint: Endpoint | None, address: str) -> dict[str, str]:
        if endpoint is not None and not endpoint.shows_weight:
            return {}
        return {WEIGHT_HEADER: str(self._limits.used_weight(address))}

    def _broken(self, fault: HttpError | RateLimited | Banned, address: str) -> Answer:
        headers = self._weight_header(None, address)
        if isinstance(fault, HttpError):
            if fault.status >= 500 and fault.code is None:
                return Answer(fault.status, b"<html>upstream error</html>", headers, "text/plain")
            return _json({"code": fault.code or -1000, "msg": fault.msg}, fault.status, headers)
        headers["Retry-After"] = str(fault.retry_after_s)
        if isinstance(fault, Banned):
            text = ban_text(address, self._limits.now_ms() + 1000 * fault.retry_after_s)
            return _json({"code": -1003, "msg": text}, 418, headers)
        return _json({"code": -1003, "msg": "Too many requests."}, 429, headers)


def _json(value: Any, status: int, headers: dict[str, str]) -> Answer:
    return Answer(status, orjson.dumps(value), headers)


__all__ = ["WEIGHT_HEADER", "Answer", "RestDesk"]
