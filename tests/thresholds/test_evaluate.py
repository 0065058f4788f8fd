"""Rules bar by bar: against a slow reference, and what must not change anything."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aione.errors import InvalidInput
from aione.stage1.layers import NAMES
from aione.thresholds.actions import ACTIONS
from aione.thresholds.book import RuleBook
from aione.thresholds.evaluate import evaluate_bar
from aione.thresholds.files import EXAMPLE
from aione.thresholds.smoothing import Bases
from aione.thresholds.state import RuleState

from .reference import Reference, laid

SYMBOLS = ("AUSDT", "BUSDT", "CUSDT")
METRICS = ("rsi", "adx", "volume_z")
KEYS = ("stage1.volume_z", "stage2.entry_confidence", "stage3.tp_mult_factor")


def bases(size=3):
    return Bases({key: np.full(size, 1.0) for key in ACTIONS}, 0.4, 0.04, 0.002, 0.1)


def book(content, **others):
    texts = {EXAMPLE: yaml.safe_dump(content), **{name: yaml.safe_dump(one) for name, one in others.items()}}
    return RuleBook.parse(texts)


def bar(rules, values, at_s, state, symbols=SYMBOLS, base=None):
    metrics = {name: np.array(column, dtype=float) for name, column in values.items()}
    found = evaluate_bar(rules, metrics, symbols, "1m", 1000 * at_s, base or bases(len(symbols)), state)
    labels = np.array([*found.labels, ""], dtype=object)
    in_force = {key: one for key, one in found.keys.items() if not np.isnan(one.value).all()}
    return {key: SimpleNamespace(value=one.value, rule=labels[one.rule]) for key, one in in_force.items()}


def rule(name="r", when=None, actions=None, **more):
    when = {"metric": "rsi", "op": ">", "value": 50} if when is None else when
    return {"id": name, "when": when, "actions": actions or {"stage1.volume_z": 3.0}, **more}


def values_of(found, key):
    return found[key].value.tolist() if key in found else [np.nan] * len(SYMBOLS)


# ── Against the reference ──

numbers = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0])
conditions = st.one_of(
    st.builds(
        lambda metric, op, value: {"metric": metric, "op": op, "value": value},
        st.sampled_from(METRICS), st.sampled_from([">", ">=", "<", "<=", "==", "!="]), numbers,
    ),
    st.builds(
        lambda metric, pair: {"metric": metric, "op": "between", "value": sorted(pair)},
        st.sampled_from(METRICS), st.tuples(numbers, numbers),
    ),
    st.builds(
        lambda metric, some: {"metric": metric, "op": "in", "value": some},
        st.sampled_from(METRICS), st.lists(numbers, min_size=1, max_size=3),
    ),
)  # fmt: skip
groups = st.builds(
    lambda every, some: {"all": every, "any": some},
    st.lists(conditions, min_size=1, max_size=2), st.lists(conditions, max_size=2),
)  # fmt: skip
limits = st.fixed_dictionaries(
    {},
    optional={
        "min_interval_s": st.sampled_from([0, 60, 150]),
        "hold_s": st.sampled_from([0, 60, 200]),
        "max_apply_per_window": st.integers(1, 3),
        "window_s": st.sampled_from([100, 300]),
    },
).filter(lambda limits: "window_s" not in limits or "max_apply_per_window" in limits)
actions = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([0.2, 0.5, 0.9]), min_size=1)
rule_lists = st.lists(
    st.fixed_dictionaries(
        {"when": st.one_of(conditions, groups), "actions": actions, "priority": st.integers(0, 2), "limits": limits},
        optional={"regime": st.sampled_from(["x", "y"]), "weight": st.sampled_from([1.0, 2.5])},
    ),
    min_size=1,
    max_size=6,
).map(lambda rules: [{"id": f"r{number}", **one} for number, one in enumerate(rules)])
tapes = st.lists(
    st.lists(st.lists(st.one_of(numbers, st.just(float("nan"))), min_size=3, max_size=3), min_size=3, max_size=3),
    min_size=1,
    max_size=8,
)
merges = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["last", "first", "max", "min", "weighted"]))


@settings(max_examples=150, deadline=None)
@given(rule_lists, tapes, merges, st.booleans())
def test_every_bar_is_what_a_rule_by_rule_reading_gives(rules, tape, merge, restarts):
    compiled, state = book({"rules": rules, "merge": merge}), RuleState()
    slow = {symbol: Reference(rules, merge) for symbol in SYMBOLS}
    for number, columns in enumerate(tape, start=1):
        found = bar(compiled, dict(zip(METRICS, columns, strict=True)), 60 * number, state)
        for row, symbol in enumerate(SYMBOLS):
            expected = slow[symbol].bar({name: columns[at][row] for at, name in enumerate(METRICS)}, 60 * number)
            got = {
                key: (one.value[row], one.rule[row].split("#")[1]) for key, one in found.items()
                if not np.isnan(one.value[row])
            }  # fmt: skip
            assert {key: (pytest.approx(value), name) for key, (value, name) in expected.items()} == got
        if restarts:
            state = RuleState.from_dict(orjson.loads(orjson.dumps(state.to_dict())))


# Layers: a file of every symbol, one of B, and one of B on the timeframe; ids of the lower ones may be those above.

smoothings = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([0.25, 0.5, 1.0]))
files = st.fixed_dictionaries({"rules": rule_lists, "merge": merges, "smoothing": smoothings})


@settings(max_examples=100, deadline=None)
@given(st.tuples(files, files, files), tapes, st.lists(st.sets(st.sampled_from(SYMBOLS), min_size=1), max_size=8))
def test_layers_merging_and_smoothing_of_each_symbol_are_its_own(three, tape, seen):
    """Symbols come and go, in any company, and each finds what it would have found alone."""
    names = (EXAMPLE, "threshold_rules_BUSDT.yaml", "threshold_rules_BUSDT_1m.yaml")
    compiled = RuleBook.parse({name: yaml.safe_dump(one) for name, one in zip(names, three, strict=True)})
    slow = {symbol: Reference(*laid(*(three if symbol == "BUSDT" else three[:1]))) for symbol in SYMBOLS}
    state = RuleState()
    for number, columns in enumerate(tape, start=1):
        symbols = tuple(sorted(seen[number - 1])) if number <= len(seen) else SYMBOLS
        rows = [SYMBOLS.index(symbol) for symbol in symbols]
        values = {name: [column[row] for row in rows] for name, column in zip(METRICS, columns, strict=True)}
        found = bar(compiled, values, 60 * number, state, symbols=symbols)
        for at, symbol in enumerate(symbols):
            expected = slow[symbol].smoothed_bar({name: column[at] for name, column in values.items()}, 60 * number)
            got = {key: one.value[at] for key, one in found.items() if not np.isnan(one.value[at])}
            assert got == pytest.approx(expected)


# ── What must not change anything ──


def test_the_same_bar_again_gives_the_same_and_changes_nothing():
    rules, state = book({"rules": [rule(limits={"min_interval_s": 300, "max_apply_per_window": 1})]}), RuleState()
    first = bar(rules, {"rsi": [60, 40, np.nan]}, 60, state)
    before = state.to_dict()
    again = bar(rules, {"rsi": [10, 90, 90]}, 60, state)
    assert values_of(again, "stage1.volume_z") == pytest.approx(values_of(first, "stage1.volume_z"), nan_ok=True)
    assert state.to_dict() == before
    earlier = bar(rules, {"rsi": [10, 90, 90]}, 0, state)
    assert values_of(earlier, "stage1.volume_z") == pytest.approx([3.0, np.nan, np.nan], nan_ok=True)


def test_what_is_unknown_satisfies_no_condition_whatever_it_is():
    for op, value in [(">", -9), ("<", 9), ("!=", 5), ("between", [-9, 9]), ("in", [1.0]), ("==", 0)]:
        found = bar(
            book({"rules": [rule(when={"metric": "rsi", "op": op, "value": value})]}), {"rsi": [np.nan] * 3}, 60,
            RuleState(),
        )  # fmt: skip
        assert "stage1.volume_z" not in found


def test_symbols_do_not_leak_and_may_come_and_go():
    rules, state = book({"rules": [rule(limits={"hold_s": 600})]}), RuleState()
    bar(rules, {"rsi": [60, 60, 10]}, 60, state)
    found = bar(rules, {"rsi": [10, 60]}, 120, state, symbols=("CUSDT", "DUSDT"))
    assert found["stage1.volume_z"].value.tolist() == pytest.approx([np.nan, 3.0], nan_ok=True)
    found = bar(rules, {"rsi": [10, 10, 10]}, 180, state)
    assert values_of(found, "stage1.volume_z") == pytest.approx([3.0, 3.0, np.nan], nan_ok=True), "still held"


def test_a_minute_is_new_for_each_symbol_on_its_own():
    """A rescan of one symbol on a new bar leaves the bar new for the others."""
    rules, state = book({"rules": [rule(limits={"max_apply_per_window": 1})]}), RuleState()
    alone = bar(rules, {"rsi": [60]}, 60, state, symbols=("BUSDT",))
    assert values_of(alone, "stage1.volume_z") == [3.0]
    found = bar(rules, {"rsi": [60, 10, 60]}, 60, state)
    assert values_of(found, "stage1.volume_z") == [3.0, 3.0, 3.0], "B keeps what it had, and was counted once"
    (memory,) = state.rules.values()
    assert (memory.evaluations, memory.matched, memory.applied, memory.blocked) == (3, 3, 3, 0)


def test_a_symbol_that_was_away_for_a_day_is_forgotten_and_one_away_for_an_hour_is_not():
    rules, state = book({"rules": [rule(limits={"min_interval_s": 86_400})]}), RuleState()
    bar(rules, {"rsi": [60]}, 60, state, symbols=("AUSDT",))
    bar(rules, {"rsi": [60]}, 3_660, state, symbols=("BUSDT",))
    assert state.symbols == ("AUSDT", "BUSDT")
    assert bar(rules, {"rsi": [60]}, 3_720, state, symbols=("AUSDT",)) == {}, "its interval is not over"
    bar(rules, {"rsi": [60]}, 90_120, state, symbols=("CUSDT",))
    assert state.symbols == ("AUSDT", "CUSDT")


def test_one_symbol_that_is_unknown_leaves_every_other_byte_alone():
    rules = book({"rules": [rule(limits={"hold_s": 120})], "smoothing": {"stage1.volume_z": 0.3}})
    whole, poisoned = RuleState(), RuleState()
    for number, rsi in enumerate(np.random.default_rng(3).uniform(0, 100, (20, 3)), start=1):
        one = bar(rules, {"rsi": rsi}, 60 * number, whole)
        other = bar(rules, {"rsi": [rsi[0], np.nan, rsi[2]]}, 60 * number, poisoned)
        for row in (0, 2):
            assert values_of(one, "stage1.volume_z")[row] == pytest.approx(
                values_of(other, "stage1.volume_z")[row], rel=0, abs=0, nan_ok=True
            )


@pytest.mark.parametrize(
    "damage",
    [
        {"symbols": ["AUSDT"]},
        {"seen_ms": "no base64!"},
        {"seen_ms": "AAAA"},
        {"labels": []},
        {"rules": {"x": 3}},
        {"in_force": {"stage1.volume_z": ["AAAA"]}},
        {"sources": None},
    ],
)
def test_what_is_no_state_is_refused(damage):
    state = RuleState()
    bar(book({"rules": [rule()]}), {"rsi": [60, 60, 60]}, 60, state)
    with pytest.raises(InvalidInput, match="a state of the rules holds symbols, seen_ms"):
        RuleState.from_dict({**state.to_dict(), **damage})


# ── Layers ──


def test_a_rule_below_replaces_the_one_of_its_id_above_for_its_symbol_alone():
    rules = book(
        {"rules": [rule("a"), rule("b", actions={"stage1.vwap_z": 2.2})]},
        **{
            "threshold_rules_BUSDT.yaml": {"rules": [rule("a", actions={"stage1.volume_z": 4.0})]},
            "threshold_rules_BUSDT_1m.yaml": {"rules": [rule("b", enabled=False)]},
            "threshold_rules_CUSDT_5m.yaml": {"rules": [rule("a", enabled=False)]},
        },
    )
    found = bar(rules, {"rsi": [60, 60, 60]}, 60, RuleState())
    assert values_of(found, "stage1.volume_z") == [3.0, 4.0, 3.0]
    assert values_of(found, "stage1.vwap_z") == pytest.approx([2.2, np.nan, 2.2], nan_ok=True)
    assert found["stage1.volume_z"].rule[1] == "threshold_rules_BUSDT.yaml#a"


def test_a_rule_that_reads_otherwise_begins_anew_and_one_that_is_gone_is_forgotten():
    state = RuleState()
    bar(book({"rules": [rule("a"), rule("b")]}), {"rsi": [60, 60, 60]}, 60, state)
    key = f"{EXAMPLE}#a"
    assert (state.rules[key].evaluations, state.rules[key].applied) == (3, 3)
    bar(book({"rules": [rule("a", priority=5)]}), {"rsi": [60, 10, 10]}, 120, state)
    assert list(state.rules) == [key]
    assert (state.rules[key].evaluations, state.rules[key].applied, state.rules[key].last_ms) == (3, 1, 120_000)


def test_what_is_in_force_keeps_its_rule_when_other_rules_go():
    state, both = RuleState(), [rule("a"), rule("b", actions={"stage1.vwap_z": 2.2}, limits={"hold_s": 600})]
    bar(book({"rules": both}), {"rsi": [60, 60, 60]}, 60, state)
    found = bar(book({"rules": both[1:]}), {"rsi": [10, 10, 10]}, 120, state)
    assert list(found) == ["stage1.vwap_z"]
    assert list(found["stage1.vwap_z"].rule) == [f"{EXAMPLE}#b"] * 3
    again = bar(book({"rules": both[1:]}), {"rsi": [10, 10, 10]}, 120, RuleState.from_dict(state.to_dict()))
    assert list(again["stage1.vwap_z"].rule) == [f"{EXAMPLE}#b"] * 3


# ── Smoothing ──


def test_a_smoothed_key_goes_a_share_of_the_way_and_comes_back():
    rules = book({"rules": [rule(actions={"stage1.volume_z": 3.0})], "smoothing": {"stage1.volume_z": 0.5}})
    state, seen = RuleState(), []
    for number, rsi in enumerate([60, 60, 60, 10, 10, 10], start=1):
        seen.append(values_of(bar(rules, {"rsi": [rsi] * 3}, 60 * number, state), "stage1.volume_z")[0])
    assert seen == pytest.approx([2.0, 2.5, 2.75, 1.875, 1.4375, 1.21875])
    for number in range(7, 30):
        found = bar(rules, {"rsi": [10] * 3}, 60 * number, state)
    assert np.isnan(values_of(found, "stage1.volume_z")).all(), "it has arrived where it was without rules"
    assert state.smoothed == {}


def test_a_key_whose_base_is_nothing_arrives_there_too():
    rules, base = book({"rules": [rule()], "smoothing": {"stage1.volume_z": 0.5}}), bases()
    base.values["stage1.volume_z"][:] = 0.0
    state = RuleState()
    bar(rules, {"rsi": [60] * 3}, 60, state, base=base)
    for number in range(2, 40):
        bar(rules, {"rsi": [10] * 3}, 60 * number, state, base=base)
    assert (state.smoothed, state.in_force) == ({}, {})


def test_the_move_is_driven_by_its_factor_within_bounds_and_relaxes():
    key = "stage2.move_pct_up_factor"
    rules, base = book({"rules": [rule(actions={key: 1.5})]}), bases()
    base.values[key][:] = 0.01
    state = RuleState()
    bars = (bar(rules, {"rsi": [60] * 3}, 60 * number, state, base=base) for number in range(1, 30))
    seen = [values_of(found, key)[0] for found in bars]
    assert seen[:2] == pytest.approx([0.01 + 0.4 * 0.005, 0.012 + 0.4 * 0.006])
    assert max(seen) == 0.1, "a lasting rule drives it to the bound and no further"
    now = values_of(bar(rules, {"rsi": [10] * 3}, 1_900, state, base=base), key)[0]
    assert now == pytest.approx(0.1 + 0.04 * (0.01 - 0.1))


def test_a_rule_moves_a_value_when_it_is_applied_and_not_while_it_is_held():
    key = "stage2.move_pct_up_factor"
    limits = {"min_interval_s": 180, "hold_s": 180}
    rules = book({"rules": [rule(actions={key: 2.0, "stage1.volume_z": 3.0}, limits=limits)]})
    base, state = bases(), RuleState()
    base.values[key][:] = 0.01
    bars = [bar(rules, {"rsi": [60] * 3}, 60 * number, state, base=base) for number in range(1, 5)]
    assert [values_of(found, "stage1.volume_z")[0] for found in bars] == [3.0] * 4
    first = 0.01 + 0.4 * 0.01
    second = first + 0.04 * (0.01 - first)
    third = second + 0.04 * (0.01 - second)
    expected = [first, second, third, third + 0.4 * third]
    assert [values_of(found, key)[0] for found in bars] == pytest.approx(expected)


def test_every_threshold_of_stage1_can_be_set_and_multiplied():
    assert {f"stage1.{name}" for name in NAMES} | {f"stage1.{name}_factor" for name in NAMES} <= set(ACTIONS)
