"""Who comes into quarantine, who stays, who is let out; and an entry is what was stored of it."""

from __future__ import annotations

import pytest

from aione.errors import InvalidInput
from aione.quality import Finding, Quarantined, settle
from aione.store import keys
from aione.store.state import StateStore

NOW = 1_747_742_400_000
EVERYTHING = {name: {"A", "B"} for name in ("universe", "history", "hour")}


def found(symbol, rule, value=1.0):
    return Finding(symbol, rule, 1, NOW - 60_000, value, 0.5)


def entry(symbol, rule, by="guard"):
    return Quarantined(symbol, rule, 1.0, 0.5, NOW - 120_000, NOW - 100_000, by)


def test_a_symbol_comes_in_with_the_gravest_of_its_reasons():
    settled = settle({}, [found("A", "price_jump"), found("A", "range_inverted")], EVERYTHING, "guard", NOW)
    (added,) = settled.added
    assert added == Quarantined("A", "range_inverted", 1.0, 0.5, NOW - 60_000, NOW, "guard")
    assert dict(settled.held) == {"A": added}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_null(value):
    (added,) = settle({}, [found("A", "volume_negative", value)], EVERYTHING, "guard", NOW).added
    assert (added.value, added.bound) == (None, 0.5)


@pytest.mark.parametrize("rule", ["holes", "stale", "universe_collapsed"])
def test_a_rule_that_only_reports_keeps_nobody_out(rule):
    assert settle({}, [found("A", rule), found("", rule)], EVERYTHING, "suite", NOW).held == {}


def test_who_is_in_for_a_reason_that_still_holds_stays_as_it_was():
    held = {"A": entry("A", "price_jump")}
    settled = settle(held, [found("A", "range_inverted"), found("A", "price_jump")], EVERYTHING, "suite", NOW)
    assert (settled.added, settled.changed, settled.released) == ((), (), ())
    assert settled.held == held


def test_who_is_in_for_a_reason_that_is_over_and_has_another_stays_since_when_it_was():
    settled = settle({"A": entry("A", "price_jump")}, [found("A", "not_trading")], EVERYTHING, "suite", NOW)
    (changed,) = settled.changed
    assert (changed.rule, changed.since_ms, changed.by) == ("not_trading", NOW - 100_000, "guard")
    assert (settled.added, settled.released) == ((), ())


@pytest.mark.parametrize("by", ["guard", "suite"])
def test_whoever_looks_first_and_finds_nothing_lets_out(by):
    held = {"A": entry("A", "price_jump", "suite"), "B": entry("B", "not_trading", "guard")}
    settled = settle(held, [], EVERYTHING, by, NOW)
    assert {one.symbol for one in settled.released} == {"A", "B"}
    assert settled.held == {}


def test_nobody_is_let_out_whose_data_was_not_looked_at():
    held = {"A": entry("A", "price_jump"), "C": entry("C", "price_jump")}
    assert settle(held, [], {"history": {"A", "C"}}, "suite", NOW).held == held
    assert list(settle(held, [], {"hour": {"A"}}, "suite", NOW).held) == ["C"]


def test_who_has_left_the_universe_is_let_out():
    held = {"A": entry("A", "price_jump"), "C": entry("C", "price_jump")}
    settled = settle(held, [found("A", "price_jump")], {}, "suite", NOW, members={"A", "B"})
    assert [one.symbol for one in settled.released] == ["C"]


def test_an_entry_of_another_versions_rule_is_let_out_by_a_look_at_the_bars():
    held = {"A": entry("A", "of_the_future")}
    assert "another version" in held["A"].detail
    assert settle(held, [], {"hour": {"A"}}, "guard", NOW).held == {}


def test_the_detail_tells_value_and_bound():
    assert entry("A", "price_jump").detail == "the open is too far from the close before it: 1, bound 0.5"


async def test_the_quarantine_survives_in_redis_and_changes_by_symbol(redis):
    store = StateStore(redis)
    assert await store.load_quarantine() == {}
    both = {symbol: entry(symbol, "price_jump") for symbol in ("A", "B")}
    await store.change_quarantine(both.values(), [])
    assert await store.load_quarantine() == both
    later = entry("A", "not_trading", "suite")
    await store.change_quarantine([later], ["B"])
    assert await store.load_quarantine() == {"A": later}
    await store.change_quarantine([], [])
    assert await store.load_quarantine() == {"A": later}


@pytest.mark.parametrize("raw", [b"{}", b'{"symbol": "A", "rule": "x", "value": "high"}', b"[]"])
async def test_an_entry_that_is_none_is_refused_with_what_is_wrong(redis, raw):
    await redis.hset(keys.quarantine(), "A", raw)
    with pytest.raises(InvalidInput, match="not an entry of the quarantine"):
        await StateStore(redis).load_quarantine()
