"""Messages of the real exchange, and a line that takes them as the product does."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from itertools import islice

import numpy as np
import pytest
from hypothesis import settings

from aione.panel.bars import BAR_RECORD, Finality, Source
from aione.stream.bars import BarFeed, records
from aione.stream.book import BookBoard
from aione.venue.session import Session
from aione.venue.stream_wire import BookTicker, DepthUpdate, KlineEvent
from config.models import VenueParams

SYMBOLS = ("AKROUSDT", "CTKUSDT", "KEEPUSDT", "SUSHIUSDT")
CLOSED_MS, FORMING_MS = 1_626_992_700_000, 1_626_992_760_000
VALUES = {
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "quote_volume": "q",
    "taker_buy_volume": "V",
}
OF_MESSAGES = {"malformed_message", "unknown_event", "unasked_stream", "wrong_symbol"}
MALTREATED = settings(max_examples=60, deadline=None, derandomize=True)


class Recorded:
    """Messages in order, the names of their streams and the symbols, and every push of a bar as json reads it.

    One object, so that hypothesis prints an example without all of them.
    """

    def __init__(self, payloads):
        self.payloads = payloads
        messages = [json.loads(payload) for payload in payloads]
        self.streams = sorted({message["stream"] for message in messages})
        self.symbols = sorted({message["data"]["s"] for message in messages})
        self.klines = [message["data"]["k"] for message in messages if message["data"]["e"] == "kline"]
        self.closing = {(bar["s"], bar["t"]): expected(bar, Finality.STREAM_CLOSED) for bar in self.klines if bar["x"]}
        self.around_the_close = [p for at, p in enumerate(payloads) if b'"kline"' in p or at % 8 == 0]


@pytest.fixture(scope="module")
def recorded(recordings):
    lines = (recordings / "binance-raw-2021-07" / "BINANCE_FUTURES.ws.1.0").read_bytes().splitlines()
    return Recorded([line.partition(b": ")[2] for line in lines[1:]])


@pytest.fixture(scope="module")
def quoting(recordings):
    """The first messages of the 2024 recording: a book ticker in two of three, no bars, trades that nothing reads."""
    with gzip.open(recordings / "ws-usdm-2024-08-08" / "usdm_btcusdt_20240808.gz") as file:
        payloads = [line.rstrip().partition(b" ")[2] for line in islice(file, 400)]
    return Recorded([payload for payload in payloads if payload.startswith(b'{"stream"')])


class Line:
    """A session, a bar feed and a book, wired as the worker wires them."""

    def __init__(self, streams, symbols=SYMBOLS):
        self.session = Session("ws://exchange/market/stream", VenueParams())
        self.session.want(streams, 0.0)
        self.session.start(0.0)
        self.session.connected(0.0)
        self.feed, self.board = BarFeed(), BookBoard()
        self.symbols = symbols
        self.board.follow(symbols)

    def deliver(self, payloads):
        for number, payload in enumerate(payloads):
            self.session.tick(0.02 * number)
            data = self.session.received(payload, 0.02 * number)
            if isinstance(data, KlineEvent):
                self.feed.take(data.bar)
            elif isinstance(data, BookTicker):
                self.board.take_quote(data)
            elif isinstance(data, DepthUpdate):
                self.board.take_depth(data)
        return self

    @property
    def errors(self):
        """Errors of messages; not those of the connection, which may have been silent for too long."""
        return {name: n for name, n in self.session.counts.errors.items() if name in OF_MESSAGES}

    @property
    def counted(self):
        return self.session.counts.messages + sum(self.errors.values())


def expected(bar, finality):
    """One `BAR_RECORD` made by hand from a kline as json reads it."""
    numbers = {name: float(Decimal(bar[letter])) for name, letter in VALUES.items()}
    known = {"open_time_ms": bar["t"], "trade_count": bar["n"], "source": Source.STREAM, "finality": finality}
    return tuple({**numbers, **known, "reserved": 0}[name] for name in BAR_RECORD.names)


def stored(feed):
    """What would be written to the rings: ``(symbol, open time) -> record``, as plain values."""
    return {(symbol, row[0]): row for symbol, rows in records(feed.closed()).items() for row in rows.tolist()}


def final(feed):
    return {key: row for key, row in stored(feed).items() if Finality(row[10]).is_final}


def forming(feed):
    return {symbol: np.frombuffer(raw, BAR_RECORD).tolist()[0] for symbol, raw in feed.forming().items()}
