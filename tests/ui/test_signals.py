"""The log of signals remembers what the states that pass by no longer say."""

from __future__ import annotations

import msgspec
import pytest

from aione.publish.payload import Asset, Snapshot
from aione.ui.signals import SignalLog, progress_r


def without(market: Snapshot, symbol: str) -> Snapshot:
    assets = [
        msgspec.structs.replace(a, signal="NONE", state="normal") if a.symbol == symbol else a for a in market.assets
    ]
    return msgspec.structs.replace(market, assets=assets)


def test_new_signals_come_first_by_confidence(market) -> None:
    log = SignalLog()
    fresh = log.update(market)
    assert [event.symbol for event in fresh] == ["SOLUSDT", "WIFUSDT", "1000PEPEUSDT"]
    assert log.events == fresh


def test_a_signal_that_stays_is_told_once(market) -> None:
    log = SignalLog()
    log.update(market)
    assert log.update(market) == ()
    assert len(log.events) == 3


def test_a_signal_that_ends_stays_in_the_log_and_may_come_back(market) -> None:
    log = SignalLog()
    log.update(market)
    log.update(without(market, "WIFUSDT"))
    assert {event.symbol: event.is_over for event in log.events} == {
        "SOLUSDT": False,
        "WIFUSDT": True,
        "1000PEPEUSDT": False,
    }
    assert [event.symbol for event in log.update(market)] == ["WIFUSDT"]
    assert [(event.symbol, event.is_over) for event in log.events][:1] == [("WIFUSDT", False)]
    assert len(log.events) == 4


def test_the_other_side_is_another_signal(market) -> None:
    log = SignalLog()
    log.update(market)
    turned = [msgspec.structs.replace(a, signal="ALERT_SELL") if a.symbol == "SOLUSDT" else a for a in market.assets]
    assert [e.side for e in log.update(msgspec.structs.replace(market, assets=turned))] == ["short"]
    assert [e.is_over for e in log.events if e.symbol == "SOLUSDT"] == [False, True]


def test_the_log_is_bounded(market) -> None:
    log = SignalLog(size=2)
    log.update(market)
    assert [event.symbol for event in log.events] == ["SOLUSDT", "WIFUSDT"]


def test_a_signal_without_plan_or_score_is_logged_with_what_is_known(market) -> None:
    bare = msgspec.structs.replace(market, assets=[Asset(symbol="X", state="alert", signal="ALERT_BUY", price=2.0)])
    (event,) = SignalLog().update(bare)
    assert (event.entry, event.sl, event.confidence, event.scenario) == (2.0, None, None, "UNCERTAIN")
    assert progress_r(event, 3.0) is None


@pytest.mark.parametrize(
    ("symbol", "moved", "expected"), [("SOLUSDT", 1.01, 1.0), ("WIFUSDT", 1.01, -1.0), ("WIFUSDT", 0.98, 2.0)]
)
def test_progress_is_in_multiples_of_the_risk_for_the_side(market, symbol, moved, expected) -> None:
    """The plans of the market risk 1 % of the price."""
    event = next(e for e in SignalLog().update(market) if e.symbol == symbol)
    assert progress_r(event, event.entry * moved) == pytest.approx(expected)
    assert progress_r(event, None) is None
