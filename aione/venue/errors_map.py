"""From what the exchange or the network answered to the error tree: what to do next, decided in one place.

The first row that fits; the status comes before the code, for a body may say anything.

| answer | error | because |
|---|---|---|
| 451 | `RequestRejected` | the region is barred; no wait helps |
| 429, 418, 403, 503; codes -1003 -1008 -1015 | `RateLimited` | every process must hold |
| 408, other 5xx; codes -1000 -1001 -1006 -1007 -1016 | `VenueUnavailable` | it may pass |
| code -1021 | `ClockSkewed` | our clock |
| codes -1121, -4141 | `SymbolRejected` | the symbol is gone |
| any other status | `RequestRejected` | our request is wrong |
| refused, lost, timed out | `VenueUnavailable` | it may pass |
| a body that ends early or is not JSON | `TruncatedReply` | it may pass; a second time it is `MalformedReply` to all |
| JSON of another form | `MalformedReply` | the wire format changed |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import httpx
import msgspec

from aione.errors import (
    ClockSkewed,
    MalformedReply,
    RateLimited,
    RequestRejected,
    SymbolRejected,
    VenueError,
    VenueUnavailable,
)
from aione.venue.clock import date_ms

HOLD_CODES: Final = frozenset({-1003, -1008, -1015})
PASSING_CODES: Final = frozenset({-1000, -1001, -1006, -1007, -1016})
SYMBOL_CODES: Final = frozenset({-1121, -4141})
CLOCK_CODE: Final = -1021
HOLD_S: Final = {429: 60.0, 418: 120.0, 403: 120.0, 503: 2.0}
"""How long to hold when the exchange does not say; 60 s for a status that is not here."""

LONGEST_BAN_S: Final = 3 * 86_400.0
"""The exchange bans for three days at the most; a longer hold was misread."""
REGION_BARRED: Final = 451

_BANNED_UNTIL: Final = re.compile(r"banned until ([0-9]{12,})")
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?")


class TruncatedReply(MalformedReply):
    """The body ended early or is not JSON at all: likely the line and not the format; worth a bounded retry."""


class ErrorBody(msgspec.Struct):
    """What the exchange says with a 4xx or 5xx."""

    code: int
    msg: str = ""


def reply_error(status: int, headers: Mapping[str, str], body: bytes, *, what: str, now_ms: int) -> VenueError:
    """Return the error of a reply that is not a success.

    Parameters
    ----------
    status : int
        HTTP status.
    headers : mapping
        Looked up in lower case.
    body : bytes
        The exchange's ``{"code", "msg"}``, or anything at all.
    what : str
        The request, for the message.
    now_ms : int
        The time by which the exchange counts its budgets; a ban is told as a moment.

    Examples
    --------
    >>> reply_error(400, {}, b'{"code": -1121, "msg": "Invalid symbol."}', what="GET /fapi/v1/klines", now_ms=0)
    SymbolRejected('GET /fapi/v1/klines: status 400, code -1121: Invalid symbol.')
    """
    code, text = _error_body(body)
    message = (
        f"{what}: status {status}" + (f", code {code}" if code is not None else "") + (f": {text}" if text else "")
    )
    if status == REGION_BARRED:
        return RequestRejected(message, code)
    if status in HOLD_S or code in HOLD_CODES:
        hold_s = _hold_s(status, headers, text, now_ms)
        return RateLimited(f"{message}; hold for {hold_s:g} s", hold_s)
    if status >= 500 or status == 408 or code in PASSING_CODES:
        return VenueUnavailable(message)
    if code == CLOCK_CODE:
        return ClockSkewed(message)
    if code in SYMBOL_CODES:
        return SymbolRejected(message, code)
    return RequestRejected(message, code)


def _error_body(body: bytes) -> tuple[int | None, str]:
    try:
        error = msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, " ".join(body[:120].decode("utf-8", "replace").split())
    return error.code, error.msg


def _hold_s(status: int, headers: Mapping[str, str], text: str, now_ms: int) -> float:
    """Return how long to hold: ``Retry-After``, else the moment in the text, else the status's usual time.

    What cannot be read, or is over already by our clock, is passed over; 1 s to `LONGEST_BAN_S` remain.
    """
    seconds = _retry_after_s(headers, now_ms)
    if seconds is None and (until := _BANNED_UNTIL.search(text)):
        seconds = (float(until.group(1)) - now_ms) / 1000  # a float takes any number of digits
        seconds = seconds if seconds > 0 else None
    if seconds is None:
        seconds = HOLD_S.get(status, 60.0)
    return min(max(seconds, 1.0), LONGEST_BAN_S)


def _retry_after_s(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Return the seconds of ``Retry-After``; a date there counts from the reply's own, for clocks differ."""
    said = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(said):
        return float(said)
    until_ms = date_ms(said)
    if until_ms is None:
        return None
    sent_ms = date_ms(headers.get("date", ""))
    seconds = (until_ms - (now_ms if sent_ms is None else sent_ms)) / 1000
    return seconds if seconds > 0 else None


@contextmanager
def venue_errors(what: str) -> Iterator[None]:
    """Translate what the HTTP library raises, chained to its cause.

    Raises
    ------
    VenueUnavailable
        No connection, a lost one, or no answer in time.
    TruncatedReply
        A body that does not decompress.
    """
    try:
        yield
    except httpx.DecodingError as error:
        raise TruncatedReply(f"{what}: the body does not decompress: {error}") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise VenueUnavailable(f"{what}: no answer in time ({type(error).__name__})") from error
    except httpx.HTTPError as error:
        raise VenueUnavailable(f"{what}: {type(error).__name__}: {error}") from error


__all__ = ["LONGEST_BAN_S", "ErrorBody", "TruncatedReply", "reply_error", "venue_errors"]
