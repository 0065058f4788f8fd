"""Six minutes of the real exchange as it came over the wire, and its real replies, against json and Decimal by hand."""

from __future__ import annotations

import gzip
import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from statistics import median
from types import SimpleNamespace

import pytest

from aione.screening.context import market_snapshot
from aione.store.state import StateStore
from aione.stream.book import DEPTH_WINDOW_FRAC, BookBoard
from aione.stream.outlet import RedisOutlet
from aione.stream.reporting import SKEW_MS
from aione.venue import wire
from aione.venue.clock import ServerClock
from aione.venue.session import Session
from aione.venue.stream_track import StreamState
from aione.venue.stream_wire import BookTicker, DepthUpdate, decode
from aione.venue.wire_contracts import decode_exchange_info
from config.models import VenueParams

pytestmark = pytest.mark.recorded

SYMBOLS = ("BTCUSDT", "ETHUSDT")
LINES = 168_609
BEHIND_MS = 1_270
STREAMS = [f"{symbol.lower()}@{kind}" for symbol in SYMBOLS for kind in ("bookTicker", "depth@0ms", "trade")]


@dataclass
class Oracle:
    """What the recording holds, read without the product."""

    kinds: Counter = field(default_factory=Counter)
    quotes: dict = field(default_factory=dict)
    depths: dict = field(default_factory=dict)
    refused: int = 0
    spreads: dict = field(default_factory=dict)
    ahead_ms: list = field(default_factory=list)

    def take(self, local_ns, payload):
        message = json.loads(payload, parse_float=Decimal)
        data = message.get("data", {"e": "snapshot"})
        self.kinds[data["e"]] += 1
        if "stream" in message:
            self.ahead_ms.append(Decimal(data["E"]) - Decimal(local_ns) / 1_000_000)
        if data["e"] == "bookTicker":
            bid, ask = Decimal(data["b"]), Decimal(data["a"])
            self.quotes[data["s"]] = (bid, ask, data["E"])
            self.spreads.setdefault(data["s"], {}).setdefault(data["E"] // 60_000, (ask - bid) / ((ask + bid) / 2))
        elif data["e"] == "depthUpdate":
            bids, asks = ([(Decimal(p), Decimal(q)) for p, q in data[side]] for side in "ba")
            if bids and asks and bids[0][0] < asks[0][0]:
                self.depths[data["s"]] = (near_mid(bids, asks), data["E"])
            else:
                self.refused += 1


def near_mid(bids, asks):
    mid = (bids[0][0] + asks[0][0]) / 2
    window = Decimal(str(DEPTH_WINDOW_FRAC))
    return (
        sum(p * q for p, q in bids if p >= mid * (1 - window)),
        sum(p * q for p, q in asks if p <= mid * (1 + window)),
    )


@pytest.fixture(scope="module")
def lines(recordings):
    """``(local ns, payload)`` of both files in the order in which they were received."""
    files = []
    for name in SYMBOLS:
        raw = gzip.decompress((recordings / "ws-usdm-2024-08-08" / f"usdm_{name.lower()}_20240808.gz").read_bytes())
        parts = (line.partition(b" ") for line in raw.splitlines())
        files.append([(int(local_ns), payload) for local_ns, _, payload in parts])
    return list(heapq.merge(*files))


@pytest.fixture(scope="module")
def oracle(lines):
    found = Oracle()
    for local_ns, payload in lines:
        found.take(local_ns, payload)
    return found


class Machine:
    """The recorder's two clocks, and the exchange's as the product measures it with the first message."""

    def __init__(self, first_ns):
        self.first_ns = self.now_ns = first_ns
        self.clock = ServerClock(wall_s=lambda: self.now_ns / 1e9, monotonic_s=self.monotonic_s)

    def monotonic_s(self):
        return (self.now_ns - self.first_ns) / 1e9

    def local_ms(self):
        return self.now_ns / 1e6

    def read(self, server_ms, round_trip_s=0.0):
        """Measure as `BinanceRest.server_time` does; the answer was written half-way."""
        at_s, half_s = self.monotonic_s(), round_trip_s / 2
        self.clock.measured(server_ms, sent_s=at_s - half_s, received_s=at_s + half_s)


@pytest.fixture(scope="module")
def played(lines):
    """Session, board and machine after every line; ``ages`` and ``raw_ages`` are of each event, in ms."""
    machine = Machine(lines[0][0])
    session, board = Session("ws://exchange/public/stream", VenueParams()), BookBoard()
    board.follow(SYMBOLS)
    session.want(STREAMS, 0.0)
    session.start(0.0)
    session.connected(0.0)
    ages, raw_ages = [], []
    for machine.now_ns, payload in lines:
        now_s = machine.monotonic_s()
        if now_s >= session.wake_at_s:
            session.tick(now_s)
        data = session.received(payload, now_s)
        if isinstance(data, BookTicker):
            board.take_quote(data)
        elif isinstance(data, DepthUpdate):
            board.take_depth(data)
        if data is not None:
            if machine.clock.known_ms is None:
                machine.read(data.event_ms)
            ages.append(machine.clock.now_ms() - data.event_ms)
            raw_ages.append(machine.local_ms() - data.event_ms)
    return SimpleNamespace(session=session, board=board, machine=machine, ages=ages, raw_ages=raw_ages)


# ── Every message ──


def test_the_recording_is_whole_and_in_the_order_of_its_clock(lines, oracle):
    assert len(lines) == oracle.kinds.total() == LINES
    assert oracle.kinds.keys() == {"bookTicker", "depthUpdate", "trade", "snapshot"}
    assert all(one[0] <= two[0] for one, two in pairwise(lines))


def test_every_line_is_data_or_a_counted_error(played, oracle):
    counts, kinds = played.session.counts, oracle.kinds
    assert counts.messages == kinds["bookTicker"] + kinds["depthUpdate"] == len(played.ages)
    assert counts.errors == {"unknown_event": kinds["trade"], "malformed_message": kinds["snapshot"]}
    assert counts.messages + counts.errors.total() == LINES
    assert (kinds["trade"], kinds["snapshot"]) == (35_389, 2)


def test_streams_that_are_read_are_proven_and_trades_prove_nothing(played):
    proven = sorted(played.session.in_state(StreamState.PROVEN))
    assert proven == [name for name in sorted(STREAMS) if not name.endswith("@trade")]
    assert sorted(played.session.in_state(StreamState.UNPROVEN)) == [f"{s.lower()}@trade" for s in SYMBOLS]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_last_quote_is_the_last_one_sent(played, oracle, symbol):
    entry, (bid, ask, event_ms) = played.board.entry(symbol), oracle.quotes[symbol]
    assert (entry.bid, entry.ask, entry.quoted_ms) == (float(bid), float(ask), event_ms)
    minutes = oracle.spreads[symbol]
    assert len(minutes) == 6 + 1
    assert entry.spread_median_frac == pytest.approx(float(median(minutes.values())), rel=1e-9)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_last_depth_is_the_last_one_sent(played, oracle, symbol):
    entry, (sides, event_ms) = played.board.entry(symbol), oracle.depths[symbol]
    assert (entry.depth_bid_quote, entry.depth_ask_quote) == pytest.approx([float(side) for side in sides], rel=1e-12)
    assert entry.depth_ms == event_ms


def test_what_the_board_refuses_is_counted(played, oracle):
    assert played.board.refused == oracle.refused == 15


def test_book_snapshots_among_the_messages_are_those_of_the_rest_endpoint(lines):
    snapshots = [payload for _, payload in lines if payload.startswith(b'{"lastUpdateId"')]
    for payload in snapshots:
        assert_book(payload)
    assert len(snapshots) == 2


# ── The recorder's clock, 1.27 s behind ──


def test_the_server_clock_measures_how_far_the_machine_is_behind(lines, oracle):
    assert abs(float(median(oracle.ahead_ms)) - BEHIND_MS) < 2
    machine, offsets = Machine(lines[0][0]), []
    for machine.now_ns, payload in lines[::500]:
        if b'"stream"' in payload:
            machine.read(json.loads(payload)["data"]["E"], round_trip_s=0.08)
            offsets.append(machine.clock.offset_ms())
    assert len(offsets) > 300
    assert abs(median(offsets) - BEHIND_MS) < 3
    assert max(abs(offset - BEHIND_MS) for offset in offsets) < 60
    assert max(offsets) < SKEW_MS, "not worth an incident"


def test_events_are_aged_by_the_exchanges_clock_not_by_the_machines(played):
    assert -1_273 < min(played.raw_ages) < max(played.raw_ages) < -1_210, "every event is from the machine's future"
    assert -5 < min(played.ages) < max(played.ages) < 60, "the network's delay, and nothing else"


def test_the_age_of_a_connections_data_knows_no_wall_clock(played, lines):
    last_ns = max(local_ns for local_ns, payload in lines if b'"e":"bookTicker"' in payload or b'"e":"depth' in payload)
    assert played.session.last_data_s == (last_ns - lines[0][0]) / 1e9


@pytest.mark.parametrize(("clock", "offset_ms"), [("exchange", 0), ("machine", -BEHIND_MS)])
async def test_no_quote_from_the_future_is_refused_on_its_way_to_a_scan(played, oracle, redis, clock, offset_ms):
    """Even with the skewed clock, which is not the one that scans use, the values come through."""
    await RedisOutlet(redis).save_book({symbol: played.board.entry(symbol) for symbol in SYMBOLS})
    runtime = SimpleNamespace(states=StateStore(redis), redis=redis)
    info = SimpleNamespace(tick_size=0.1, step_size=0.001, min_notional=5.0)
    now_ms = played.machine.clock.now_ms() if clock == "exchange" else round(played.machine.local_ms())
    found = await market_snapshot(
        runtime,
        SimpleNamespace(symbols=SYMBOLS),
        dict.fromkeys(SYMBOLS, info),
        SimpleNamespace(metrics=[]),
        now_ms,
    )
    for row, symbol in enumerate(SYMBOLS):
        (bid, ask, quoted_ms), (sides, depth_ms) = oracle.quotes[symbol], oracle.depths[symbol]
        assert (found.bid[row], found.ask[row]) == (float(bid), float(ask))
        assert found.depth_bid_quote[row] == pytest.approx(float(sides[0]))
        ages_ms = [found.age_ms[row], found.book_age_ms[row], found.depth_age_ms[row]]
        assert ages_ms == [now_ms - max(quoted_ms, depth_ms), now_ms - quoted_ms, now_ms - depth_ms]
        assert offset_ms - 10 < found.book_age_ms[row] < offset_ms + 500


# ── Event times in microseconds ──


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("scale", [1_000, 1_000_000, 10**9])
def test_an_event_time_in_smaller_units_does_not_freeze_the_book(lines, symbol, scale):
    """Taken as it stands it would be newer than everything that follows."""
    board = BookBoard()
    board.follow(SYMBOLS)
    own = [json.loads(raw) for _, raw in lines[:3_000] if b'"stream":"%b@' % symbol.lower().encode() in raw]
    ticker = next(one for one in own if one["data"]["e"] == "bookTicker")
    depth = next(one for one in own if one["data"]["e"] == "depthUpdate" and one["data"]["b"] and one["data"]["a"])
    mark = {"stream": "!markPrice@arr", "data": [{**ticker["data"], "e": "markPriceUpdate", "p": "5", "r": "0"}]}
    for message, take in ((ticker, board.take_quote), (depth, board.take_depth), (mark, board.take_marks)):
        data = message["data"][0] if isinstance(message["data"], list) else message["data"]
        event_ms = data["E"]
        refused = board.refused
        for data["E"] in (event_ms * scale, event_ms):
            take(decode(json.dumps(message).encode()).data)
        assert board.refused == refused + 1
    entry = board.entry(symbol)
    assert (entry.quoted_ms, entry.marked_ms) == (ticker["data"]["E"], ticker["data"]["E"])
    assert (entry.depth_ms, entry.event_ms) == (depth["data"]["E"], max(ticker["data"]["E"], depth["data"]["E"]))


# ── Replies ──


def assert_book(body):
    book, sent = wire.decode(body, wire.DEPTH, what="recorded"), json.loads(body)
    for levels, rows in ((book.bids, sent["bids"]), (book.asks, sent["asks"])):
        assert levels == [(float(Decimal(price)), float(Decimal(quantity))) for price, quantity in rows]
    assert book.time_ms == sent["E"]
    assert len(book.bids) > 100


def replies(recordings, name, part):
    rows = (recordings / "binance-raw-2021-07" / name).read_bytes().splitlines()
    return [row.split(b": ", 1)[1] for row in rows if part in row[:80]]


def test_recorded_books_are_read_level_by_level(recordings):
    bodies = replies(recordings, "BINANCE_FUTURES.http.0.0", b"/fapi/v1/depth")
    for body in bodies:
        assert_book(body)
    assert len(bodies) == 4


@pytest.fixture(scope="module")
def listed(recordings):
    """The real exchangeInfo: its body, and what is in it by symbol."""
    (body,) = replies(recordings, "BINANCE_FUTURES.0", b"exchangeInfo")
    return body, by_symbol(body)


def by_symbol(body):
    infos, refused = decode_exchange_info(body, what="recorded")
    assert not refused
    found = {info.symbol: info for info in infos}
    assert len(found) == len(infos)
    return found


def in_every_contract(reply, change):
    for row in reply["symbols"]:
        change(row)


UNKNOWN = {"filterType": "POSITION_RISK_CONTROL", "tickSize": "77", "stepSize": {"deep": [1, None]}, "notional": "9"}
INJECTED = {
    "unknown filters after the known ones": lambda row: row["filters"].append(UNKNOWN),
    "unknown filters before the known ones": lambda row: row["filters"].insert(0, UNKNOWN),
    "a filter without a type": lambda row: row["filters"].append({"tickSize": "77", "stepSize": "77"}),
    "unknown fields of filters": lambda row: [one.update(until=None, 說明={"x": [1]}) for one in row["filters"]],
    "unknown fields of contracts": lambda row: row.update(permissionSets=[["GRID"]], maxMoveOrderLimit=None, 標籤="幣"),
    "a kind of contract nobody knows": lambda row: row.update(underlyingSubType=["AI", "Meme"], orderTypes=["?"]),
}


@pytest.mark.parametrize("name", INJECTED)
@pytest.mark.parametrize("is_escaped", [True, False])
def test_what_a_later_release_adds_to_the_real_reply_changes_nothing(listed, name, is_escaped):
    body, before = listed
    reply = json.loads(body)
    in_every_contract(reply, INJECTED[name])
    reply["rateLimitsOfALaterRelease"] = [{"x": 1.5}]
    later = json.dumps(reply, ensure_ascii=is_escaped).encode()
    assert later != body
    assert by_symbol(later) == before


@pytest.mark.parametrize("symbol", ["币安人生USDT", "ＢTCUSDT", "我踏马来了USDT", "💎USDT", "İSTUSDT", "BTCUSDT\u200b"])
@pytest.mark.parametrize("is_escaped", [True, False])
def test_a_symbol_that_is_not_ascii_is_one_more_and_changes_no_other(listed, symbol, is_escaped):
    body, before = listed
    reply = json.loads(body)
    base = symbol.removesuffix("USDT")
    for at in (0, 60, len(reply["symbols"]) + 1):
        row = {**reply["symbols"][3], "symbol": symbol, "baseAsset": base, "pair": symbol}
        changed = {**reply, "symbols": [*reply["symbols"][:at], row, *reply["symbols"][at:]]}
        found = by_symbol(json.dumps(changed, ensure_ascii=is_escaped).encode())
        added = found.pop(symbol)
        assert found == before
        assert (added.base_asset, added.tick_size) == (base, before[reply["symbols"][3]["symbol"]].tick_size)


def test_a_contract_that_lost_its_rules_is_refused_by_name_and_alone(listed):
    body, before = listed
    reply = json.loads(body)
    lost = reply["symbols"][7]
    lost["filters"] = [one for one in lost["filters"] if one["filterType"] != "LOT_SIZE"]
    infos, refused = decode_exchange_info(json.dumps(reply).encode(), what="recorded")
    assert refused.keys() == {lost["symbol"]}
    assert {info.symbol: info for info in infos} == {s: i for s, i in before.items() if s != lost["symbol"]}
