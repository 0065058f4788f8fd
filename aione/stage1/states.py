"""What the monitor remembers: one record a symbol at the edge, columns inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from operator import attrgetter
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from aione.panel import B1, F8, I8


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What the monitor remembers of one symbol from bar to bar, and across restarts.

    Attributes
    ----------
    is_alert : bool
    side : int
        Of the alert; the last vote that was not a tie. 0 when NORMAL.
    since_ms : int
        Open time of the bar on which the present state began.
    bars_held : int
        Bars that the present alert has lasted, the first included; 0 when NORMAL.
    evidence : float in [0, 1]
        At ``last_bar_ms``.
    announced : mapping alert key -> open time (ms) of the bar on which it was announced
    last_bar_ms : int
        Open time of the last bar that was scored; 0 before the first.
    """

    is_alert: bool = False
    side: int = 0
    since_ms: int = 0
    bars_held: int = 0
    evidence: float = 0.0
    announced: Mapping[str, int] = field(default_factory=dict)
    last_bar_ms: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a state that this release or another one has stored; it never refuses one.

        A field that is missing takes its default, one that is not known is left out. A state that no monitor can have
        been in (a wrong type, a time before the epoch or after the last bar) is as good as none: the fresh one comes
        back, and at worst an alert is announced once more.

        Examples
        --------
        >>> state = MonitorState(is_alert=True, side=-1, since_ms=60_000, bars_held=1, evidence=0.7, last_bar_ms=60_000)
        >>> MonitorState.from_dict({**state.to_dict(), "colour": "red"}) == state
        True
        >>> MonitorState.from_dict({"is_alert": "yes"})
        MonitorState(is_alert=False, side=0, since_ms=0, bars_held=0, evidence=0.0, announced={}, last_bar_ms=0)
        """
        if not isinstance(values, Mapping):
            return cls()
        known = {name: values[name] for name in cls.__slots__ if name in values}
        state = cls(**known)
        return replace(state, announced=dict(state.announced)) if _is_possible(state) else cls()


class MonitorStates(Mapping[str, MonitorState]):
    """The states of a run: a mapping symbol -> `MonitorState` whose records are made only when they are asked for.

    Attributes
    ----------
    symbols : tuple of str, length S
    is_alert, side, since_ms, bars_held, evidence, last_bar_ms : (S,)
        The columns of `MonitorState`.
    announced : sequence of mappings, length S
    others : mapping symbol -> MonitorState
        Symbols that are not in this run but may be in the next.
    """

    __slots__ = (
        "_row",
        "announced",
        "bars_held",
        "evidence",
        "is_alert",
        "last_bar_ms",
        "others",
        "side",
        "since_ms",
        "symbols",
    )

    def __init__(
        self,
        symbols: tuple[str, ...],
        *,
        is_alert: B1,
        side: NDArray[np.signedinteger[Any]],
        since_ms: I8,
        bars_held: I8,
        evidence: F8,
        last_bar_ms: I8,
        announced: Sequence[Mapping[str, int]],
        others: Mapping[str, MonitorState],
    ) -> None:
        self.symbols, self.announced, self.others = symbols, announced, others
        self.is_alert, self.side, self.since_ms = is_alert, side, since_ms
        self.bars_held, self.evidence, self.last_bar_ms = bars_held, evidence, last_bar_ms
        self._row: dict[str, int] | None = None

    @classmethod
    def aligned(cls, symbols: tuple[str, ...], states: Mapping[str, MonitorState]) -> MonitorStates:
        """Return the states as columns in the order of ``symbols``; a symbol without a state gets a fresh one."""
        if isinstance(states, cls) and states.symbols == symbols:
            return states
        known = dict(states)
        found = [known.pop(symbol, _FRESH) for symbol in symbols]
        whole = np.array([*map(_whole_numbers, found)], dtype=np.int64).reshape(-1, 5)
        is_alert, side, since_ms, bars_held, last_bar_ms = np.ascontiguousarray(whole.T)
        return cls(
            symbols,
            is_alert=is_alert != 0,
            side=side,
            since_ms=since_ms,
            bars_held=bars_held,
            evidence=np.array([state.evidence for state in found], dtype=np.float64),
            last_bar_ms=last_bar_ms,
            announced=[state.announced for state in found],
            others=known,
        )

    def __getitem__(self, symbol: str) -> MonitorState:
        if self._row is None:
            self._row = {name: row for row, name in enumerate(self.symbols)}
        row = self._row.get(symbol)
        if row is None:
            return self.others[symbol]
        return MonitorState(
            is_alert=bool(self.is_alert[row]),
            side=int(self.side[row]),
            since_ms=int(self.since_ms[row]),
            bars_held=int(self.bars_held[row]),
            evidence=float(self.evidence[row]),
            announced=self.announced[row],
            last_bar_ms=int(self.last_bar_ms[row]),
        )

    def __iter__(self) -> Iterator[str]:
        yield from self.symbols
        yield from self.others

    def __len__(self) -> int:
        return len(self.symbols) + len(self.others)

    def __repr__(self) -> str:
        return f"MonitorStates({len(self.symbols)} symbols, {int(self.is_alert.sum())} in ALERT)"


def _is_possible(state: MonitorState) -> bool:
    """Tell whether a monitor can have been in this state; its fields may be of any type."""
    whole = (state.side, state.since_ms, state.bars_held, state.last_bar_ms)
    if not (type(state.is_alert) is bool and all(type(number) is int for number in whole)):
        return False
    evidence, announced = state.evidence, state.announced
    if isinstance(evidence, bool) or not isinstance(evidence, int | float) or not isinstance(announced, Mapping):
        return False
    last_ms = state.last_bar_ms or _LAST_MS  # without a last bar nothing is later than it
    return (
        state.side in {-1, 0, 1}
        and 0 <= state.since_ms <= last_ms <= _LAST_MS
        and 0 <= state.bars_held <= _LAST_MS
        and 0.0 <= evidence <= 1.0
        and all(type(at_ms) is int and 0 <= at_ms <= last_ms for at_ms in announced.values())
    )


_LAST_MS: Final = 1 << 53
_FRESH: Final = MonitorState()
_whole_numbers = attrgetter("is_alert", "side", "since_ms", "bars_held", "last_bar_ms")

__all__ = ["MonitorState", "MonitorStates"]
