"""Bars of the real exchange through the product's own path, and the same messages maltreated: never a wrong bar."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal
from itertools import islice, product

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from aione.errors import MalformedReply
from aione.panel.bars import BAR_RECORD, MINUTE_MS, Finality, Source
from aione.store.rings import MemoryRings
from aione.stream.bars import BarFeed, records
from aione.stream.book import BookBoard
from aione.venue.session import Session
from aione.venue.stream_wire import BookTicker, DepthUpdate, KlineEvent, decode
from config.models import VenueParams

pytestmark = pytest.mark.recorded

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


# ── 30 s of the real exchange ──


def test_each_of_the_four_bars_closes_with_the_numbers_of_its_closing_push(recorded):
    line = Line(recorded.streams).deliver(recorded.payloads)
    assert stored(line.feed) == recorded.closing
    assert sorted(stored(line.feed)) == [(symbol, CLOSED_MS) for symbol in SYMBOLS]
    assert line.feed.refused == line.feed.dropped == 0


def test_each_forming_bar_is_the_last_push_at_every_moment(recorded):
    line, last = Line(recorded.streams), {}
    for payload in recorded.payloads:
        line.deliver([payload])
        data = json.loads(payload)["data"]
        if data["e"] == "kline":
            last[data["s"]] = None if data["k"]["x"] else expected(data["k"], Finality.PROVISIONAL)
            assert forming(line.feed) == {s: bar for s, bar in last.items() if s == data["s"] and bar}
        else:
            assert forming(line.feed) == {}
    assert {row[0] for row in last.values()} == {FORMING_MS}


def test_every_message_of_the_30_s_is_data_or_a_counted_error(recorded):
    line = Line(recorded.streams).deliver(recorded.payloads)
    kinds = Counter(json.loads(payload)["data"]["e"] for payload in recorded.payloads)
    assert kinds == {"bookTicker": 613, "depthUpdate": 764, "aggTrade": 91, "kline": 67}
    assert line.errors == {"unknown_event": kinds["aggTrade"]}
    assert line.counted == len(recorded.payloads) == 1535
    for symbol in SYMBOLS:
        quotes = [data for one in recorded.payloads if (data := json.loads(one)["data"])["s"] == symbol and "B" in data]
        entry = line.board.entry(symbol)
        best = tuple(float(Decimal(quotes[-1][side])) for side in "ba")
        assert (entry.bid, entry.ask, entry.quoted_ms) == (*best, quotes[-1]["E"])


def test_the_same_messages_twice_close_the_same_bars(recorded):
    plain = Line(recorded.streams).deliver(recorded.payloads)
    one_by_one = Line(recorded.streams).deliver([payload for payload in recorded.payloads for _ in range(2)])
    all_again = Line(recorded.streams).deliver(recorded.payloads).deliver(recorded.payloads)
    assert stored(one_by_one.feed) == stored(all_again.feed) == stored(plain.feed) == recorded.closing
    assert forming(one_by_one.feed) == forming(all_again.feed) == forming(plain.feed)
    assert one_by_one.counted == all_again.counted == 2 * len(recorded.payloads)


@pytest.mark.parametrize("first", [0, 1])
def test_neighbours_of_different_streams_may_change_places(recorded, first):
    swapped, changed = list(recorded.payloads), 0
    for at in range(first, len(swapped) - 1, 2):
        one, two = swapped[at : at + 2]
        if json.loads(one)["stream"] != json.loads(two)["stream"]:
            swapped[at : at + 2] = two, one
            changed += 1
    assert changed > 400
    line, plain = Line(recorded.streams).deliver(swapped), Line(recorded.streams).deliver(recorded.payloads)
    assert stored(line.feed) == recorded.closing
    assert forming(line.feed) == forming(plain.feed)
    assert [line.board.entry(symbol) for symbol in SYMBOLS] == [plain.board.entry(symbol) for symbol in SYMBOLS]


@pytest.mark.parametrize("symbol", ["币安人生USDT", "💎USDT"])
@pytest.mark.parametrize("is_escaped", [True, False])
def test_real_messages_under_a_name_that_is_not_ascii_close_the_same_bar(recorded, symbol, is_escaped):
    """As the exchange names such contracts: the stream in lower case, the symbol as it is."""
    messages = []
    for payload in recorded.payloads:
        text = payload.decode().replace("sushiusdt", symbol.lower()).replace("SUSHIUSDT", symbol)
        messages.append(json.dumps(json.loads(text), ensure_ascii=is_escaped).encode())
    names = [name.replace("sushiusdt", symbol.lower()) for name in recorded.streams]
    line, plain = Line(names, (*SYMBOLS, symbol)).deliver(messages), Line(recorded.streams).deliver(recorded.payloads)
    renamed = {symbol if name == "SUSHIUSDT" else name: row for (name, _), row in stored(plain.feed).items()}
    assert {name: row for (name, _), row in stored(line.feed).items()} == renamed
    assert line.board.entry(symbol) == plain.board.entry("SUSHIUSDT")
    assert line.board.entry("CTKUSDT") == plain.board.entry("CTKUSDT")
    assert line.session.counts == plain.session.counts


# ── The real pushes in other units ──


def scaled(payload, scale):
    message = json.loads(payload)
    message["data"]["E"] *= scale
    bar = message["data"].get("k", {})
    for name in bar.keys() & {"t", "T"}:
        bar[name] *= scale
    return json.dumps(message).encode()


@pytest.mark.parametrize("scale", [1_000, 1_000_000, 60_000 * 2**50])
async def test_pushes_in_smaller_units_are_counted_and_no_bar_of_a_far_year(recorded, scale):
    """A ring holds a slot's latest bar for good: one bar of the year 57000 would shut out all that follow."""
    line = Line(recorded.streams).deliver([scaled(payload, scale) for payload in recorded.payloads])
    assert not line.feed.has_closed
    assert forming(line.feed) == {}
    assert line.feed.refused == len(recorded.klines)
    assert line.board.refused > 613
    assert not line.board.changed()
    rings = MemoryRings()
    await rings.write(records(line.deliver(recorded.payloads).feed.closed()))
    held = await rings.records(SYMBOLS, CLOSED_MS, CLOSED_MS)
    assert {(symbol, CLOSED_MS): rows.tolist()[0] for symbol, rows in held.items()} == recorded.closing


# ── The real pushes maltreated ──

AT = st.integers(0, 10_000)
HURTS = st.one_of(
    st.tuples(st.just("cut"), AT, AT),
    st.tuples(st.just("flip"), AT, AT, st.integers(1, 255)),
    st.tuples(st.just("double"), AT),
    st.tuples(st.just("move"), AT, AT),
    st.tuples(st.just("drop"), AT),
)


def maltreat(payloads, hurts):
    """Return what arrives."""
    arriving = list(payloads)
    for kind, where, *more in hurts:
        at = where % len(arriving)
        payload = arriving.pop(at)
        if kind == "cut":
            arriving.insert(at, payload[: more[0] % max(len(payload), 1)])
        elif kind == "flip":
            changed = bytearray(payload or b"{")
            changed[more[0] % len(changed)] ^= more[1]
            arriving.insert(at, bytes(changed))
        elif kind == "double":
            arriving[at:at] = payload, payload
        elif kind == "move":
            arriving.insert(more[0] % (len(arriving) + 1), payload)
    return arriving


def read(payload):
    """A message as json reads it, with an open mind for bytes that are no text."""
    return json.loads(payload.decode("utf-8", "replace"), strict=False)


def is_json(payload):
    try:
        read(payload)
    except ValueError:
        return False
    return True


def told(payloads):
    """Closing pushes among these as json reads them, whatever else is wrong with a message."""
    found = {}
    for payload in payloads:
        try:
            bar = read(payload)["data"]["k"]
            if bar["x"] is True:
                row = expected(bar, Finality.STREAM_CLOSED)
                found.setdefault((bar["s"], bar["t"]), []).append(row)
        except (ValueError, LookupError, TypeError, ArithmeticError):
            continue
    return found


def quoted(payloads):
    """Best bids and asks among these, by symbol."""
    found = {}
    for payload in payloads:
        try:
            data = read(payload)["data"]
            found.setdefault(data["s"], set()).add((float(data["b"]), float(data["a"])))
        except (ValueError, LookupError, TypeError):
            continue
    return found


def check(line, arrived):
    """What holds whatever arrived: everything is counted, and nothing comes out that was not told."""
    assert line.counted == len(arrived), "no message is lost without a count"
    closing, quotes = told(arrived), quoted(arrived)
    for key, row in final(line.feed).items():
        assert row in closing[key], "a final bar that nobody sent"
        assert row[0] % MINUTE_MS == 0
        assert row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2]
    for symbol in line.symbols:
        entry = line.board.entry(symbol)
        assert entry.bid is None or (entry.bid, entry.ask) in quotes[symbol]
    line.feed.forming()
    orjson.dumps({symbol: asdict(entry) for symbol, entry in line.board.changed().items()})


@MALTREATED
@given(hurts=st.lists(HURTS, max_size=80))
def test_whatever_happens_to_real_messages_is_counted_and_makes_no_bar(recorded, hurts):
    arriving = maltreat(recorded.around_the_close, hurts)
    line = Line(recorded.streams).deliver(arriving)
    check(line, arriving)
    assert line.errors.get("malformed_message", 0) >= sum(not is_json(payload) for payload in arriving)
    whole = set(recorded.payloads)
    arrived_whole = told(payload for payload in arriving if payload in whole)
    assert arrived_whole.keys() <= final(line.feed).keys(), "what is broken makes nothing else be lost"
    assert arrived_whole.keys() <= recorded.closing.keys()


@MALTREATED
@given(hurts=st.lists(HURTS.filter(lambda hurt: hurt[0] != "flip"), max_size=80))
def test_cut_doubled_moved_and_dropped_messages_leave_only_bars_of_the_recording(recorded, hurts):
    """Without flips no number can become another sound number: each bar is one that was really sent."""
    arriving = maltreat(recorded.around_the_close, hurts)
    line = Line(recorded.streams).deliver(arriving)
    check(line, arriving)
    whole = set(recorded.payloads)
    assert line.errors.get("malformed_message", 0) == sum(payload not in whole for payload in arriving)
    assert final(line.feed).items() <= recorded.closing.items()
    pushed = {expected(bar, Finality.SUCCESSOR_SEEN) for bar in recorded.klines}
    for row in stored(line.feed).values():
        assert Finality(row[10]).is_final or row in pushed
    assert line.feed.refused == 0


@MALTREATED
@given(hurts=st.lists(HURTS, max_size=80))
def test_whatever_happens_to_real_quotes_none_is_made_up(quoting, hurts):
    arriving = maltreat(quoting.payloads, hurts)
    line = Line(quoting.streams, quoting.symbols).deliver(arriving)
    check(line, arriving)
    assert not line.feed.has_closed
    assert line.board.entry("BTCUSDT").bid is not None


@MALTREATED
@given(dice=st.randoms(use_true_random=False), repeats=st.integers(1, 3))
def test_in_any_order_and_number_the_same_bars_are_final(recorded, dice, repeats):
    arriving = recorded.around_the_close * repeats
    dice.shuffle(arriving)
    line = Line(recorded.streams).deliver(arriving)
    assert {row[0] for row in forming(line.feed).values()} == {FORMING_MS}, "a bar that has ended does not form again"
    check(line, arriving)
    assert final(line.feed) == recorded.closing
    assert {row[10] for key, row in stored(line.feed).items() if key[1] == CLOSED_MS} == {Finality.STREAM_CLOSED}


def test_pushes_that_come_after_the_closing_one_of_their_bar_change_nothing(recorded):
    minute = [payload for payload in recorded.payloads if b'"t":%d' % CLOSED_MS in payload]
    line = Line(recorded.streams).deliver([payload for payload in minute if b'"x":true' in payload])
    line.deliver(payload for payload in minute if b'"x":false' in payload)
    assert forming(line.feed) == {}
    assert stored(line.feed) == recorded.closing


@MALTREATED
@given(lost=st.sets(st.sampled_from(SYMBOLS)))
def test_a_bar_whose_closing_push_is_lost_is_provisional_and_its_last_push(recorded, lost):
    ended = [f'"s":"{symbol}"'.encode() for symbol in lost]
    arriving = [p for p in recorded.payloads if b'"x":true' not in p or not any(name in p for name in ended)]
    line = Line(recorded.streams).deliver(arriving)
    assert final(line.feed) == {key: row for key, row in recorded.closing.items() if key[0] not in lost}
    for symbol in lost:
        pushes = [bar for bar in recorded.klines if bar["s"] == symbol and bar["t"] == CLOSED_MS and not bar["x"]]
        wanted = {(symbol, CLOSED_MS): expected(pushes[-1], Finality.SUCCESSOR_SEEN)} if pushes else {}
        assert {key: row for key, row in stored(line.feed).items() if key[0] == symbol} == wanted


def test_every_single_cut_of_a_real_closing_push_is_one_counted_error(recorded):
    for payload in (one for one in recorded.payloads if b'"x":true' in one):
        line = Line(recorded.streams).deliver([payload[:cut] for cut in range(len(payload))])
        assert line.errors == {"malformed_message": len(payload)}
        assert not line.feed.has_closed


def test_every_single_flipped_bit_of_a_real_closing_push_is_counted_or_told(recorded):
    payload = next(one for one in recorded.payloads if b'"x":true' in one)
    seen = Counter()
    for at, bit in product(range(len(payload)), range(8)):
        changed = bytearray(payload)
        changed[at] ^= 1 << bit
        line = Line(recorded.streams).deliver([bytes(changed)])
        check(line, [bytes(changed)])
        seen.update(line.errors)
        seen["refused"] += line.feed.refused
    assert min(seen["malformed_message"], seen["unknown_event"], seen["unasked_stream"], seen["refused"]) > 10


def test_data_without_its_streams_name_is_counted(recorded):
    nameless = [payload.replace(b'"stream"', b'"strean"', 1) for payload in recorded.payloads]
    line = Line(recorded.streams).deliver(nameless)
    aggregated = sum(b'"aggTrade"' in payload for payload in recorded.payloads)
    malformed = len(recorded.payloads) - aggregated
    assert line.errors == {"unknown_event": aggregated, "malformed_message": malformed}
    with pytest.raises(MalformedReply, match="data of a stream"):
        decode(next(payload for payload in nameless if b'"kline"' in payload))
