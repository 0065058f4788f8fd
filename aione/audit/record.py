"""`AuditEvent` and its forms: a JSON line, a flat row."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
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
        Whatever the kind says; values that JSON lacks become null (NaN, infinity), lists (arrays, sets) or text.
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
        """Return the event as one line of JSON without its newline; it never raises.

        Examples
        --------
        >>> event = AuditEvent("a-1", 60_000, "qde", "decision", "BTCUSDT", "1m", (), {"rr": float("nan")})
        >>> event.to_json().endswith(b'"tags":[],"payload":{"rr":null}}')
        True
        """
        try:
            return orjson.dumps(self._asdict(), option=_OPTIONS, default=_as_plain)
        except (TypeError, ValueError, RuntimeError):  # of a value in it; one event must not hold up all the others
            return orjson.dumps(_plain(self._asdict(), ()))

    @classmethod
    def from_json(cls, line: bytes) -> AuditEvent:
        """Rebuild an event; `InvalidInput` says what is wrong with the line."""
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"an audit line must be JSON: {error}") from error
        if not isinstance(values, dict) or values.keys() != set(FIELDS) or not _is_whole(values):
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
    """Return the event of what a hot path has left, every field of its own type: the path had no time to look."""
    name, number, ts, stage, kind, symbol, timeframe, tags, payload = raw
    return AuditEvent(
        str(name) if number is None else f"{name}-{number}",
        _whole(ts),
        _word(stage),
        _word(kind),
        _word(symbol),
        _word(timeframe),
        tags if type(tags) is tuple and all(type(tag) is str for tag in tags) else _tags(tags),
        payload if isinstance(payload, Mapping) else {"value": payload},
    )


def taken(event: Any) -> AuditEvent:
    """Return the event of whatever was handed to `AuditBus.append`; it never raises.

    A mapping's keys are `FIELDS` (``ts_ms`` counts as ``ts``), those that are missing are empty and the time is the
    present; keys that are no fields belong to the payload. Anything else is kept as text, of the kind ``malformed``.

    Examples
    --------
    >>> taken({"ts": 1, "stage": "stage1", "kind": "metrics", "symbol": "X", "burst": 2}).payload
    {'burst': 2}
    >>> taken(3)[2:4], taken(3).payload
    (('audit', 'malformed'), {'text': '3'})
    """
    if isinstance(event, AuditEvent):
        return event
    now_ms = time.time_ns() // 1_000_000
    if not isinstance(event, Mapping):
        return AuditEvent("", now_ms, "audit", "malformed", "", "", (), {"text": _text(event)})
    values = dict(event)
    ts = values.pop("ts", values.pop("ts_ms", now_ms))
    name, stage, kind, symbol, timeframe = (values.pop(word, "") for word in _WORDS)
    tags, payload = values.pop("tags", ()), values.pop("payload", {})
    payload = payload if isinstance(payload, Mapping) else {"value": payload}
    return AuditEvent(_word(name), ts, stage, kind, symbol, timeframe, tags, {**payload, **values})


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


_MOST: Final = (1 << 63) - 1
_DEEPEST: Final = 32
_WORDS: Final = ("id", "stage", "kind", "symbol", "timeframe")


def _as_plain(value: Any) -> Any:
    """Return what JSON has no word for as something it has: numpy's odd shapes as lists, all else as text."""
    with suppress(Exception):  # foreign code may raise anything; it then is a text
        if hasattr(value, "tolist"):
            plain = value.tolist()
            return plain if type(plain) is not type(value) else _text(value)
        if isinstance(value, set | frozenset):
            return sorted(map(str, value))
    return _text(value)


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    """Return a value that orjson takes for certain; ``above`` holds the containers that it is in."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return int(value) if -_MOST <= value <= _MOST else _text(value)
    if isinstance(value, Mapping | list | tuple):
        if id(value) in above or len(above) >= _DEEPEST:
            return _text(type(value))
        inside = (*above, id(value))
        if isinstance(value, Mapping):
            return {_key(key): _plain(one, inside) for key, one in list(value.items())}
        return [_plain(one, inside) for one in value]
    plain = _as_plain(value)
    return plain if plain is None or isinstance(plain, str) else _plain(plain, (*above, id(value)))


def _key(key: Any) -> str:
    plain = _plain(key, ()) if isinstance(key, str | int | float | None) else _text(key)
    return plain if isinstance(plain, str) else str(plain)


def _text(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - foreign code may raise anything
        text = f"<{type(value).__name__} without a text>"
    return text.encode("utf-8", "backslashreplace").decode()


def _word(value: Any) -> str:
    if type(value) is str:
        return value
    return "" if value is None else str(_plain(value, ()))


def _whole(value: Any) -> int:
    """Return epoch milliseconds; 0 for what is no number."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if -_MOST <= number <= _MOST else 0


def _tags(value: Any) -> tuple[str, ...]:
    """Return tags of whatever stands for them: None is none, a word is one."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (_word(value),)
    try:
        return tuple(_word(tag) for tag in value)
    except TypeError:
        return (_word(value),)


def _is_whole(values: Mapping[str, Any]) -> bool:
    """Return whether the fields of a line are of their types."""
    return (
        type(values["ts"]) is int
        and all(isinstance(values[name], str) for name in _WORDS)
        and isinstance(values["tags"], list)
        and all(isinstance(tag, str) for tag in values["tags"])
        and isinstance(values["payload"], dict)
    )


__all__ = ["FIELDS", "PREFIX", "AuditEvent", "RawEvent", "flat", "lines", "made", "taken"]
