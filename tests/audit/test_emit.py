"""What a minute's results are worth to be remembered."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from aione.audit.emit import cycle_events, rule_events, trade_events
from aione.audit.kinds import undocumented
from aione.audit.memory import AuditMemory
from aione.errors import InvalidInput
from aione.evaluate import walk
from aione.panel import BAR_RECORD, MINUTE_MS, BarPanel
from aione.stage3.book import TradeBook
from aione.stage3.machine import Event
from aione.stage3.trade import TradeEvent
from config.settings import load_settings

BARS = 720


@pytest.fixture(scope="module")
def steps():
    """Two hours of two symbols that move, one of which loses its last bars."""
    rng = np.random.default_rng(11)
    records = {}
    for symbol in ("BTCUSDT", "AUSDT", "GONEUSDT"):
        rows = np.zeros(BARS, dtype=BAR_RECORD)
        rows["open_time_ms"] = 1_747_742_400_000 + MINUTE_MS * np.arange(BARS)
        close = 100.0 * np.exp(np.cumsum(1.5e-3 * rng.standard_t(3, BARS)))
        rows["open"] = np.concatenate([[100.0], close[:-1]])
        rows["high"], rows["low"] = np.maximum(rows["open"], close) * 1.0005, np.minimum(rows["open"], close) * 0.9995
        rows["close"], rows["volume"] = close, rng.lognormal(3.0, 1.2, BARS)
        rows["quote_volume"], rows["taker_buy_volume"] = close * rows["volume"], rows["volume"] * rng.random(BARS)
        records[symbol] = rows[:-30] if symbol == "GONEUSDT" else rows
    panel = BarPanel.from_records(records, end_ms=1_747_742_400_000 + MINUTE_MS * (BARS - 1), bars=BARS)
    settings = load_settings(environ={}, overrides={"SCREENING_LOOKBACK": 600})
    return list(walk(panel, None, settings, start=600))


def emitted(steps, memory=None):
    memory = AuditMemory() if memory is None else memory
    return [cycle_events(step.readings, step.stage1, step.stage2, memory) for step in steps], memory


def of_kind(minutes, kind):
    return [event for minute in minutes for event in minute if event.kind == kind]


def test_every_kind_and_every_key_is_documented(steps):
    minutes, _ = emitted(steps)
    events = [event for minute in minutes for event in minute]
    assert undocumented(events) == []
    assert {event.kind for event in events} == {"metrics", "alignment", "alert", "validation", "decision"}
    assert len({event.id for event in events}) == len(events)


def test_an_alert_is_logged_where_it_begins_and_where_it_ends(steps):
    minutes, _ = emitted(steps)
    for row, symbol in enumerate(steps[0].stage1.symbols):
        logged = [event.payload["state"] for event in of_kind(minutes, "alert") if event.symbol == symbol]
        sides = [
            f"{step.stage1.states[symbol].side:+d}" if step.stage1.alert[row] else "" for step in steps
            if step.stage1.scored[row]
        ]  # fmt: skip
        changes = [now for before, now in zip(["", *sides], sides, strict=False) if now != before]
        assert logged == ["began" if now else "ended" for now in changes]
    assert len(of_kind(minutes, "alignment")) == sum(
        event.payload["state"] == "began" for event in of_kind(minutes, "alert")
    )


def test_density_rank_and_burst_are_those_of_the_bars_on_which_a_trigger_counted(steps):
    minutes, _ = emitted(steps)
    counted = [bool(step.stage1.grounds.weighed.counted[:, 1].any()) for step in steps]
    ranks = [float(step.readings["relative_strength_rank"][1]) for step in steps]
    last = [event for event in of_kind(minutes, "metrics") if event.symbol == "AUSDT"][-1]
    until = max(at for at, has in enumerate(counted) if has) + 1
    assert last.payload["density"] == pytest.approx(1000 * np.mean(counted[:until]), abs=0.01)
    expected = np.mean([rank for rank, has in zip(ranks[:until], counted, strict=False) if has])
    assert last.payload["mean_rank"] == pytest.approx(expected, abs=1e-4)
    run = 0
    for has in reversed(counted[:until]):
        if not has:
            break
        run += 1
    assert last.payload["burst"] == run


def test_a_decision_is_logged_when_it_is_another_than_before(steps):
    minutes, _ = emitted(steps)
    decisions = [event for event in of_kind(minutes, "decision") if event.symbol == "AUSDT"]
    alerted = sum(bool(step.stage1.alert[1]) for step in steps)
    assert 0 < len(decisions) <= alerted
    for event in decisions:
        known = [part for part in event.payload["contributions"].values() if part is not None]
        assert sum(known) == pytest.approx(event.payload["direction"])


def test_a_symbol_without_its_bar_says_nothing(steps):
    minutes, _ = emitted(steps[-29:])
    assert not [event for minute in minutes for event in minute if event.symbol == "GONEUSDT"]


def test_the_same_minute_twice_gives_nothing(steps):
    _, memory = emitted(steps[:3])
    assert emitted(steps[:3], memory)[0] == [[], [], []]


def test_a_restart_between_any_two_minutes_changes_nothing(steps):
    whole, _ = emitted(steps)
    memory, parts = AuditMemory(), []
    for step in steps:
        parts.append(cycle_events(step.readings, step.stage1, step.stage2, memory))
        memory = AuditMemory.from_dict(orjson.loads(orjson.dumps(memory.to_dict())))
    assert parts == whole


def test_a_memory_of_another_version_is_read_as_far_as_it_is_known():
    old = {"bar_ms": 7, "fields": ["burst", "moon"], "symbols": {"A": [3, "full"]}}
    memory = AuditMemory.from_dict(old)
    assert (memory.bar_ms, memory.of("A").burst, memory.of("A").seen) == (7, 3, 0)
    with pytest.raises(InvalidInput, match="an audit memory holds"):
        AuditMemory.from_dict({"bar_ms": 1})


def test_trades_and_rules_are_logged_with_their_facts():
    event = TradeEvent("t1", 2, 60_000, Event.STOP_HIT, {"price": 9.0, "symbol": "AUSDT"})
    (logged,) = trade_events([event], TradeBook())
    assert (logged.symbol, logged.ts, logged.payload["event"]) == ("AUSDT", 60_000, Event.STOP_HIT.value)
    change = {"symbol": "A", "key": "stage1.volume_z", "old": 2.5, "new": 3.0, "rule": "calm", "source": "x.yaml"}
    (logged,) = rule_events("stage1", "dyn_thresholds_pre", [change], 5)
    assert undocumented([logged]) == []
    assert logged.payload["new"] == 3.0
    strange = logged._replace(payload={**logged.payload, "moon": 1})
    assert undocumented([strange, logged._replace(kind="x")]) == ["stage1 dyn_thresholds_pre: moon", "stage1 x"]
