"""Messages of the real exchange maltreated: counted, and never a wrong bar."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from aione.errors import MalformedReply
from aione.panel.bars import MINUTE_MS, Finality
from aione.venue.stream_wire import decode

from .recorded_parts import (
    CLOSED_MS,
    FORMING_MS,
    MALTREATED,
    SYMBOLS,
    Line,
    expected,
    final,
    forming,
    stored,
)
from .recorded_parts import quoting as quoting  # noqa: PLC0414  # a fixture
from .recorded_parts import recorded as recorded  # noqa: PLC0414  # a fixture

pytestmark = pytest.mark.recorded

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
