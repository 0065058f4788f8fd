"""`Trade` and `TradeEvent`: a plan being followed, and the facts that made it what it is.

A trade is nothing but its events applied in order. Its R, ``|entry - initial stop|`` of the plan, never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from aione.errors import InvalidInput
from aione.stage3.machine import EXIT_REASONS, Event, ExitReason, State, step

PROGRESS: Final = ("managed_ms", "bars_held", "mae_r", "mfe_r")
"""What every event that stems from a bar says of the trade's course so far."""


@dataclass(frozen=True, slots=True)
class TradeEvent:
    """One fact about one trade.

    Attributes
    ----------
    trade_id : str
    number : int
        1, 2, 3... within its trade, without gaps.
    ts_ms : int
        Close time of the bar that caused it, so that a minute run twice writes the same event.
    kind : Event
    payload : mapping
        JSON-able facts; see `Trade.applied` for what each kind holds.
    """

    trade_id: str
    number: int
    ts_ms: int
    kind: Event
    payload: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-able form."""
        return {
            "trade_id": self.trade_id,
            "number": self.number,
            "ts_ms": self.ts_ms,
            "kind": self.kind.value,
            "payload": dict(self.payload),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TradeEvent:
        """Read back what `to_dict` wrote."""
        return cls(data["trade_id"], data["number"], data["ts_ms"], Event(data["kind"]), data["payload"])


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade as its events have left it.

    Attributes
    ----------
    trade_id, symbol : str
    side : int
        +1 long, -1 short.
    state : State
    number : int
        Of the last event applied.
    planned_ms : int
        Open time of the bar that gave the signal.
    entry, stop_initial : float
        As planned; their distance is R.
    stop : float
        As it stands now.
    stop_kind : str
        ``initial``, ``break_even``, ``trail`` or ``rules``.
    targets : tuple of float
        Nearest first.
    quantity, quantity_open : float
        Base units at entry, and still held.
    step_size : float or None
        Base units; None is unknown.
    spread_frac, slippage_frac, fee_frac : float
        The fill model in force for the whole trade.
    confidence : float
    scenario, recommendation : str
    corr_btc : float or None
    contributions : mapping
        Factor -> what it added to the direction; None is unknown.
    thresholds : mapping
        Name -> threshold in force when it was opened.
    entry_fill, exit_price : float or None
        What the entry got, and the last exit.
    opened_ms, closed_ms : int or None
        Close time of the bars at which it was filled and closed.
    managed_ms : int
        Open time of the last bar that it was led through.
    bars_held, targets_hit : int
    mae_r, mfe_r : float
        Furthest move against and for it from the entry fill, in R, both >= 0.
    realised_quote, fees_quote : float
        Profit of the exits so far before fees; all fees so far.
    exit_reason : ExitReason or None
    targets_planned : tuple of float
        As planned, whatever rules made of them since.
    """

    trade_id: str
    symbol: str
    side: int
    state: State
    number: int
    planned_ms: int
    entry: float
    stop_initial: float
    stop: float
    stop_kind: str
    targets: tuple[float, ...]
    quantity: float
    quantity_open: float
    step_size: float | None
    spread_frac: float
    slippage_frac: float
    fee_frac: float
    confidence: float
    scenario: str
    recommendation: str
    corr_btc: float | None
    contributions: Mapping[str, float | None]
    thresholds: Mapping[str, float | None]
    managed_ms: int
    entry_fill: float | None = None
    exit_price: float | None = None
    opened_ms: int | None = None
    closed_ms: int | None = None
    bars_held: int = 0
    targets_hit: int = 0
    mae_r: float = 0.0
    mfe_r: float = 0.0
    realised_quote: float = 0.0
    fees_quote: float = 0.0
    exit_reason: ExitReason | None = None
    targets_planned: tuple[float, ...] = ()

    @property
    def r_quote(self) -> float:
        """Return R in quote per base: ``|entry - initial stop|``."""
        return abs(self.entry - self.stop_initial)

    @property
    def r_multiple(self) -> float:
        """Return the realised result after fees in multiples of the initial risk; 0.0 before any fill."""
        return (self.realised_quote - self.fees_quote) / (self.quantity * self.r_quote)

    @property
    def filled_at(self) -> float:
        """Return the entry fill; `InvalidInput` where the trade is only planned."""
        if self.entry_fill is None:
            raise InvalidInput(f"trade {self.trade_id} must be filled, is {self.state}")
        return self.entry_fill

    @classmethod
    def planned(cls, event: TradeEvent) -> Trade:
        """Return the trade that a `Event.PLANNED` creates; its payload holds the plan's fields."""
        if event.kind is not Event.PLANNED or event.number != 1:
            raise InvalidInput(f"trade {event.trade_id} must begin with planned 1, was {event.kind} {event.number}")
        plan = dict(event.payload)
        plan["targets"] = tuple(plan["targets"])
        return cls(
            trade_id=event.trade_id,
            state=State.PLANNED,
            number=1,
            stop=plan["stop_initial"],
            stop_kind="initial",
            quantity_open=0.0,
            managed_ms=plan["planned_ms"],
            targets_planned=plan["targets"],
            **plan,
        )

    def applied(self, event: TradeEvent) -> Trade:
        """Return the trade after one more event.

        Raises
        ------
        IllegalTransition
            The table holds no such pair.
        InvalidInput
            The event is of another trade or out of turn, or its stop would loosen.
        """
        if event.trade_id != self.trade_id or event.number != self.number + 1:
            raise InvalidInput(
                f"expected event {self.number + 1} of {self.trade_id}, was {event.number} of {event.trade_id}"
            )
        facts: dict[str, Any] = {name: event.payload[name] for name in PROGRESS if name in event.payload}
        facts |= {"state": step(self.state, event.kind), "number": event.number}
        if event.kind is Event.ENTRY_FILLED:
            facts |= self._entered(event)
        elif "quantity" in event.payload:
            facts |= self._reduced(event.payload)
        if "stop" in event.payload:
            facts |= self._stop_moved(event.payload)
        if event.kind is Event.RULES_MOVED:
            facts["targets"] = tuple(event.payload["targets"])
        if event.kind.name.endswith("TARGET_HIT"):
            facts["targets_hit"] = self.targets_hit + 1
        if event.kind in EXIT_REASONS:
            facts |= {"exit_reason": EXIT_REASONS[event.kind], "closed_ms": event.ts_ms, "quantity_open": 0.0}
        return replace(self, **facts)

    def _entered(self, event: TradeEvent) -> dict[str, Any]:
        fact = event.payload
        return {
            "entry_fill": fact["price"],
            "quantity_open": fact["quantity"],
            "fees_quote": self.fees_quote + fact["fee_quote"],
            "opened_ms": event.ts_ms,
        }

    def _reduced(self, fact: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "quantity_open": self.quantity_open - fact["quantity"],
            "realised_quote": self.realised_quote + self.side * (fact["price"] - self.filled_at) * fact["quantity"],
            "fees_quote": self.fees_quote + fact["fee_quote"],
            "exit_price": fact["price"],
        }

    def _stop_moved(self, fact: Mapping[str, Any]) -> dict[str, Any]:
        if self.side * (fact["stop"] - self.stop) < 0:
            raise InvalidInput(f"the stop of {self.trade_id} never loosens: from {self.stop} to {fact['stop']}")
        return {"stop": fact["stop"], "stop_kind": fact["stop_kind"]}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-able form, with ``r_multiple`` for readers."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        return data | {
            "state": self.state.value,
            "exit_reason": self.exit_reason and self.exit_reason.value,
            "targets": list(self.targets),
            "targets_planned": list(self.targets_planned),
            "contributions": dict(self.contributions),
            "thresholds": dict(self.thresholds),
            "r_multiple": self.r_multiple,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trade:
        """Read back what `to_dict` wrote; one that was written before targets could be moved has its own as planned."""
        data = {"targets_planned": data["targets"], **data}
        known = {field.name: data[field.name] for field in fields(cls)}
        reason = known["exit_reason"]
        return cls(
            **known
            | {
                "state": State(known["state"]),
                "exit_reason": None if reason is None else ExitReason(reason),
                "targets": tuple(known["targets"]),
                "targets_planned": tuple(known["targets_planned"]),
            }
        )


__all__ = ["PROGRESS", "Trade", "TradeEvent"]
