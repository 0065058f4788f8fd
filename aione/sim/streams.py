"""The WebSocket protocol without any I/O: routes, stream names, control messages and the limits of a connection.

`Session` is a pure state machine: text and a moment in, a `Step` out (what to answer, which streams began or ended,
whether to close). Everything is acknowledged, as on the real exchange; whether a stream delivers is decided by
`parse_stream` and `delivers`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import orjson

from aione.sim.options import SimOptions

POLICY_VIOLATION: Final = 1008


class Route(Enum):
    """Which family of streams an address serves."""

    MARKET = "market"
    PUBLIC = "public"
    UNROUTED = ""

    def delivers(self, spec: StreamSpec) -> bool:
        """Return whether a known stream that is asked for here ever sends anything.

        The address without a route serves public streams only and says nothing about the others.
        """
        return spec.is_market == (self is Route.MARKET)


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream name taken apart.

    Attributes
    ----------
    kind : str
        ``kline``, ``aggTrade``, ... ; ``!miniTicker`` for an all-market stream.
    symbol : str
        Upper case; empty for an all-market stream.
    argument : str
        Interval, number of levels; empty where the kind has none.
    period_ms : int
        Time between two pushes where the name chooses it, else 0.
    """

    kind: str
    symbol: str
    argument: str = ""
    period_ms: int = 0

    @property
    def is_market(self) -> bool:
        """Whether it belongs to the ``/market`` route."""
        return self.kind not in {"depth", "bookTicker", "trade"}


_KLINE_INTERVALS: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
_PLAIN: Final = ("aggTrade", "bookTicker", "trade", "miniTicker", "ticker", "forceOrder")
_DEPTH_SPEEDS: Final = {"": 250, "100ms": 100, "250ms": 250, "500ms": 500}
_MARK_SPEEDS: Final = {"": 3000, "1s": 1000}
_ALL: Final = {
    "!miniTicker@arr": StreamSpec("!miniTicker", ""),
    "!ticker@arr": StreamSpec("!ticker", ""),
    "!markPrice@arr": StreamSpec("!markPrice", "", period_ms=3000),
    "!markPrice@arr@1s": StreamSpec("!markPrice", "", period_ms=1000),
    "!forceOrder@arr": StreamSpec("!forceOrder", ""),
    "!contractInfo": StreamSpec("!contractInfo", ""),
}


def parse_stream(name: str) -> StreamSpec | None:
    """Return what a stream name means, or None for a name that will never deliver.

    Examples
    --------
    >>> parse_stream("btcusdt@kline_1m")
    StreamSpec(kind='kline', symbol='BTCUSDT', argument='1m', period_ms=0)
    >>> parse_stream("BTCUSDT@kline_1m") is None
    True
    """
    if name in _ALL:
        return _ALL[name]
    symbol, _, rest = name.partition("@")
    if not symbol or not rest or symbol != symbol.lower() or symbol.startswith("!"):
        return None
    kind, _, speed = rest.partition("@")
    owner = symbol.upper()
    if kind.startswith("kline_") and not speed:
        interval = kind.removeprefix("kline_")
        return StreamSpec("kline", owner, interval) if interval in _KLINE_INTERVALS else None
    if kind == "markPrice" and speed in _MARK_SPEEDS:
        return StreamSpec("markPrice", owner, period_ms=_MARK_SPEEDS[speed])
    if kind in {"depth", "depth5", "depth10", "depth20"} and speed in _DEPTH_SPEEDS:
        return StreamSpec("depth", owner, kind.removeprefix("depth"), _DEPTH_SPEEDS[speed])
    return StreamSpec(kind, owner) if kind in _PLAIN and not speed else None


@dataclass(slots=True)
class Step:
    """What one input led to.

    Attributes
    ----------
    reply : bytes or None
        Text to send back.
    close : (code, reason) or None
        The connection is to be closed; whatever else the step says is void.
    added, removed : list of str
        Streams that were not subscribed before, and that are no longer.
    """

    reply: bytes | None = None
    close: tuple[int, str] | None = None
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


class Session:
    """What one connection has asked for.

    Parameters
    ----------
    options : SimOptions
        ``max_streams`` and ``control_per_s``.
    is_combined : bool
        Whether data frames carry the stream's name.

    Examples
    --------
    >>> session = Session(SimOptions(), is_combined=False)
    >>> step = session.receive('{"method": "SUBSCRIBE", "params": ["Nonsense"], "id": 7}', now_s=0.0)
    >>> step.reply, step.added
    (b'{"result":null,"id":7}', ['Nonsense'])
    """

    def __init__(self, options: SimOptions, *, is_combined: bool) -> None:
        self.is_combined = is_combined
        self.names: dict[str, None] = {}
        self._options = options
        self._control: deque[float] = deque()

    def open(self, names: Iterable[str]) -> Step:
        """Subscribe to the streams that the address names."""
        return self._add([name for name in names if name])

    def control(self, now_s: float) -> Step:
        """Count one control message (JSON, ping or pong)."""
        while self._control and now_s - self._control[0] >= 1.0:
            self._control.popleft()
        self._control.append(now_s)
        if len(self._control) > self._options.control_per_s:
            return Step(close=(POLICY_VIOLATION, "Too many requests"))
        return Step()

    def receive(self, text: str | bytes, now_s: float) -> Step:
        """Take in a text frame."""
        step = self.control(now_s)
        if step.close:
            return step
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return Step(_error(3, f"Invalid JSON: {error}", None))
        if not isinstance(message, dict):
            return Step(_error(2, "Invalid request: expected an object", None))
        return self._act(message)

    def _act(self, message: dict[str, Any]) -> Step:
        number = message.get("id")
        if isinstance(number, bool) or not isinstance(number, int | str | None):
            return Step(_error(2, "Invalid request: request ID must be an unsigned integer or a string", None))
        method, params = message.get("method"), message.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return Step(_result(list(self.names), number))
        if method in {"GET_PROPERTY", "SET_PROPERTY"}:
            return self._property(method, params, number)
        if method not in {"SUBSCRIBE", "UNSUBSCRIBE"}:
            return Step(_error(2, f"Invalid request: unknown variant {method!r}", number))
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            return Step(_error(2, "Invalid request: params must be a list of strings", number))
        step = self._add(params) if method == "SUBSCRIBE" else self._remove(params)
        step.reply = _result(None, number)
        return step

    def _add(self, names: Iterable[str]) -> Step:
        added = [name for name in dict.fromkeys(names) if name not in self.names]
        if len(self.names) + len(added) > self._options.max_streams:
            return Step(close=(POLICY_VIOLATION, "Too many streams"))
        self.names.update(dict.fromkeys(added))
        return Step(added=added)

    def _remove(self, names: Iterable[str]) -> Step:
        removed = [name for name in dict.fromkeys(names) if name in self.names]
        for name in removed:
            del self.names[name]
        return Step(removed=removed)

    def _property(self, method: str, params: Any, number: int | str | None) -> Step:
        if method == "GET_PROPERTY" and params == ["combined"]:
            return Step(_result(self.is_combined, number))
        if method == "SET_PROPERTY" and isinstance(params, list) and len(params) == 2 and params[0] == "combined":
            self.is_combined = bool(params[1])
            return Step(_result(None, number))
        return Step(_error(0, f"Unknown property {params!r}", number))


def _result(result: Any, number: int | str | None) -> bytes:
    return orjson.dumps({"result": result, "id": number})


def _error(code: int, text: str, number: int | str | None) -> bytes:
    body = {"error": {"code": code, "msg": text}}
    return orjson.dumps(body if number is None else {**body, "id": number})


def text_frame(payload: bytes) -> bytes:
    r"""Return an unmasked, final text frame (RFC 6455, 5.2): the same bytes for every connection.

    Examples
    --------
    >>> text_frame(b"{}")
    b'\x81\x02{}'
    """
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def ping_frame(payload: bytes) -> bytes:
    """Return an unmasked ping frame; ``payload`` has at most 125 bytes."""
    return bytes((0x89, len(payload))) + payload


__all__ = [
    "POLICY_VIOLATION",
    "Route",
    "Session",
    "Step",
    "StreamSpec",
    "parse_stream",
    "ping_frame",
    "text_frame",
]
