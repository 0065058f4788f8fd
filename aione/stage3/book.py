"""`TradeBook`: every trade that is being followed or was, rebuilt from events alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from aione.errors import InvalidInput
from aione.stage3.machine import State
from aione.stage3.trade import Trade, TradeEvent


class TradeBook:
    """Open and closed trades. At most one trade of a symbol is open.

    Applying an event a second time changes nothing, so a stream may be replayed over a book that has seen it.

    Examples
    --------
    >>> len(TradeBook.from_events([]).open)
    0
    """

    def __init__(self, trades: Iterable[Trade] = ()) -> None:
        self._open: dict[str, Trade] = {}
        self._closed: dict[str, Trade] = {}
        self._last_closed_ms: dict[str, int] = {}
        for trade in trades:
            self._keep(trade)

    @classmethod
    def from_events(cls, events: Iterable[TradeEvent]) -> TradeBook:
        """Rebuild the book; events of one trade in their order, trades mixed as they come."""
        book = cls()
        for event in events:
            book.apply(event)
        return book

    @property
    def open(self) -> Mapping[str, Trade]:
        """Return symbol -> trade that is not closed (planned ones included)."""
        return MappingProxyType(self._open)

    @property
    def closed(self) -> list[Trade]:
        """Return the closed trades in the order in which they were closed."""
        return list(self._closed.values())

    def has(self, trade_id: str) -> bool:
        """Return whether this trade is in the book, open or closed."""
        return self.trade(trade_id) is not None

    def trade(self, trade_id: str) -> Trade | None:
        """Return the trade with this id."""
        if trade_id in self._closed:
            return self._closed[trade_id]
        return next((trade for trade in self._open.values() if trade.trade_id == trade_id), None)

    def last_closed_ms(self, symbol: str) -> int | None:
        """Return when the symbol's last trade was closed; None where it had none."""
        return self._last_closed_ms.get(symbol)

    def apply(self, event: TradeEvent) -> bool:
        """Apply one event; False where the book has already seen it.

        Raises
        ------
        IllegalTransition
            The trade's state does not take this event.
        InvalidInput
            An event is missing before this one, or the symbol already has an open trade.
        """
        trade = self.trade(event.trade_id)
        if trade is None:
            trade = Trade.planned(event)
            if trade.symbol in self._open:
                raise InvalidInput(f"{trade.symbol} may have one open trade, has {self._open[trade.symbol].trade_id}")
        elif event.number <= trade.number:
            return False
        else:
            trade = trade.applied(event)
        self._keep(trade)
        return True

    def copy(self) -> TradeBook:
        """Return a book that may be changed without changing this one."""
        return TradeBook([*self._closed.values(), *self._open.values()])

    def _keep(self, trade: Trade) -> None:
        if trade.state is State.CLOSED:
            self._open.pop(trade.symbol, None)
            self._closed[trade.trade_id] = trade
            self._last_closed_ms[trade.symbol] = max(trade.closed_ms or 0, self._last_closed_ms.get(trade.symbol, 0))
        else:
            self._open[trade.symbol] = trade


__all__ = ["TradeBook"]
