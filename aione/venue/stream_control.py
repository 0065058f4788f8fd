"""The control messages of one connection: which streams to ask for or take off, how many a message, how fast."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final, Literal, TypeAlias

from aione.venue.stream_wire import control_message

STREAMS_A_MESSAGE: Final = 50

Method: TypeAlias = Literal["UNSUBSCRIBE", "SUBSCRIBE"]


class ControlQueue:
    """Holds what is to be said and what was said and has no reply yet; taking off comes before asking.

    Parameters
    ----------
    per_second : float
        Control messages a second at the most.

    Examples
    --------
    >>> queue = ControlQueue(per_second=5)
    >>> queue.add("SUBSCRIBE", ["btcusdt@kline_1m"])
    >>> queue.take(now_s=0.0)
    ('SUBSCRIBE', ['btcusdt@kline_1m'], b'{"method":"SUBSCRIBE","params":["btcusdt@kline_1m"],"id":1}')
    >>> queue.replied(1)
    ('SUBSCRIBE', ['btcusdt@kline_1m'])
    """

    def __init__(self, per_second: float) -> None:
        self._every_s = 1.0 / per_second
        self._pending: dict[Method, dict[str, None]] = {"UNSUBSCRIBE": {}, "SUBSCRIBE": {}}
        self._awaiting: dict[int, tuple[Method, list[str]]] = {}
        self._next_id = 1
        self._free_at_s = 0.0

    def add(self, method: Method, streams: Iterable[str]) -> None:
        """Let streams wait for their turn."""
        self._pending[method].update(dict.fromkeys(streams))

    def discard(self, method: Method, stream: str) -> None:
        """Forget a stream that waits."""
        self._pending[method].pop(stream, None)

    def begin(self, now_s: float) -> None:
        """A new connection stands: nothing was said on it, and it may be spoken to at once."""
        self.clear()
        self._free_at_s = now_s

    def clear(self) -> None:
        """Forget everything that waits for its turn or for a reply; the numbers of messages go on."""
        self._awaiting.clear()
        for pending in self._pending.values():
            pending.clear()

    @property
    def wake_at_s(self) -> float:
        """Return when the next message may go out; infinite when none waits."""
        return self._free_at_s if any(self._pending.values()) else inf

    def take(self, now_s: float) -> tuple[Method, list[str], bytes] | None:
        """Return the next message, its streams and its text, if one waits and the limit allows it now."""
        if now_s < self._free_at_s:
            return None
        for method, pending in self._pending.items():
            if pending:
                names = [*pending][:STREAMS_A_MESSAGE]
                for name in names:
                    del pending[name]
                self._awaiting[self._next_id] = (method, names)
                text = control_message(method, names, self._next_id)
                self._next_id += 1
                self._free_at_s = now_s + self._every_s
                return method, names, text
        return None

    def replied(self, number: int | None) -> tuple[Method, list[str]] | None:
        """Return what a reply is to; None of one that nobody waits for."""
        return None if number is None else self._awaiting.pop(number, None)


__all__ = ["STREAMS_A_MESSAGE", "ControlQueue", "Method"]
