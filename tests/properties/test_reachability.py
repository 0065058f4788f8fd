"""Every scenario and recommendation is reached, on stories and on recorded bars; a story is read as what it is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from aione.evaluate.walk import walk
from aione.sim.panels import recorded_panels
from aione.stage2 import SCENARIOS
from config.settings import RECOMMENDATIONS

from .stories import LEAD, daily_of, market_of, panel_of

SEEDS = (3, 4, 5)

READ = {
    "BREAKOUT": (36, {"BULLISH_BREAKOUT", "BULLISH_CONTROL"}),
    "TREND": (60, {"BULLISH_BREAKOUT", "BULLISH_CONTROL"}),
    "SLOW_TREND": (60, {"BULLISH_BREAKOUT", "BULLISH_CONTROL"}),
    "RUN": (30, {"BULLISH_BREAKOUT", "BULLISH_CONTROL"}),
}
"""Told upwards: how many of the last bars are asked, and what a person would call them."""

EVEN = {
    "RANGE": (60, {"RANGE_BOUND"}),
    "VIOLENT": (40, {"HIGH_VOLATILITY", "RANGE_BOUND", "UNCERTAIN"}),
    "TORN": (60, {"RANGE_BOUND", "UNCERTAIN", "HIGH_VOLATILITY"}),
}

RECORDED_SCENARIOS = {
    "BULLISH_BREAKOUT": ("XMRUSDT", "2025-05-16 03:12"),
    "BEARISH_BREAKDOWN": ("LTCUSDT", "2025-05-17 22:06"),
    "BULLISH_REVERSAL": ("ENAUSDT", "2025-05-12 18:16"),
    "BEARISH_REVERSAL": ("BTCUSDT", "2025-05-13 04:47"),
    "BULLISH_CONTROL": ("AVAXUSDT", "2025-05-10 21:46"),
    "BEARISH_CONTROL": ("LAYERUSDT", "2025-05-15 09:48"),
    "RANGE_BOUND": ("ETCUSDT", "2025-05-18 03:08"),
    "HIGH_VOLATILITY": ("ETHUSDT", "2025-05-11 13:28"),
    "MANIPULATED": ("XMRUSDT", "2025-05-16 08:00"),
    "UNCERTAIN": ("LTCUSDT", "2025-05-18 05:49"),
}
RECORDED_WORDS = {
    "STRONG_BUY": ("LINKUSDT", "2025-05-12 07:00"),
    "BUY_IN_DIPS": ("SUIUSDT", "2025-05-18 14:46"),
    "HOLD": ("ADAUSDT", "2025-05-11 12:31"),
    "RANGE_TRADE": ("ETHUSDT", "2025-05-12 08:52"),
    "WAIT_FOR_CONFIRMATION": ("BNBUSDT", "2025-05-12 11:04"),
    "SELL_ON_RALLIES": ("XLMUSDT", "2025-05-15 09:32"),
    "STRONG_SELL": ("ENAUSDT", "2025-05-15 05:34"),
    "AVOID": ("XRPUSDT", "2025-05-11 06:42"),
    "AVOID_HIGH_RISK": ("BTCUSDT", "2025-05-18 07:57"),
}


@pytest.fixture(scope="module")
def told(settings):
    """For each seed: symbol -> (scenario, recommendation, alerted) of every bar of the stories."""
    found = []
    for seed in SEEDS:
        panel = panel_of(seed)
        bars: dict[str, list[tuple[str, str | None, bool]]] = {symbol: [] for symbol in panel.symbols}
        for step in walk(panel, daily_of(seed, panel), settings, start=LEAD, market_at=market_of(panel)):
            for row, symbol in enumerate(panel.symbols):
                result = step.stage2
                alerted = bool(step.stage1.alert[row])
                bars[symbol].append((result.scenario_name(row), result.recommendation_name(row), alerted))
        found.append(bars)
    return found


def test_every_scenario_and_every_recommendation_is_reached_while_alerted(told):
    bars = [bar for stories in told for story in stories.values() for bar in story if bar[2]]
    assert {scenario for scenario, _, _ in bars} == set(SCENARIOS)
    assert {word for _, word, _ in bars} == set(RECOMMENDATIONS)


def test_no_scenario_rules_the_alerted_time(told):
    bars = Counter(bar[0] for stories in told for story in stories.values() for bar in story if bar[2])
    assert max(bars.values()) < 0.6 * bars.total()


def image(name):
    swap = {"BULLISH_BREAKOUT": "BEARISH_BREAKDOWN", "BULLISH_CONTROL": "BEARISH_CONTROL"}
    return swap.get(name, name)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("side", ["UP", "DOWN"])
def test_a_story_with_a_side_is_read_as_that(told, name, side):
    bars, meant = READ[name]
    meant = {image(one) for one in meant} if side == "DOWN" else meant
    for stories in told:
        read = [scenario for scenario, _, _ in stories[f"{name}_{side}"][-bars:]]
        assert sum(scenario in meant for scenario in read) >= 0.6 * bars, Counter(read)


@pytest.mark.parametrize("name", EVEN)
def test_a_story_without_a_side_is_read_as_one(told, name):
    bars, meant = EVEN[name]
    read = Counter(scenario for stories in told for scenario, _, _ in stories[name][-bars:])
    assert sum(read[scenario] for scenario in meant) >= 0.6 * read.total(), read


def test_violence_is_seen_and_a_wide_spread_is_avoided(told):
    for stories in told:
        assert Counter(scenario for scenario, _, _ in stories["VIOLENT"][-45:])["HIGH_VOLATILITY"] >= 5
        assert {word for _, word, _ in stories["WIDE"]} == {"AVOID_HIGH_RISK"}


def test_a_turn_at_the_top_is_seen(told):
    """REVERSAL_UP rises and turns at its end: with a divergence, a rejected high and sellers."""
    seen = [
        any(scenario == turn for scenario, _, _ in stories[f"REVERSAL_{side}"][-20:])
        for stories in told
        for side, turn in (("UP", "BEARISH_REVERSAL"), ("DOWN", "BULLISH_REVERSAL"))
    ]
    assert sum(seen) >= 4


def test_a_trap_volume_without_range_and_a_blown_out_spread_are_seen(told):
    for stories in told:
        assert stories["TRAP_UP"][-25][0] == stories["TRAP_DOWN"][-25][0] == "MANIPULATED"
        assert stories["ABSORBED"][-13][0] == "MANIPULATED"
        blown = [index for index in range(1, 60) if index % 20 == 6]
        assert all(stories["BLOWN"][-index][0] == "MANIPULATED" for index in blown)


# ── Recorded bars ──


@pytest.fixture(scope="module")
def recorded(recordings):
    return recorded_panels(recordings / "usdm-2025-05")


@pytest.mark.recorded
def test_every_scenario_and_every_recommendation_is_reached_on_recorded_bars(recorded, settings):
    panel, daily = recorded
    assert set(RECORDED_SCENARIOS) == set(SCENARIOS)
    assert set(RECORDED_WORDS) == set(RECOMMENDATIONS)
    for wanted, (symbol, minute) in (RECORDED_SCENARIOS | RECORDED_WORDS).items():
        at = _column(panel, minute)
        (step,) = walk(panel, daily, settings, start=at, stop=at + 1)
        row, result = panel.symbols.index(symbol), step.stage2
        found = result.scenario_name(row) if wanted in SCENARIOS else result.recommendation_name(row)
        assert found == wanted, (symbol, minute, result.explain(row))


def _column(panel, minute):
    at_ms = datetime.strptime(minute, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp() * 1000
    return int(at_ms - panel.open_time_ms[0]) // 60_000
