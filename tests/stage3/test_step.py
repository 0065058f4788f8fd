"""A minute of Stage3 on a panel: lead, close, open; pure and repeatable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aione.errors import InvalidInput
from aione.indicators.readings import compute_readings
from aione.panel import MINUTE_MS, BarPanel, MarketSnapshot
from aione.stage1.run import run_stage1
from aione.stage2 import SCENARIOS, Stage2Result, run_stage2
from aione.stage3 import Event, TradeBook, step_trades, why_not_opened
from aione.stage3.machine import ExitReason
from config.settings import RECOMMENDATIONS, Settings, load_settings

from .conftest import T0

SYMBOLS = ("BTCUSDT", "AUSDT", "BUSDT", "CUSDT")
BARS = 300
LAST = 260  # the bar that gives the signal; the bars after it are the trade's


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(environ={})


@pytest.fixture(scope="module")
def panel() -> BarPanel:
    """Prices near 100 that move 0.1 % a minute."""
    rng = np.random.default_rng(4)
    shape = (len(SYMBOLS), BARS)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 1e-3, shape), axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high, low = np.maximum(open_, close) * 1.0005, np.minimum(open_, close) * 0.9995
    volume = rng.lognormal(3, 0.5, shape)
    times = T0 + MINUTE_MS * np.arange(BARS)
    return BarPanel(
        *(SYMBOLS, times, open_, high, low, close, volume, volume * close, volume * 0.5, volume),
        np.ones(shape, dtype=np.bool_),
    )


class Minute:
    """Everything that Stage3 is given at one bar, with a signal wherever ``side`` says so."""

    def __init__(self, panel: BarPanel, stop: int, settings: Settings, side=(0, 0, 0, 0), **over) -> None:
        self.panel, self.settings = panel.until(stop + 1), settings
        size = len(SYMBOLS)
        self.readings = compute_readings(self.panel, settings.STAGE1_MONITOR_PARAMS.indicators)
        values = dict(self.readings.values) | {"corr_btc": np.zeros(size)}
        self.readings = replace(self.readings, values=values)
        self.market = MarketSnapshot.of(
            SYMBOLS,
            tick_size=np.full(size, 0.001),
            step_size=np.full(size, 0.01),
            min_notional=np.full(size, 5.0),
            spread_frac=np.full(size, 2e-4),
        )
        self.stage1 = run_stage1(self.readings, self.market, settings, {})
        found = run_stage2(self.panel, None, self.readings, self.market, self.stage1, settings)
        self.stage2 = self._with_signals(found, np.array(side, dtype=np.int8), **over)
        self.now_ms = int(self.panel.open_time_ms[-1]) + MINUTE_MS + 2_500

    def _with_signals(self, found: Stage2Result, side, confidence=0.6, width=1.0, **over) -> Stage2Result:
        close = np.round(self.panel.close[:, -1], 3)
        words = {1: "STRONG_BUY", -1: "STRONG_SELL", 0: "HOLD"}
        plan = {
            "side": side,
            "is_signal": side != 0,
            "recommendation": np.array([RECOMMENDATIONS.index(words[int(s)]) for s in side], dtype=np.int8),
            "entry": close,
            "sl": close - side * width,
            "tp": close[:, None] + side[:, None] * width * np.array([1.0, 2.0, 3.0]),
            "confidence_raw": np.full(len(SYMBOLS), confidence),
        }
        return replace(found, **(plan | over))

    def step(self, book: TradeBook, **over):
        parts = {"panel": self.panel, "readings": self.readings, "market": self.market, "stage1": self.stage1}
        parts |= {"stage2": self.stage2, "settings": self.settings, "now_ms": self.now_ms} | over
        return step_trades(book, **parts)


def test_a_signal_opens_a_trade_and_the_same_minute_again_opens_none(panel, settings):
    minute, book = Minute(panel, LAST, settings, (0, 1, -1, 0)), TradeBook()
    events = minute.step(book)
    assert [event.kind for event in events] == [Event.PLANNED, Event.ENTRY_FILLED] * 2
    assert not book.open  # the book that came in is not changed
    assert minute.step(book) == events
    for event in events:
        book.apply(event)
    assert {trade.symbol: trade.side for trade in book.open.values()} == {"AUSDT": 1, "BUSDT": -1}
    assert minute.step(book) == []
    assert minute.step(book, now_ms=minute.now_ms + 9_000) == []


def test_what_a_trade_remembers_of_its_signal(panel, settings):
    minute = Minute(panel, LAST, settings, (0, 1, 0, 0))
    trade = TradeBook.from_events(minute.step(TradeBook())).open["AUSDT"]
    assert trade.trade_id == f"AUSDT-{int(minute.panel.open_time_ms[-1])}-long"
    assert trade.recommendation == "STRONG_BUY"
    assert trade.scenario == minute.stage2.scenario_name(1)
    assert trade.thresholds["volume_z"] == 2.5
    assert trade.thresholds["min_confidence"] == settings.MIN_CONFIDENCE_TRADE_PLACEHOLDER
    for name, value in trade.contributions.items():
        np.testing.assert_equal(np.nan if value is None else value, minute.stage2.contributions[name][1])
    risk = settings.STAGE2_CONFIG.risk
    assert trade.entry_fill == pytest.approx(trade.entry * (1 + 1e-4 + risk.slippage_frac))
    assert trade.fees_quote == pytest.approx(trade.entry_fill * trade.quantity * risk.fee_frac)
    params = settings.USER_SETTINGS_DEFAULT.trade
    assert trade.quantity * 1.0 == pytest.approx(params.risk_frac * params.equity_quote)


@pytest.mark.parametrize(
    ("over", "now", "reason"),
    [
        ({"confidence": 0.2}, 0, "low_confidence"),
        ({}, 400_000, "stale_data"),
        ({"width": 0.0}, 0, "bad_plan"),
    ],
)
def test_a_refused_signal_says_why(panel, settings, over, now, reason):
    minute = Minute(panel, LAST, settings, (0, 1, 0, 0), **over)
    now_ms = minute.now_ms + now
    assert minute.step(TradeBook(), now_ms=now_ms) == []
    args = (minute.panel, minute.readings, minute.market, minute.stage2, settings, now_ms)
    assert why_not_opened(TradeBook(), *args) == {"AUSDT": reason}


def test_calibrated_confidence_comes_before_raw(panel, settings):
    weak = Minute(panel, LAST, settings, (0, 1, 0, 0), confidence_calibrated=np.full(4, 0.1))
    assert weak.step(TradeBook()) == []
    strong = Minute(panel, LAST, settings, (0, 1, 0, 0), confidence=0.1, confidence_calibrated=np.full(4, 0.7))
    assert len(strong.step(TradeBook())) == 2


def test_a_user_may_ask_for_more_confidence(panel):
    strict = load_settings(environ={"AIONE_USER_SETTINGS_DEFAULT__min_confidence": "0.9"})
    assert Minute(panel, LAST, strict, (0, 1, 0, 0)).step(TradeBook()) == []


def test_the_most_confident_signal_comes_first_when_there_is_room_for_one(panel):
    one = load_settings(environ={"AIONE_USER_SETTINGS_DEFAULT__trade__max_open": "1"})
    minute = Minute(panel, LAST, one, (1, 1, 1, 1), confidence_raw=np.array([0.5, 0.6, 0.9, 0.4]))
    assert [event.trade_id.split("-")[0] for event in minute.step(TradeBook())] == ["BUSDT", "BUSDT"]


def through(book, panel, settings, stops, **over):
    for stop in stops:
        for event in Minute(panel, stop, settings, **over).step(book):
            book.apply(event)
    return book


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("width", [0.15, 0.5, 1.0])
def test_a_catch_up_leads_where_minute_by_minute_leads(panel, settings, side, width):
    """But for the early exit, which these minutes have too little confidence for."""
    opening = Minute(panel, LAST, settings, (side, side, side, side), width=width)
    first = opening.step(TradeBook())
    each = through(TradeBook.from_events(first), panel, settings, range(LAST + 1, BARS), confidence=0.1)
    at_once = through(TradeBook.from_events(first), panel, settings, [BARS - 1], confidence=0.1)
    assert len(at_once.closed) + len(at_once.open) == 4
    for symbol in SYMBOLS:
        trade_id = next(event.trade_id for event in first if event.trade_id.startswith(symbol))
        one, other = (book.trade(trade_id).to_dict() | {"number": 0} for book in (each, at_once))
        assert one == other


def test_trailing_follows_the_atr_of_each_bar(panel, settings):
    """In a rising market the stop of a long ends one ATR below the best price seen, as that bar's ATR was."""
    rise = panel.close * np.exp(np.maximum(np.arange(BARS) - LAST, 0) * 2e-3)
    open_ = np.concatenate([rise[:, :1], rise[:, :-1]], axis=1)
    up = replace(
        panel, open=open_, close=rise, high=np.maximum(open_, rise) * 1.0005, low=np.minimum(open_, rise) * 0.9995
    )
    opening = Minute(up, LAST, settings, (0, 1, 0, 0), tp=np.full((4, 3), 900.0) + np.arange(3))
    book = through(TradeBook.from_events(opening.step(TradeBook())), up, settings, [LAST + 20], confidence=0.1)
    trade = book.open["AUSDT"]
    tops = up.high[1, LAST + 1 : LAST + 21]
    wanted = [
        tops[: at + 1].max()
        - compute_readings(up.until(LAST + 2 + at), settings.STAGE1_MONITOR_PARAMS.indicators)["atr"][1]
        for at in range(20)
        if tops[: at + 1].max() - trade.entry_fill >= trade.r_quote
    ]
    assert trade.stop_kind == "trail"
    assert trade.stop == pytest.approx(max(wanted), abs=0.001)


def test_a_scenario_that_turns_with_confidence_ends_the_trade(panel, settings):
    book = TradeBook.from_events(Minute(panel, LAST, settings, (0, 1, 0, 0), width=20.0).step(TradeBook()))
    bear = np.full(4, SCENARIOS.index("BEARISH_CONTROL"), dtype=np.int8)
    turned = {"scenario": bear, "direction": np.full(4, -0.8)}
    doubtful = Minute(panel, LAST + 1, settings, confidence=0.4, **turned).step(book)
    assert [event.kind for event in doubtful] == [Event.MANAGED]
    agreeing = Minute(panel, LAST + 1, settings, **(turned | {"direction": np.full(4, 0.8)})).step(book)
    assert [event.kind for event in agreeing] == [Event.MANAGED]
    sure = Minute(panel, LAST + 1, settings, **turned)
    events = sure.step(book)
    assert [event.kind for event in events] == [Event.MANAGED, Event.INVALIDATED]
    for event in events:
        book.apply(event)
    (trade,) = book.closed
    assert (trade.exit_reason, trade.closed_ms) == (
        ExitReason.INVALIDATED,
        int(sure.panel.open_time_ms[-1]) + MINUTE_MS,
    )
    assert sure.step(book) == []


def test_a_symbol_that_lacks_bars_is_led_once_they_are_there_and_through_all_of_them(panel, settings):
    opened = Minute(panel, LAST, settings, (0, 1, 0, 0), width=20.0).step(TradeBook())
    book, later = TradeBook.from_events(opened), Minute(panel, LAST + 5, settings)
    assert later.step(book, paused=["AUSDT"]) == []
    (led,) = later.step(book)
    assert (led.kind, led.payload["bars_held"]) == (Event.MANAGED, 5)


def test_the_trade_of_a_symbol_that_has_left_is_closed_at_the_last_price(panel, settings):
    opened = Minute(panel, LAST, settings, (0, 1, 0, 0)).step(TradeBook())
    book, later = TradeBook.from_events(opened), Minute(panel, LAST + 1, settings)
    (event,) = later.step(book, gone={"AUSDT": 50.0}, paused=["AUSDT"])
    assert (event.kind, event.ts_ms) == (Event.DELISTED, int(later.panel.open_time_ms[-1]) + MINUTE_MS)
    book.apply(event)
    (trade,) = book.closed
    assert trade.exit_reason is ExitReason.DELISTED
    assert trade.r_multiple < -1.0, "it went through its stop with nobody to sell to in between"
    assert later.step(book, gone={"AUSDT": 50.0}) == []


def test_a_trade_closed_in_this_minute_is_not_reopened_in_it(panel, settings):
    book = TradeBook.from_events(Minute(panel, LAST, settings, (0, 1, 0, 0), width=0.01).step(TradeBook()))
    minute = Minute(panel, LAST + 1, settings, (0, 1, 0, 0))
    events = minute.step(book)
    assert not any(event.kind is Event.PLANNED for event in events)
    for event in events:
        book.apply(event)
    assert not book.open


def test_a_symbol_without_bars_waits(panel, settings):
    book = TradeBook.from_events(Minute(panel, LAST, settings, (0, 1, 0, 0), width=20.0).step(TradeBook()))
    valid, close = panel.valid.copy(), panel.close.copy()
    valid[1, LAST + 1 : LAST + 3] = False
    close[1, LAST + 1 : LAST + 3] = np.nan
    gap = replace(panel, valid=valid, close=close)
    assert Minute(gap, LAST + 2, settings, confidence=0.1).step(book) == []
    events = Minute(gap, LAST + 3, settings, confidence=0.1).step(book)
    assert [event.payload["bars_held"] for event in events] == [1]
    assert step_trades_without(book, panel, settings) == []


def step_trades_without(book, panel, settings):
    """A minute whose panel lacks the trade's symbol."""
    minute = Minute(panel, LAST + 1, settings)
    others = [0, 2, 3]
    names = tuple(SYMBOLS[at] for at in others)
    cut = {name: column[others] for name, column in minute.readings.values.items()}
    readings = replace(minute.readings, symbols=names, values=cut)
    market = MarketSnapshot.of(names)
    stage1 = run_stage1(readings, market, settings, {})
    small = minute.panel.take(names)
    stage2 = run_stage2(small, None, readings, market, stage1, settings)
    return minute.step(book, panel=small, readings=readings, market=market, stage1=stage1, stage2=stage2)


def test_arguments_that_do_not_belong_together_are_refused(panel, settings):
    minute, later = Minute(panel, LAST, settings), Minute(panel, LAST + 1, settings)
    with pytest.raises(InvalidInput, match="readings must be of the panel's last bar"):
        minute.step(TradeBook(), readings=later.readings)
    with pytest.raises(InvalidInput, match="market must hold the panel's 4 symbols, held 1"):
        minute.step(TradeBook(), market=MarketSnapshot.of(("X",)))


def test_rules_move_the_targets_of_an_open_trade_once_and_the_event_names_them(panel, settings):
    book = TradeBook.from_events(Minute(panel, LAST, settings, (0, 1, -1, 0), width=20.0).step(TradeBook()))
    asked = {
        "multipliers": {"tp_mult_factor": np.array([2.0, 1.5, np.nan, 1.0])},
        "asked_by": {"tp_mult_factor": ("other", "calm", "", "")},
    }
    minute = Minute(panel, LAST + 1, settings)
    events = [event for event in minute.step(book, **asked) if event.kind is Event.RULES_MOVED]
    assert [(event.trade_id.split("-")[0], event.payload["rules"]) for event in events] == [("AUSDT", ["calm"])]
    before = book.open["AUSDT"]
    for event in minute.step(book, **asked):
        book.apply(event)
    moved = book.open["AUSDT"]
    assert moved.targets == pytest.approx(
        [before.entry + 1.5 * (target - before.entry) for target in before.targets], abs=0.002
    )
    assert minute.step(book, **asked) == [], "the same minute again"
    later = Minute(panel, LAST + 2, settings).step(book, **asked)
    assert Event.RULES_MOVED not in {event.kind for event in later}, "the same factor a minute later"
