"""One minute of Stage3: first lead every open trade through its new bars, then open what the signals ask for.

Pure: the book that comes in is not changed. The events that come out are to be stored first and applied after.
Every event depends on closed bars alone, so the same minute run twice gives the same events, and a run that made
up for missed minutes leaves the trades where minute-by-minute runs would have left them (the early exit on an
invalidated scenario excepted: it is asked only at the newest bar, because only that one was scored).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isfinite
from types import MappingProxyType

import numpy as np

from aione.errors import InvalidInput
from aione.indicators.readings import Readings
from aione.indicators.volatility import atr as atr_series
from aione.panel import F8, MINUTE_MS, BarPanel, MarketSnapshot
from aione.prices import get_tick_size
from aione.stage1.run import Stage1Result
from aione.stage2.result import Stage2Result
from aione.stage3.book import TradeBook
from aione.stage3.fills import fee_quote, market_fill
from aione.stage3.machine import Event, State
from aione.stage3.manage import Leader, Multipliers, TradeBar
from aione.stage3.plan import Candidate, refusal, size_by_risk
from aione.stage3.trade import Trade, TradeEvent
from config.settings import Settings


def step_trades(
    book: TradeBook,
    panel: BarPanel,
    readings: Readings,
    market: MarketSnapshot,
    stage1: Stage1Result,
    stage2: Stage2Result,
    settings: Settings,
    now_ms: int,
    *,
    gone: Mapping[str, float] = MappingProxyType({}),
    paused: Collection[str] = (),
    multipliers: Mapping[str, F8] = MappingProxyType({}),
    asked_by: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[TradeEvent]:
    """Return what happens to the book on the panel's new bars.

    Parameters
    ----------
    book : TradeBook
        Not changed.
    panel : BarPanel
        1-minute bars. It must hold the symbols of open trades for them to be led: a trade whose symbol it lacks, or
        whose bars are missing, stays as it is until they are there.
    readings, market, stage1, stage2
        Of the panel's last bar, aligned to its symbols.
    settings : Settings
    now_ms : int
        Decides whether the data is fresh enough to open a trade; it enters no event.
    gone : mapping symbol -> price
        Symbols that have left the universe, with the last price there was: their open trades are closed at it.
    paused : collection of str
        Symbols that lack bars: their trades are led on, through every bar, once the bars are there.
    multipliers : mapping of str to float64 (S,)
        ``tp_mult_factor`` and ``sl_mult_factor`` that rules ask of open trades; NaN asks nothing.
    asked_by : mapping of str to sequence of str, length S
        The rule that asks for each of them, empty where none does; the events name it.

    Returns
    -------
    list of TradeEvent
        In the order in which they are to be stored and applied.

    Raises
    ------
    InvalidInput
        The arguments are not of the same bar or not of the same symbols.
    """
    bar_ms = int(panel.open_time_ms[-1])
    if readings.open_time_ms != bar_ms:
        raise InvalidInput(f"readings must be of the panel's last bar {bar_ms}, were of {readings.open_time_ms}")
    for name, part in (("readings", readings), ("market", market), ("stage1", stage1), ("stage2", stage2)):
        if part.symbols != panel.symbols:
            raise InvalidInput(f"{name} must hold the panel's {len(panel.symbols)} symbols, held {len(part.symbols)}")
    after, events = book.copy(), []
    rows = {symbol: row for row, symbol in enumerate(panel.symbols)}
    for symbol in sorted(book.open):
        if symbol in gone:
            for event in _delisted(book.open[symbol], gone[symbol], bar_ms + MINUTE_MS, settings):
                after.apply(event)
                events.append(event)
        elif symbol in rows and symbol not in paused:
            asked = _asked(multipliers, asked_by, rows[symbol])
            for event in _managed(book.open[symbol], rows[symbol], panel, market, stage2, settings, asked):
                after.apply(event)
                events.append(event)
    for row, candidate in _candidates(panel, readings, market, stage2, settings, now_ms):
        if refusal(candidate, after, settings.USER_SETTINGS_DEFAULT.trade) is None:
            for event in _opened(candidate, row, market, stage1, stage2, settings):
                after.apply(event)
                events.append(event)
    return events


def why_not_opened(
    book: TradeBook,
    panel: BarPanel,
    readings: Readings,
    market: MarketSnapshot,
    stage2: Stage2Result,
    settings: Settings,
    now_ms: int,
) -> dict[str, str]:
    """Return symbol -> reason (`aione.stage3.plan.REFUSALS`) for every signal that the book would refuse now."""
    found = _candidates(panel, readings, market, stage2, settings, now_ms)
    reasons = {c.symbol: refusal(c, book, settings.USER_SETTINGS_DEFAULT.trade) for _, c in found}
    return {symbol: reason for symbol, reason in reasons.items() if reason is not None}


# ── Open trades ──


def _delisted(trade: Trade, price: float, ts_ms: int, settings: Settings) -> list[TradeEvent]:
    leader = Leader(trade, settings.USER_SETTINGS_DEFAULT.trade, get_tick_size(trade.symbol, price, settings), [])
    if trade.state is State.PLANNED:
        leader.emit(Event.DELISTED, ts_ms, {})
    else:
        leader.exit_at_market(Event.DELISTED, price, ts_ms)
    return leader.events


def _asked(multipliers: Mapping[str, F8], asked_by: Mapping[str, Sequence[str]], row: int) -> Multipliers:
    found = {name: float(column[row]) for name, column in multipliers.items()}
    tp, sl = (found.get(f"{name}_mult_factor", 1.0) for name in ("tp", "sl"))
    rules = sorted({rules[row] for rules in asked_by.values()} - {""})
    return Multipliers(tp if isfinite(tp) else 1.0, sl if isfinite(sl) else 1.0, tuple(rules))


def _managed(
    trade: Trade,
    row: int,
    panel: BarPanel,
    market: MarketSnapshot,
    stage2: Stage2Result,
    settings: Settings,
    asked: Multipliers,
) -> list[TradeEvent]:
    leader = Leader(trade, settings.USER_SETTINGS_DEFAULT.trade, _tick_size(market, row, trade.entry, settings), [])
    leader.lead(_new_bars(trade, row, panel, settings))
    trade, last_ms = leader.trade, int(panel.open_time_ms[-1])
    fresh = leader.events and trade.state in {State.OPEN, State.PROTECTED} and trade.managed_ms == last_ms
    if fresh and _is_invalidated(trade.side, row, stage2, settings):
        leader.exit_at_market(Event.INVALIDATED, float(panel.close[row, -1]), last_ms + MINUTE_MS)
    elif fresh:
        leader.follow_rules(asked, float(panel.close[row, -1]), last_ms + MINUTE_MS)
    return leader.events


def _new_bars(trade: Trade, row: int, panel: BarPanel, settings: Settings) -> Iterator[TradeBar]:
    period = settings.STAGE1_MONITOR_PARAMS.indicators.wilder_period
    own = slice(row, row + 1)
    atr = atr_series(panel.high[own], panel.low[own], panel.close[own], period)[0]
    first = int(np.searchsorted(panel.open_time_ms, trade.managed_ms, side="right"))
    for at in range(first, len(panel.open_time_ms)):
        if panel.valid[row, at]:
            yield TradeBar(
                open_time_ms=int(panel.open_time_ms[at]),
                open=float(panel.open[row, at]),
                high=float(panel.high[row, at]),
                low=float(panel.low[row, at]),
                close=float(panel.close[row, at]),
                atr=float(atr[at]),
            )


def _is_invalidated(side: int, row: int, stage2: Stage2Result, settings: Settings) -> bool:
    """Return whether the scenario now speaks for the other side, with confidence."""
    enough = settings.USER_SETTINGS_DEFAULT.trade.invalidation_confidence
    turned = stage2.scenario_side(row) == -side and side * stage2.direction[row] < 0
    return bool(turned and stage2.confidence[row] >= enough)


# ── New trades ──


def _candidates(
    panel: BarPanel,
    readings: Readings,
    market: MarketSnapshot,
    stage2: Stage2Result,
    settings: Settings,
    now_ms: int,
) -> list[tuple[int, Candidate]]:
    """Return every signal with its row, the most confident first."""
    user, bar_ms = settings.USER_SETTINGS_DEFAULT, int(panel.open_time_ms[-1])
    least = settings.MIN_CONFIDENCE_TRADE_PLACEHOLDER if user.min_confidence is None else user.min_confidence
    found = [
        (
            int(row),
            Candidate(
                symbol=panel.symbols[row],
                side=int(stage2.side[row]),
                bar_ms=bar_ms,
                entry=float(stage2.entry[row]),
                stop=float(stage2.sl[row]),
                targets=tuple(stage2.tp[row].tolist()),
                confidence=float(stage2.confidence[row]),
                min_confidence=least,
                age_ms=now_ms - (bar_ms + MINUTE_MS) if readings["bars_age"][row] == 0 else float("nan"),
                corr_btc=float(readings["corr_btc"][row]),
                step_size=float(market.step_size[row]),
                min_notional=_known(market.min_notional[row], 0.0),
            ),
        )
        for row in np.flatnonzero(stage2.is_signal)
    ]
    return sorted(found, key=lambda pair: (-pair[1].confidence, pair[1].symbol))


def _opened(
    candidate: Candidate,
    row: int,
    market: MarketSnapshot,
    stage1: Stage1Result,
    stage2: Stage2Result,
    settings: Settings,
) -> list[TradeEvent]:
    """Return the plan and its fill: at the market, at the close of the bar that gave the signal."""
    c, risk = candidate, settings.STAGE2_CONFIG.risk
    quantity = size_by_risk(c.entry, c.stop, c.step_size, c.min_notional, settings.USER_SETTINGS_DEFAULT.trade)
    spread = _known(market.spread_frac[row], risk.unknown_spread_frac)
    thresholds = {name: _finite(stage1.thresholds[name][row]) for name in stage1.thresholds}
    plan = {
        "symbol": c.symbol,
        "side": c.side,
        "planned_ms": c.bar_ms,
        "entry": c.entry,
        "stop_initial": c.stop,
        "targets": list(c.targets),
        "quantity": quantity,
        "step_size": _finite(c.step_size),
        "spread_frac": spread,
        "slippage_frac": risk.slippage_frac,
        "fee_frac": risk.fee_frac,
        "confidence": c.confidence,
        "scenario": stage2.scenario_name(row),
        "recommendation": stage2.recommendation_name(row),
        "corr_btc": _finite(c.corr_btc),
        "contributions": {name: _finite(column[row]) for name, column in stage2.contributions.items()},
        "thresholds": thresholds | {"min_confidence": c.min_confidence},
    }
    fill = market_fill(c.entry, c.side, spread, risk.slippage_frac)
    filled = {"price": fill, "quantity": quantity, "fee_quote": fee_quote(fill, quantity, risk.fee_frac)}
    ts_ms = c.bar_ms + MINUTE_MS
    return [
        TradeEvent(c.trade_id, 1, ts_ms, Event.PLANNED, plan),
        TradeEvent(c.trade_id, 2, ts_ms, Event.ENTRY_FILLED, filled),
    ]


def _tick_size(market: MarketSnapshot, row: int, price: float, settings: Settings) -> float:
    return get_tick_size(market.symbols[row], price, settings, _finite(market.tick_size[row]))


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _known(value: float, otherwise: float) -> float:
    return float(value) if isfinite(value) else otherwise


__all__ = ["step_trades", "why_not_opened"]
