"""What the REST endpoints send, typed: the exchange's names and strings end here.

Every number arrives as a string; unknown fields are ignored; a value of another type or out of its range is a
`MalformedReply` that names the endpoint and the path inside the reply.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, field

from aione.errors import MalformedReply
from aione.venue.errors_map import TruncatedReply

T = TypeVar("T")

Amount = Annotated[float, Meta(ge=0.0, le=1e300)]
"""A price, quantity or value: finite and not negative."""
Moment = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""UTC epoch milliseconds, or a count: not negative, and no larger than a column holds."""

# ── Rows ──


class ServerTime(msgspec.Struct):
    """The exchange's clock, UTC epoch milliseconds; a later one than the year 5138 would be in another unit."""

    server_time_ms: Annotated[int, Meta(gt=0, lt=10**14)] = field(name="serverTime")


class Ticker24h(msgspec.Struct):
    """The last 24 hours of a symbol: prices in quote per base, ``volume`` in base."""

    symbol: str
    last: Amount = field(name="lastPrice")
    high: Amount = field(name="highPrice")
    low: Amount = field(name="lowPrice")
    volume: Amount
    quote_volume: Amount = field(name="quoteVolume")
    trade_count: Moment = field(name="count", default=0)
    close_time_ms: Moment = field(name="closeTime", default=0)


class BookTicker(msgspec.Struct):
    """The best bid and ask; 0 where that side of the book is empty."""

    symbol: str
    bid: Amount = field(name="bidPrice")
    bid_quantity: Amount = field(name="bidQty")
    ask: Amount = field(name="askPrice")
    ask_quantity: Amount = field(name="askQty")
    time_ms: Moment = field(name="time", default=0)


class PremiumIndex(msgspec.Struct):
    """Mark and index price. Delivery contracts have no funding: their rate is an empty string on the wire."""

    symbol: str
    mark_price: Amount = field(name="markPrice")
    index_price: Amount = field(name="indexPrice")
    last_funding_rate: str = field(name="lastFundingRate", default="")
    next_funding_ms: Moment = field(name="nextFundingTime", default=0)
    time_ms: Moment = field(name="time", default=0)

    @property
    def funding_rate(self) -> float | None:
        """The current rate, 0.01 is 1 %; None where there is none."""
        try:
            return float(self.last_funding_rate)
        except ValueError:
            return None


class OpenInterest(msgspec.Struct):
    """Open contracts of a symbol, in base; times the mark price it is their value."""

    symbol: str
    open_interest: Amount = field(name="openInterest")
    time_ms: Moment = field(name="time", default=0)


class OpenInterestPoint(msgspec.Struct):
    """One point of the open interest's history: base, quote value, moment."""

    symbol: str
    open_interest: Amount = field(name="sumOpenInterest")
    open_interest_quote: Amount = field(name="sumOpenInterestValue")
    time_ms: Moment = field(name="timestamp")


class FundingRate(msgspec.Struct):
    """One settlement of funding."""

    symbol: str
    funding_time_ms: Moment = field(name="fundingTime")
    funding_rate: float = field(name="fundingRate")


class Depth(msgspec.Struct):
    """The order book: (price, quantity) rows, best first."""

    bids: list[tuple[Amount, Amount]]
    asks: list[tuple[Amount, Amount]]
    time_ms: Moment = field(name="E", default=0)


# ── Decoding ──


def decode(body: bytes, decoder: msgspec.json.Decoder[T], *, what: str) -> T:
    """Decode a reply.

    Raises
    ------
    TruncatedReply
        The body is not whole JSON.
    MalformedReply
        JSON of another form than the contract states; the message names endpoint and path.
    """
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, RecursionError) as error:
        raise MalformedReply(f"{what}: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TruncatedReply(f"{what}: {len(body)} bytes that are not whole JSON: {error}") from error


def number(text: str) -> float | None:
    """Return a number that the exchange may leave out, such as a funding rate; None where the text is none.

    Examples
    --------
    >>> number("0.0001"), number(""), number("NaN")
    (0.0001, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return a decoder that takes numbers written as strings."""
    return msgspec.json.Decoder(kind, strict=False)


SERVER_TIME: Final = decoder_of(ServerTime)
TICKERS_24H: Final = decoder_of(list[Ticker24h])
BOOK_TICKERS: Final = decoder_of(list[BookTicker])
PREMIUM_INDEX: Final = decoder_of(list[PremiumIndex])
OPEN_INTEREST: Final = decoder_of(OpenInterest)
OPEN_INTEREST_HIST: Final = decoder_of(list[OpenInterestPoint])
FUNDING_RATE: Final = decoder_of(list[FundingRate])
DEPTH: Final = decoder_of(Depth)


__all__ = [
    "BOOK_TICKERS",
    "DEPTH",
    "FUNDING_RATE",
    "OPEN_INTEREST",
    "OPEN_INTEREST_HIST",
    "PREMIUM_INDEX",
    "SERVER_TIME",
    "TICKERS_24H",
    "Amount",
    "BookTicker",
    "Depth",
    "FundingRate",
    "Moment",
    "OpenInterest",
    "OpenInterestPoint",
    "PremiumIndex",
    "ServerTime",
    "Ticker24h",
    "decode",
    "decoder_of",
    "number",
]
