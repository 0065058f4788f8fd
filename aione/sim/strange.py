"""Messages that cannot be true, made of ones that are: what a client must refuse, and count, and not be moved by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

DAY_MS: Final = 86_400_000
OTHER: Final = "ETHUSDT"


def strange(payload: bytes, number: int) -> bytes:
    """Return the ``number``-th kind of nonsense, counted round and round, made of an event.

    Examples
    --------
    >>> strange(b'{"e":"bookTicker","s":"BTCUSDT","b":"1","a":"2"}', 0)
    b'{"e":"bookTicker","s":"BTC'
    """
    kinds = _OF_BARS if b'"kline"' in payload else _OF_ANY
    return kinds[number % len(kinds)](payload)


def _cut(payload: bytes) -> bytes:
    return payload[: len(payload) * 11 // 20]


def _nested(_payload: bytes) -> bytes:
    return b'{"e":' + b"[" * 400 + b"]" * 400 + b"}"


def _unknown(payload: bytes) -> bytes:
    return _changed(payload, lambda event: event.update(e="somethingNew"))


def _far_ahead(payload: bytes) -> bytes:
    return _changed(payload, lambda event: event.update(E=event["E"] + DAY_MS) if "E" in event else None)


def _bar(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    return lambda payload: _changed(payload, lambda event: change(event["k"]))


def _changed(payload: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    event = orjson.loads(payload)
    if isinstance(event, dict):
        change(event)
    return orjson.dumps(event)


def _of_another(payload: bytes) -> bytes:
    """Return the bar under another symbol's name, closed, with numbers that are not that symbol's."""

    def change(event: dict[str, Any]) -> None:
        event["s"] = event["k"]["s"] = OTHER if event["s"] != OTHER else "BTCUSDT"
        event["k"].update(x=True, o="7.00", h="8.00", l="6.00", c="7.00")

    return _changed(payload, change)


_OF_ANY: Final = (_cut, _nested, _unknown, _far_ahead)
_OF_BARS: Final = (
    _cut,
    _bar(lambda k: k.update(t=k["t"] + DAY_MS, x=True)),
    _of_another,
    _bar(lambda k: k.update(x=True, l="-1.00")),
    _nested,
    _bar(lambda k: k.update(t=k["t"] * 1000, x=True)),
    _bar(lambda k: k.update(i="5m", x=True)),
    _unknown,
    _bar(lambda k: k.update(x=True, t=k["t"] + 1)),
    _bar(lambda k: k.update(x=True, c="NaN")),
)

__all__ = ["strange"]
