"""Lead one open trade through closed bars.

The order inside a bar; every doubt is settled against the trade:

1. The stop first: a bar that touches stop and target counts as the stop; a gap fills at the open.
2. Then the targets, nearest first; at the first one the stop goes to break-even, in force from the next bar.
3. Then the timeout, at the close.
4. Then trailing: once 1 R was seen, the stop follows the best price at 1 ATR, in force from the next bar.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import Any, Literal

from aione.panel import MINUTE_MS
from aione.prices import round_to_tick
from aione.stage3.fills import fee_quote, market_fill, stop_fill, target_quantity
from aione.stage3.machine import Event, State
from aione.stage3.trade import Trade, TradeEvent
from config.models import Stage3Params


@dataclass(frozen=True, slots=True)
class TradeBar:
    """One closed bar of the trade's symbol, with the ATR at its close (NaN where unknown)."""

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    atr: float

    @property
    def close_time_ms(self) -> int:
        """Return the moment from which the bar is known."""
        return self.open_time_ms + MINUTE_MS


@dataclass(frozen=True, slots=True)
class Multipliers:
    """What rules make of a plan, in multiples of what was planned; 1 is as planned.

    Attributes
    ----------
    tp : float
        Distance of the targets that are not taken yet.
    sl : float
        Distance of the stop from the entry, in R. A stop is only ever moved in the trade's favour, and stays there.
    asked_by : tuple of str
        The rules that ask for it.
    """

    tp: float = 1.0
    sl: float = 1.0
    asked_by: tuple[str, ...] = ()


@dataclass(slots=True)
class Leader:
    """A trade, the rules it is led by, and the events that leading it has caused so far.

    Attributes
    ----------
    trade : Trade
        As all of ``events`` have left it.
    params : Stage3Params
    tick_size : float
        Quote per base; stops are rounded to it.
    events : list of TradeEvent
    """

    trade: Trade
    params: Stage3Params
    tick_size: float
    events: list[TradeEvent]

    def lead(self, bars: Iterable[TradeBar]) -> None:
        """Go through ``bars`` (ascending, each later than the last one managed) until they end or the trade does."""
        before = self.trade.managed_ms
        for bar in bars:
            if self.trade.state is State.PLANNED:
                self.emit(Event.TIMED_OUT, bar.close_time_ms, {})
            elif self._stop_touched(bar):
                self._stop_out(bar)
            else:
                self._survive(bar)
            if self.trade.state is State.CLOSED:
                return
        if self.trade.managed_ms != before:
            self.emit(Event.MANAGED, self.trade.managed_ms + MINUTE_MS, {})

    def exit_at_market(self, event: Event, price: float, ts_ms: int) -> None:
        """Close all that is held at the market around ``price``."""
        fill = market_fill(price, -self.trade.side, self.trade.spread_frac, self.trade.slippage_frac)
        self.emit(event, ts_ms, self._fill(fill, self.trade.quantity_open))

    def follow_rules(self, multipliers: Multipliers, close: float, ts_ms: int) -> None:
        """Move what rules move, at the close of the last bar: see `Multipliers`. The same ones again move nothing."""
        trade, side = self.trade, self.trade.side
        payload: dict[str, Any] = {}
        if multipliers.sl != 1.0:
            wanted = trade.entry - side * multipliers.sl * trade.r_quote
            moved = self._tightened(wanted, "rules", "down" if side > 0 else "up")
            if moved and side * (close - moved["stop"]) > 0:
                payload |= moved
        stop = payload.get("stop", trade.stop)
        targets = self._moved_targets(multipliers.tp, beyond=max(side * close, side * stop) * side)
        if targets != trade.targets or payload:
            facts = {"targets": list(targets), "tp_mult_factor": multipliers.tp, "sl_mult_factor": multipliers.sl}
            self.emit(Event.RULES_MOVED, ts_ms, payload | facts | {"rules": list(multipliers.asked_by)})

    def _moved_targets(self, factor: float, beyond: float) -> tuple[float, ...]:
        """Return the targets at so many times their planned distance; one that would not be ``beyond`` stays."""
        trade, side = self.trade, self.trade.side
        towards: Literal["down", "up"] = "down" if side > 0 else "up"
        moved = list(trade.targets)
        for at in range(trade.targets_hit, len(moved)):
            wanted = trade.entry + factor * (trade.targets_planned[at] - trade.entry)
            wanted = trade.targets_planned[at] if factor == 1.0 else round_to_tick(wanted, self.tick_size, towards)
            if side * (wanted - beyond) > 0:
                moved[at] = wanted
        is_ladder = all(side * (after - before) > 0 for before, after in pairwise(moved))
        return tuple(moved) if is_ladder else trade.targets

    def emit(self, kind: Event, ts_ms: int, payload: dict[str, Any]) -> None:
        """Record one event, with the trade's course so far, and apply it."""
        course = {
            "managed_ms": self.trade.managed_ms,
            "bars_held": self.trade.bars_held,
            "mae_r": self.trade.mae_r,
            "mfe_r": self.trade.mfe_r,
        }
        event = TradeEvent(self.trade.trade_id, self.trade.number + 1, ts_ms, kind, payload | course)
        self.events.append(event)
        self.trade = self.trade.applied(event)

    # ── Inside a bar ──

    def _stop_touched(self, bar: TradeBar) -> bool:
        worst = bar.low if self.trade.side > 0 else bar.high
        return self.trade.side * (worst - self.trade.stop) <= 0

    def _stop_out(self, bar: TradeBar) -> None:
        trade = self.trade
        fill = stop_fill(trade.stop, bar.open, trade.side, trade.spread_frac, trade.slippage_frac)
        self._see(bar, worst=fill, best=trade.filled_at)
        kind = Event.TRAIL_HIT if trade.stop_kind == "trail" else Event.STOP_HIT
        self.emit(kind, bar.close_time_ms, self._fill(fill, trade.quantity_open))

    def _survive(self, bar: TradeBar) -> None:
        side = self.trade.side
        worst, best = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
        self._see(bar, worst, min(best * side, self.trade.targets[-1] * side) * side)
        while self.trade.state is not State.CLOSED and side * (best - self._next_target()) >= 0:
            self._take_target(bar)
        if self.trade.state is State.CLOSED:
            return
        if bar.close_time_ms - (self.trade.opened_ms or 0) >= self.params.timeout_bars * MINUTE_MS:
            self.exit_at_market(Event.TIMED_OUT, bar.close, bar.close_time_ms)
        else:
            self._trail(bar)

    def _see(self, bar: TradeBar, worst: float, best: float) -> None:
        """Note how far the bar went against and for the trade."""
        trade, entry = self.trade, self.trade.filled_at
        self.trade = replace(
            trade,
            managed_ms=bar.open_time_ms,
            bars_held=trade.bars_held + 1,
            mae_r=max(trade.mae_r, trade.side * (entry - worst) / trade.r_quote),
            mfe_r=max(trade.mfe_r, trade.side * (best - entry) / trade.r_quote),
        )

    def _next_target(self) -> float:
        return self.trade.targets[self.trade.targets_hit]

    def _take_target(self, bar: TradeBar) -> None:
        trade, hit = self.trade, self.trade.targets_hit + 1
        step_size = float("nan") if trade.step_size is None else trade.step_size
        taken = target_quantity(trade.quantity, trade.quantity_open, hit, len(trade.targets), step_size)
        payload = self._fill(self._next_target(), taken) | {"target": hit}
        if hit == len(trade.targets):
            kind = Event.LAST_TARGET_HIT
        elif hit == 1:
            kind = Event.FIRST_TARGET_HIT
            payload |= self._tightened(trade.filled_at, "break_even", "up" if trade.side > 0 else "down")
        else:
            kind = Event.NEXT_TARGET_HIT
        self.emit(kind, bar.close_time_ms, payload)

    def _trail(self, bar: TradeBar) -> None:
        trade = self.trade
        if trade.mfe_r < self.params.trail_start_r or not isfinite(bar.atr):
            return
        best = trade.filled_at + trade.side * trade.mfe_r * trade.r_quote
        wanted = best - trade.side * self.params.trail_atr * bar.atr
        moved = self._tightened(wanted, "trail", "down" if trade.side > 0 else "up")
        if moved:
            self.emit(Event.STOP_MOVED, bar.close_time_ms, moved)

    def _tightened(self, wanted: float, stop_kind: str, towards: Literal["down", "up"]) -> dict[str, Any]:
        """Return the facts of a better stop; nothing where it would not be better."""
        stop = round_to_tick(wanted, self.tick_size, towards)
        better = stop > 0 and self.trade.side * (stop - self.trade.stop) > 0
        return {"stop": stop, "stop_kind": stop_kind} if better else {}

    def _fill(self, price: float, quantity: float) -> dict[str, Any]:
        return {
            "price": price,
            "quantity": quantity,
            "fee_quote": fee_quote(price, quantity, self.trade.fee_frac),
        }


__all__ = ["Leader", "Multipliers", "TradeBar"]
