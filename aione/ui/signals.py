"""The newest signals, remembered while the states that carried them pass by. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aione.publish.payload import Asset, Side, Snapshot
from aione.ui.cells import Form, Tone
from aione.ui.figures import clock, decimal, like, percent
from aione.ui.text import Locale, word


@dataclass(frozen=True, slots=True)
class SignalEvent:
    """A symbol's signal from the message in which it appeared; prices are quote per base.

    ``time_ms`` is the open time of the bar; ``is_over`` says that the symbol no longer carries it.
    """

    time_ms: int
    symbol: str
    side: Side
    entry: float | None
    sl: float | None
    tp: tuple[float | None, ...]
    rr: float | None
    confidence: float | None
    scenario: str
    price_str: str | None
    is_over: bool = False


class SignalLog:
    """Keeps the last ``size`` signals, newest first."""

    def __init__(self, size: int = 50) -> None:
        self._size = size
        self._active: dict[str, str] = {}
        self.events: tuple[SignalEvent, ...] = ()

    def update(self, snapshot: Snapshot) -> tuple[SignalEvent, ...]:
        """Take the next state; return the signals that it brought, the most confident first.

        A signal is new when the symbol had none or had the other side in the state before.
        """
        now = {asset.symbol: asset for asset in snapshot.assets if asset.signal != "NONE"}
        ended = {symbol for symbol, signal in self._active.items() if symbol not in now or now[symbol].signal != signal}
        fresh = [
            _event(asset, snapshot.meta.bar_time_ms)
            for symbol, asset in now.items()
            if self._active.get(symbol) != asset.signal
        ]
        fresh.sort(key=lambda event: -(event.confidence or 0.0))
        kept = (replace(event, is_over=True) if event.symbol in ended else event for event in self.events)
        self.events = (*fresh, *kept)[: self._size]
        self._active = {symbol: asset.signal for symbol, asset in now.items()}
        return tuple(fresh)


def _event(asset: Asset, bar_time_ms: int) -> SignalEvent:
    plan, metrics = asset.risk_parameters, asset.confidence_metrics
    return SignalEvent(
        time_ms=bar_time_ms,
        symbol=asset.symbol,
        side="long" if asset.signal == "ALERT_BUY" else "short",
        entry=plan.entry if plan else asset.price,
        sl=plan.sl if plan else None,
        tp=tuple(plan.tp) if plan else (),
        rr=plan.rr if plan else None,
        confidence=None if metrics is None else metrics.raw if metrics.calibrated is None else metrics.calibrated,
        scenario=asset.market_context.scenario if asset.market_context else "UNCERTAIN",
        price_str=asset.price_str,
    )


def progress_r(event: SignalEvent, price: float | None) -> float | None:
    """Return how far the price has gone for the signal, in multiples of its risk; None where that is not known."""
    if price is None or event.entry is None or event.sl is None or event.entry == event.sl:
        return None
    side = 1 if event.side == "long" else -1
    return side * (price - event.entry) / abs(event.entry - event.sl)


def closing_form(event: SignalEvent, snapshot: Snapshot, locale: Locale) -> tuple[Form, ...]:
    """Return the columns of one footer line, the most important first."""
    price = next((asset.price for asset in snapshot.assets if asset.symbol == event.symbol), None)
    reached = progress_r(event, price)
    tone: Tone = "dim" if event.is_over else "buy" if event.side == "long" else "sell"
    plain: Tone = "dim" if event.is_over else ""
    targets = " / ".join(like(target, event.price_str) for target in event.tp)
    moved: Tone = "" if not reached else "good" if reached > 0 else "bad"
    return (
        ((clock(event.time_ms), "dim"),),
        (("▲ " if event.side == "long" else "▼ ", tone), (event.symbol, tone)),
        ((word(event.side, locale), tone),),
        ((f"{percent(event.confidence, 0)}%", plain),),
        ((f"{word('now', locale)} ", "dim"), (f"{decimal(reached, 2, sign=True)}R", moved)),
        ((f"{word('entry', locale)} ", "dim"), (like(event.entry, event.price_str), plain)),
        (("SL ", "dim"), (like(event.sl, event.price_str), plain)),
        (("TP ", "dim"), (targets, plain)),
        (("RR ", "dim"), (decimal(event.rr), plain)),
        ((word(event.scenario, locale), "dim"),),
        ((word("ended", locale) if event.is_over else "", "dim"),),
    )


__all__ = ["SignalEvent", "SignalLog", "closing_form", "progress_r"]
