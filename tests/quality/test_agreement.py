"""Guards and suites name the same symbols and rules, on every defect that is put in, and on bars without any."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aione.errors import AioneError
from aione.panel import MINUTE_MS, BarPanel
from aione.quality import RULES, UniverseRows, check_bars, check_history, check_times, check_universe
from aione.quality.guards import least_symbols
from aione.quality.rules import rules_of
from config.models import QualityParams

from .conftest import END_MS, SYMBOLS, sound_records
from .corpus import HOUR_BOUNDARIES, HOUR_DEFECTS, IMPROBABLE

SEEDS = (1, 2, 3)
PLACES = (2, 37, 60)
SEEN: set[str] = set()
"""Rules that some defect of the corpus has broken; the last test asks for all of them."""


def told(findings):
    return {(one.symbol, one.rule) for one in findings}


def whole(findings):
    """Everything that is said of each finding, NaN as text."""
    return {
        (one.symbol, one.rule): (one.count, one.at_ms, *(repr(round_(number)) for number in (one.value, one.bound)))
        for one in findings
    }


def round_(number):
    return float(f"{number:.12g}") if math.isfinite(number) else number


def by_guards(records, bars, params, end_ms=END_MS):
    panel = BarPanel.from_records(records, end_ms=end_ms, bars=bars)
    return [*check_bars(panel, params), *check_times(records, MINUTE_MS, params)]


def by_suite(suites, records, params):
    from aione.quality.frames import bar_frame  # noqa: PLC0415  # pandas, like its neighbours

    frame = bar_frame(records, MINUTE_MS, params)
    return [one for verdict in suites.validate("hour", frame, params) for one in verdict.findings]


@pytest.mark.parametrize("seed", SEEDS)
def test_sound_bars_break_no_rule(suites, params, seed):
    records = sound_records(seed, bars=60)
    assert by_guards(records, 60, params) == []
    assert by_suite(suites, records, params) == []


@pytest.fixture(scope="module")
def hour(suites):
    """Each defect and each boundary in bars of its own, by seed and place, among sound ones: one validation for all."""
    records = sound_records(9, bars=61)
    for name, change in (HOUR_DEFECTS | HOUR_BOUNDARIES).items():
        for seed in SEEDS:
            for place in PLACES:
                (rows,) = sound_records(seed, bars=61, symbols=["X"]).values()
                records[f"{name}, seed {seed}, bar {place}"] = change(rows, place)
    params = QualityParams()
    return by_guards(records, 61, params), by_suite(suites, records, params)


def of(findings, name):
    return [one for one in findings if one.symbol.startswith(f"{name}, seed ")]


@pytest.mark.parametrize("name", HOUR_DEFECTS)
def test_a_defect_of_a_bar_is_told_alike(hour, name):
    guards, suite = (of(findings, name) for findings in hour)
    assert whole(guards) == whole(suite)
    assert len({one.symbol for one in guards}) == len(SEEDS) * len(PLACES)
    SEEN.update(one.rule for one in guards)


@pytest.mark.parametrize("name", HOUR_BOUNDARIES)
def test_what_is_on_the_bound_is_sound(hour, name):
    assert [of(findings, name) for findings in hour] == [[], []]


def test_sound_symbols_among_the_broken_are_not_told(hour):
    for findings in hour:
        assert not {one.symbol for one in findings} & set(SYMBOLS)


@pytest.mark.parametrize("seed", range(4))
def test_many_defects_at_once_are_told_alike(suites, params, seed):
    rng = np.random.default_rng(seed)
    records = sound_records(100 + seed, bars=61, symbols=[f"S{number:03}" for number in range(40)])
    names = [name for name in HOUR_DEFECTS if name not in {"the same minute twice", "a bar between two minutes"}]
    for symbol in list(records)[::2]:
        for name in rng.choice(names, 3, replace=False):
            records[symbol] = HOUR_DEFECTS[name](records[symbol], int(rng.integers(2, 60)))
    guards = by_guards(records, 61, params)
    assert whole(guards) == whole(by_suite(suites, records, params))
    assert {symbol for symbol, _ in told(guards)} == set(list(records)[::2])


def test_a_rule_that_is_off_is_looked_at_by_neither(suites):
    params = QualityParams(off=("price_jump", "volume_without_trades"))
    records = {"X": HOUR_DEFECTS["a decimal point has moved"](sound_records(1, bars=60)["AUSDT"], 30)}
    records["Y"] = HOUR_DEFECTS["volume and no trade"](sound_records(2, bars=60)["AUSDT"], 30)
    assert by_guards(records, 60, params) == by_suite(suites, records, params) == []
    assert histories(suites, records, np.zeros(2, np.int64), 60, params) == ({}, {})


# ── History ──


def histories(suites, records, holes, bars, params):
    from aione.quality.frames import bar_frame, history_frame  # noqa: PLC0415

    panel = BarPanel.from_records(records, end_ms=END_MS, bars=bars)
    frame = history_frame(bar_frame(records, MINUTE_MS, params), list(records), holes, END_MS, MINUTE_MS, bars, params)
    verdicts = suites.validate("history", frame, params)
    return whole(check_history(panel, holes, params)), whole([one for v in verdicts for one in v.findings])


def test_a_defect_before_the_hour_is_told_as_an_unsound_history_by_both(suites, params):
    names = [name for name in HOUR_DEFECTS if "minute" not in name]
    records = sound_records(4)
    for seed in SEEDS:
        for name in names:
            (rows,) = sound_records(seed, symbols=["X"]).values()
            records[f"{name}, {seed}"] = HOUR_DEFECTS[name](rows, 40)
    guards, suite = histories(suites, records, np.zeros(len(records), np.int64), 180, params)
    assert guards == suite
    expected = {f"{name}, {seed}" for name in names if name not in IMPROBABLE for seed in SEEDS}
    assert set(guards) == {(symbol, "unsound_bars") for symbol in expected}
    SEEN.add("unsound_bars")


@pytest.mark.parametrize(
    ("lost", "holes", "expected"),
    [
        (range(20, 30), 10, {"holes"}),
        (range(20, 21), 1, {"holes"}),
        (range(20, 30), 0, set()),
        (range(20, 38), 0, set()),
        (range(20, 39), 0, {"absent_share"}),
        (range(20, 60), 22, {"holes"}),
        (range(20, 60), 21, {"holes", "absent_share"}),
        (range(178, 180), 0, set()),
        (range(177, 180), 0, {"stale"}),
        (range(180), 0, {"stale"}),
        (range(150), 0, set()),
        (range(0), 0, set()),
    ],
)
def test_bars_that_are_not_there_are_told_alike(suites, params, lost, holes, expected):
    records = sound_records(5)
    records["BUSDT"] = np.delete(records["BUSDT"], list(lost))
    lacking = np.array([holes * (symbol == "BUSDT") for symbol in records], np.int64)
    guards, suite = histories(suites, records, lacking, 180, params)
    assert guards == suite
    assert set(guards) == {("BUSDT", rule) for rule in expected}
    SEEN.update(expected)


# ── Universe ──

LISTED_MS = 1_600_000_000_000


def universe(**columns):
    size = len(SYMBOLS)
    known = {
        "symbols": SYMBOLS,
        "status": ("TRADING",) * size,
        "tick_size": np.full(size, 0.1),
        "step_size": np.full(size, 0.001),
        "min_notional": np.zeros(size),
        "onboard_ms": np.full(size, LISTED_MS),
    }
    return UniverseRows(**(known | columns))


def changed(value, name):
    column = getattr(universe(), name).copy()
    column[2] = value
    return {name: column}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, set()),
        *((changed(bad, "tick_size"), {"tick_size_not_positive"}) for bad in (0.0, -0.1, math.nan, math.inf)),
        *((changed(bad, "step_size"), {"step_size_not_positive"}) for bad in (0.0, -0.1, math.nan, math.inf)),
        *((changed(bad, "min_notional"), {"min_notional_negative"}) for bad in (-1e-9, math.nan, math.inf)),
        (changed(5.0, "min_notional"), set()),
        (changed(5e-324, "tick_size"), set()),
        ({"status": ("TRADING", "TRADING", "SETTLING", "TRADING", "TRADING")}, {"not_trading"}),
        (changed(END_MS, "onboard_ms"), set()),
        (changed(END_MS + 1, "onboard_ms"), {"onboard_time_strange"}),
        (changed(1_567_900_800_000, "onboard_ms"), set()),
        (changed(1_567_900_799_999, "onboard_ms"), {"onboard_time_strange"}),
        (changed(0, "onboard_ms"), {"onboard_time_strange"}),
    ],
)
def test_trading_rules_are_told_alike(suites, params, columns, expected):
    guards, suite = universes(suites, universe(**columns), None, params)
    assert guards == suite
    assert set(guards) == {("CUSDT", rule) for rule in expected}
    SEEN.update(expected)


def test_a_symbol_that_is_listed_twice_is_told_by_both(suites, params):
    rows = universe(symbols=("AUSDT", "BUSDT", "CUSDT", "BUSDT", "EUSDT"))
    guards, suite = universes(suites, rows, 5, params)
    assert guards == suite
    assert set(guards) == {("BUSDT", "symbol_twice")}
    SEEN.add("symbol_twice")


@pytest.mark.parametrize(("before", "is_collapse"), [(None, False), (5, False), (7, False), (8, True), (500, True)])
def test_a_collapse_of_the_universe_is_told_by_both(suites, params, before, is_collapse):
    guards, suite = universes(suites, universe(), before, params)
    assert guards == suite
    assert set(guards) == ({("", "universe_collapsed")} if is_collapse else set())
    SEEN.update({"universe_collapsed"} if is_collapse else ())


def test_an_empty_universe_after_a_full_one_is_a_collapse(suites, params):
    nothing = UniverseRows((), (), *(np.empty(0) for _ in range(3)), np.empty(0, np.int64))
    guards, suite = universes(suites, nothing, 5, params)
    assert set(guards) == set(suite) == {("", "universe_collapsed")}


def universes(suites, rows, before, params):
    from aione.quality.frames import universe_frame  # noqa: PLC0415

    verdicts = suites.validate(
        "universe",
        universe_frame(rows, END_MS),
        params,
        now_ms=END_MS,
        least_symbols=least_symbols(before, params),
    )
    return whole(check_universe(rows, END_MS, before, params)), whole([one for v in verdicts for one in v.findings])


# ── Both ──


def test_an_expectation_that_cannot_be_evaluated_is_an_error_with_the_rules_name(suites, params):
    from aione.quality.frames import bar_frame  # noqa: PLC0415

    frame = bar_frame(sound_records(bars=60), MINUTE_MS, params).drop(columns="jump_frac")
    with pytest.raises(AioneError, match=r"rule price_jump: .*jump_frac"):
        suites.validate("hour", frame, params)


@pytest.mark.parametrize("dataset", ["universe", "history", "hour"])
def test_a_suite_has_an_expectation_of_every_rule_and_no_other(suites, params, dataset):
    found = {one.meta["rule"] for one in suites.suite_of(dataset, params).expectations}
    assert found == {rule.name for rule in rules_of(dataset, params)}


def test_no_bars_at_all_break_nothing(suites, params):
    assert by_suite(suites, {}, params) == by_guards({}, 60, params) == []
    assert histories(suites, {}, np.empty(0, np.int64), 60, params) == ({}, {})


def test_every_rule_was_broken_by_something_of_the_corpus():
    assert set(RULES) == SEEN
