"""Bars of the real exchange through the product's own path."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal

import pytest

from aione.panel.bars import Finality
from aione.store.rings import MemoryRings
from aione.stream.bars import records

from .recorded_parts import (
    CLOSED_MS,
    FORMING_MS,
    SYMBOLS,
    Line,
    expected,
    forming,
    stored,
)
from .recorded_parts import quoting as quoting  # noqa: PLC0414  # a fixture
from .recorded_parts import recorded as recorded  # noqa: PLC0414  # a fixture

pytestmark = pytest.mark.recorded


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
