"""`AuditEvent` and its forms: a JSON line, a flat row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from aione.errors import InvalidInput

FIELDS: Final = ("id", "ts", "stage", "kind", "symbol", "timeframe", "tags", "payload")
PREFIX: Final = "p_"
"""What payload keys begin with once they are columns."""


class AuditEvent(NamedTuple):
    """One thing that was decided or measured.

    Attributes
    ----------
    id : str
        Unique among all processes.
    ts : int
        When, UTC epoch milliseconds: of the bar or the event where the writer knows it, else of the writing.
    stage, kind : str
        What wrote it, and what it is; see `aione.audit.kinds`.
    symbol : str
        Empty for what is of the whole market.
    timeframe : str
    tags : tuple of str
    payload : mapping
        Whatever the kind says; values that JSON lacks become null (NaN, infinity) or text.
    """

    id: str
    ts: int
    stage: str
    kind: str
    symbol: str
    timeframe: str
    tags: tuple[str, ...]
    payload: Mapping[str, Any]

    def to_json(self) -> bytes:
        """Return the event as one line of JSON without its newline.

        Examples
        --------
        >>> event = AuditEvent("a-1", 60_000, "qde", "decision", "BTCUSDT", "1m", (), {"rr": float("nan")})
        >>> event.to_json().endswith(b'"tags":[],"payload":{"rr":null}}')
        True
        """
        return orjson.dumps(self._asdict(), option=_OPTIONS, default=_as_text)

    @classmethod
    def from_json(cls, line: bytes) -> AuditEvent:
        """Rebuild an event; `InvalidInput` says what is wrong with the line."""
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"an audit line must be JSON: {error}") from error
        if not isinstance(values, dict) or values.keys() != set(FIELDS) or not isinstance(values["payload"], dict):
            raise InvalidInput(f"an audit line must be an object of {', '.join(FIELDS)}, was {line[:80]!r}")
        return cls(**{**values, "tags": tuple(values["tags"])})

    def row(self) -> dict[str, Any]:
        """Return the event as one flat row: nested payload keys are joined by dots behind `PREFIX`.

        Examples
        --------
        >>> event = AuditEvent("a-1", 1, "stage1", "metrics", "X", "1m", ("new",), {"burst": 2, "by": {"up": 1}})
        >>> list(event.row())
        ['ts', 'stage', 'kind', 'symbol', 'timeframe', 'tags', 'p_burst', 'p_by.up']
        """
        head = {name: getattr(self, name) for name in FIELDS[1:-1]}
        return head | {"tags": ",".join(self.tags), **{PREFIX + key: value for key, value in flat(self.payload)}}


RawEvent = tuple[str, int | None, int, str, str, str, str, tuple[str, ...], Mapping[str, Any]]
"""An event as a hot path leaves it: the writing process and its number of the event, then the event's own fields."""


def made(raw: RawEvent) -> AuditEvent:
    """Return the event of what a hot path has left."""
    name, number, *fields = raw
    return AuditEvent(name if number is None else f"{name}-{number}", *fields)  # type: ignore[arg-type]


def flat(payload: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the payload's keys and values, those of nested mappings joined by dots."""
    for key, value in payload.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{inside}{key}.")
        else:
            yield f"{inside}{key}", value


def lines(events: Iterable[AuditEvent]) -> bytes:
    """Return the events as JSON lines, each ended by a newline."""
    return b"".join(event.to_json() + b"\n" for event in events)


_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def _as_text(value: Any) -> Any:
    """Return what JSON has no word for as something it has: numpy's odd shapes as lists, all else as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return repr(value)


__all__ = ["FIELDS", "PREFIX", "AuditEvent", "RawEvent", "flat", "lines", "made"]
