"""What the exchange sends over WebSocket, typed and decoded in one pass, and how its streams are named.

Every message comes in the combined form ``{"stream": name, "data": event}`` or is a reply to one of our control
messages, ``{"result": ..., "id": n}`` or ``{"error": {...}, "id": n}``; `Envelope` holds either. Numbers arrive as
strings and leave as floats. The exchange's one-letter names end here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from aione.errors import InvalidInput, MalformedReply

# ── Events ──


class Kline(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "open_time_ms": "t",
        "symbol": "s",
        "interval": "i",
        "open": "o",
        "close": "c",
        "high": "h",
        "low": "l",
        "volume": "v",
        "trade_count": "n",
        "is_closed": "x",
        "quote_volume": "q",
        "taker_buy_volume": "V",
    },
):
    """The bar inside a kline event: whole as of now, not a change; ``is_closed`` is the exchange's ``x``.

    The fields stand in the exchange's order: the decoder finds each next one at once.
    """

    open_time_ms: int
    symbol: str
    interval: str
    open: float
    close: float
    high: float
    low: float
    volume: float
    trade_count: int
    is_closed: bool
    quote_volume: float
    taker_buy_volume: float


class KlineEvent(
    msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="kline", rename={"event_ms": "E", "bar": "k"}
):
    """A push of one symbol's current bar, about four a second."""

    event_ms: int
    bar: Kline


class BookTicker(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="bookTicker",
    rename={"event_ms": "E", "symbol": "s", "bid": "b", "ask": "a"},
):
    """Best bid and ask of one symbol, in quote per base; 0 where that side of the book is empty."""

    event_ms: int
    symbol: str
    bid: float
    ask: float


class MarkPrice(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="markPriceUpdate",
    rename={"event_ms": "E", "symbol": "s", "mark_price": "p", "funding_text": "r", "source_type": "st"},
):
    """Mark price and funding of one symbol; contracts without funding send an empty text."""

    event_ms: int
    symbol: str
    mark_price: float
    funding_text: str = ""
    source_type: int | None = None

    @property
    def is_usd_margined(self) -> bool:
        """Return whether the row is ours: all-market pushes hold coin-margined rows too."""
        return self.source_type is None or self.source_type == 1


class DepthUpdate(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="depthUpdate",
    rename={"event_ms": "E", "symbol": "s", "bids": "b", "asks": "a"},
):
    """The best levels of one symbol's book, best first: (price in quote per base, quantity in base)."""

    event_ms: int
    symbol: str
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


Data: TypeAlias = KlineEvent | BookTicker | MarkPrice | DepthUpdate | list[MarkPrice]

EVENT_KINDS: Final[Mapping[type, str]] = {
    KlineEvent: "kline",
    BookTicker: "bookTicker",
    MarkPrice: "markPrice",
    DepthUpdate: "depth",
    list: "markPrice",
}
"""Type of decoded data -> stream kind, the label of ``ws_messages_total``."""


# ── Envelope ──


class Refusal(msgspec.Struct, frozen=True):
    """The error of a control message."""

    code: int = 0
    msg: str = ""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """One message: data of ``stream``, or the reply to control message ``id``."""

    stream: str | None = None
    data: Data | None = None
    id: int | None = None
    error: Refusal | None = None


class _TypedData(msgspec.Struct):
    e: str


class _TypedProbe(msgspec.Struct):
    data: _TypedData


DECODE: Final = msgspec.json.Decoder(Envelope, strict=False).decode
"""`decode` without its errors' names: raises one of `UNDECODED`, and lets pass what holds nothing."""
UNDECODED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_KNOWN: Final = frozenset({"kline", "bookTicker", "markPriceUpdate", "depthUpdate"})


def decode(payload: bytes) -> Envelope:
    """Decode one text message.

    Raises
    ------
    MalformedReply
        Not JSON, or not one of the forms above; the message says which part.
    UnknownEvent
        Sound, but of an event type that nothing here reads.

    Examples
    --------
    >>> decode(b'{"result":null,"id":3}').id
    3
    >>> push = b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","E":9,"s":"BTCUSDT","b":"1.5","a":"1.6"}}'
    >>> decode(push).data
    BookTicker(event_ms=9, symbol='BTCUSDT', bid=1.5, ask=1.6)
    """
    try:
        envelope = DECODE(payload)
    except UNDECODED as error:
        raise explain(payload, error) from error
    holds_data = envelope.data is not None and envelope.stream is not None
    if not holds_data and envelope.id is None and envelope.error is None:
        raise MalformedReply(f"a message holds data of a stream, id or error, was {payload[:80]!r}")
    return envelope


class UnknownEvent(MalformedReply):
    """An event type that this version does not read."""


def explain(payload: bytes, error: Exception) -> MalformedReply:
    """Return what is wrong with a message that `DECODE` refused."""
    try:
        event = msgspec.json.decode(payload, type=_TypedProbe).data.e
    except UNDECODED:
        event = None
    if event is not None and event not in _KNOWN:
        return UnknownEvent(f"event type must be one of {sorted(_KNOWN)}, was {event!r}")
    return MalformedReply(f"{error}: {payload[:80]!r}")


# ── Names and control messages ──


def kline_stream(symbol: str, interval: str = "1m") -> str:
    """Return the stream of a symbol's bars; names are lower-case.

    Examples
    --------
    >>> kline_stream("BTCUSDT")
    'btcusdt@kline_1m'
    """
    return f"{symbol.lower()}@kline_{interval}"


def book_ticker_stream(symbol: str) -> str:
    """Return the stream of a symbol's best bid and ask."""
    return f"{symbol.lower()}@bookTicker"


def depth_stream(symbol: str, suffix: str) -> str:
    """Return the stream of a symbol's best levels.

    Examples
    --------
    >>> depth_stream("BTCUSDT", "depth20@500ms")
    'btcusdt@depth20@500ms'
    """
    return f"{symbol.lower()}@{suffix}"


MARK_PRICE_STREAM: Final = "!markPrice@arr@1s"


def stream_kind(stream: str) -> str:
    """Return the kind that routes a stream, a key of ``VenueParams.routes``.

    Raises
    ------
    InvalidInput
        ``stream`` is not of the form ``symbol@kind`` or ``!kind@arr``.

    Examples
    --------
    >>> [stream_kind(s) for s in ("btcusdt@kline_1m", "btcusdt@depth20@100ms", "!markPrice@arr@1s")]
    ['kline', 'depth', 'markPrice']
    """
    head, _, rest = stream.partition("@")
    kind = head[1:] if head.startswith("!") else rest.partition("@")[0]
    kind = kind.partition("_")[0].rstrip("0123456789")
    if not kind or not rest:
        raise InvalidInput(f"a stream is named symbol@kind or !kind@arr, was {stream!r}")
    return kind


def stream_symbol(stream: str) -> str:
    """Return the symbol whose events a stream carries, empty for a stream of the whole market.

    Examples
    --------
    >>> stream_symbol("btcusdt@kline_1m"), stream_symbol("!markPrice@arr@1s")
    ('BTCUSDT', '')
    """
    return "" if stream.startswith("!") else stream.partition("@")[0].upper()


def control_message(method: str, streams: list[str], request_id: int) -> bytes:
    """Encode SUBSCRIBE or UNSUBSCRIBE.

    Examples
    --------
    >>> control_message("SUBSCRIBE", ["btcusdt@kline_1m"], 1)
    b'{"method":"SUBSCRIBE","params":["btcusdt@kline_1m"],"id":1}'
    """
    return msgspec.json.encode({"method": method, "params": streams, "id": request_id})


__all__ = [
    "DECODE",
    "EVENT_KINDS",
    "MARK_PRICE_STREAM",
    "UNDECODED",
    "BookTicker",
    "Data",
    "DepthUpdate",
    "Envelope",
    "Kline",
    "KlineEvent",
    "MarkPrice",
    "Refusal",
    "UnknownEvent",
    "book_ticker_stream",
    "control_message",
    "decode",
    "depth_stream",
    "explain",
    "kline_stream",
    "stream_kind",
    "stream_symbol",
]
