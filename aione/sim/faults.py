"""Faults on demand: what can be broken, for how long, how often, and the book of what is broken now."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, TypeVar

import msgspec

from aione.errors import InvalidInput

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """Base of every fault: without ``duration_s`` it lasts until it is deleted."""

    duration_s: Seconds | None = None


class Counted(Fault, frozen=True, kw_only=True):
    """A fault that acts on single events: at most ``count`` of them, each with ``probability`` drawn from ``seed``."""

    count: Count | None = None
    probability: Share = 1.0
    seed: int = 0


class DropConnections(Counted, frozen=True, kw_only=True, tag="drop_connections"):
    """Cut WebSocket connections without a goodbye: at once, or each after ``after_messages`` more data messages."""

    after_messages: Annotated[int, msgspec.Meta(ge=0)] = 0


class RefuseConnections(Counted, frozen=True, kw_only=True, tag="refuse_connections"):
    """Answer the handshake of a new WebSocket connection with 503."""


class Silence(Fault, frozen=True, kw_only=True, tag="silence"):
    """Acknowledge streams whose name matches and never deliver them."""

    stream: str


class Duplicate(Counted, frozen=True, kw_only=True, tag="duplicate"):
    """Send messages of matching streams twice."""

    stream: str = "*"


class Reorder(Counted, frozen=True, kw_only=True, tag="reorder"):
    """Send a message of a matching stream only after the stream's next one."""

    stream: str = "*"


class Strange(Counted, frozen=True, kw_only=True, tag="strange"):
    """Send, before a message of a matching stream, one that cannot be true (`aione.sim.strange`)."""

    stream: str = "*"


class ClosingLate(Counted, frozen=True, kw_only=True, tag="closing_late"):
    """Send the closing update of a bar (``x: true``) ``late_s`` later than usual."""

    late_s: Seconds
    symbol: str = "*"


class ClosingMissing(Counted, frozen=True, kw_only=True, tag="closing_missing"):
    """Never send the closing update of a bar."""

    symbol: str = "*"


class HttpError(Counted, frozen=True, kw_only=True, tag="http_error"):
    """Answer a REST request with this status; from 500 on a plain page, unless ``code`` asks for an error body."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    code: int | None = None
    msg: str = "Internal error; unable to process your request. Please try again."
    path: str = "*"


class RateLimited(Counted, frozen=True, kw_only=True, tag="rate_limited"):
    """Answer a REST request with 429."""

    retry_after_s: Annotated[int, msgspec.Meta(ge=0)] = 5
    path: str = "*"


class Banned(Counted, frozen=True, kw_only=True, tag="banned"):
    """Answer a REST request with 418, banned for ``retry_after_s`` from that request on."""

    retry_after_s: Annotated[int, msgspec.Meta(ge=0)] = 120
    path: str = "*"


class Hang(Counted, frozen=True, kw_only=True, tag="hang"):
    """Hold a REST answer back for ``seconds``."""

    seconds: Seconds
    path: str = "*"


class Truncated(Counted, frozen=True, kw_only=True, tag="truncated"):
    """Cut the JSON of a REST answer in the middle."""

    path: str = "*"


class Partial(Counted, frozen=True, kw_only=True, tag="partial"):
    """Leave rows out of a REST answer that is a list: only the first ``keep_frac`` of them come, as whole JSON."""

    keep_frac: Share = 0.0
    path: str = "*"


class ClockSkew(Fault, frozen=True, kw_only=True, tag="clock_skew"):
    """Move the exchange's whole clock by ``skew_ms``."""

    skew_ms: int


AnyFault = (
    DropConnections
    | RefuseConnections
    | Silence
    | Duplicate
    | Reorder
    | Strange
    | ClosingLate
    | ClosingMissing
    | HttpError
    | RateLimited
    | Banned
    | Hang
    | Truncated
    | Partial
    | ClockSkew
)
KINDS: Final = tuple(sorted(str(kind.__struct_config__.tag) for kind in AnyFault.__args__))
PathFault = HttpError | RateLimited | Banned | Hang | Truncated | Partial
_F = TypeVar("_F", bound=Fault)
_P = TypeVar("_P", HttpError, RateLimited, Banned, Hang, Truncated, Partial)
_DECODER: Final = msgspec.json.Decoder(AnyFault | list[AnyFault])


def parse_faults(body: bytes) -> list[AnyFault]:
    """Return the faults of a JSON body: one object or a list of them.

    Raises
    ------
    InvalidInput
        An unknown fault, an unknown field or a value out of range; the message names it.

    Examples
    --------
    >>> parse_faults(b'{"fault": "hang", "seconds": 2}')[0].seconds
    2.0
    >>> parse_faults(b'{"fault": "hang", "minutes": 2}')
    Traceback (most recent call last):
    aione.errors.InvalidInput: Object contains unknown field `minutes`
    """
    try:
        decoded = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        text = str(error)
        known = f"; known faults: {', '.join(KINDS)}" if ".fault" in text or "`fault`" in text else ""
        raise InvalidInput(text + known) from error
    return decoded if isinstance(decoded, list) else [decoded]


@dataclass(slots=True)
class Active:
    """A fault that was asked for, with its own random numbers and the number of times it has acted."""

    number: int
    fault: AnyFault
    ends_s: float | None
    random: random.Random
    acted: int = 0

    def describe(self, now_s: float) -> dict[str, Any]:
        """Return what the control endpoint shows of it."""
        left = None if self.ends_s is None else round(max(0.0, self.ends_s - now_s), 3)
        shown: dict[str, Any] = msgspec.to_builtins(self.fault)
        return {"id": self.number, **shown, "acted": self.acted, "left_s": left}


class Faults:
    """The faults that are in force. Read from the event loop and from the market's thread; changed by the loop alone.

    Examples
    --------
    >>> faults = Faults()
    >>> faults.add(Hang(seconds=1.0, count=1)).number
    1
    >>> faults.hang_s("/fapi/v1/time"), faults.hang_s("/fapi/v1/time")
    (1.0, 0.0)
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = monotonic_s
        self._active: tuple[Active, ...] = ()
        self._numbers = 0

    def add(self, fault: AnyFault) -> Active:
        """Put a fault in force and return its record."""
        self._numbers += 1
        ends_s = None if fault.duration_s is None else self._now_s() + fault.duration_s
        seed = fault.seed if isinstance(fault, Counted) else 0
        active = Active(self._numbers, fault, ends_s, random.Random(seed))
        self._active = (*self._active, active)
        return active

    def clear(self, number: int | None = None) -> int:
        """End one fault, or all of them; return how many ended."""
        keep = () if number is None else tuple(a for a in self._active if a.number != number)
        ended = len(self._active) - len(keep)
        self._active = keep
        return ended

    def describe(self) -> list[dict[str, Any]]:
        """Return every fault in force, oldest first."""
        now_s = self._now_s()
        return [active.describe(now_s) for active in self._active if self._in_force(active)]

    # ── What the parts of the exchange ask ──

    def skew_ms(self) -> int:
        """Return the sum of the clock skews in force."""
        return sum(fault.skew_ms for fault, _ in self._of(ClockSkew)) if self._active else 0

    def is_silenced(self, stream: str) -> bool:
        """Return whether a stream is to be acknowledged and never delivered."""
        for fault, active in self._of(Silence):
            if fnmatchcase(stream, fault.stream):
                active.acted += 1
                return True
        return False

    def duplicates(self, stream: str) -> bool:
        """Return whether a message of a stream is to be sent twice."""
        return any(fnmatchcase(stream, fault.stream) and self._acts(active) for fault, active in self._of(Duplicate))

    def holds_back(self, stream: str) -> bool:
        """Return whether a message of a stream is to come after the next one."""
        return any(fnmatchcase(stream, fault.stream) and self._acts(active) for fault, active in self._of(Reorder))

    def strangeness(self, stream: str) -> int | None:
        """Return which nonsense a message of a stream is to be preceded by (`aione.sim.strange`), None for none."""
        for fault, active in self._of(Strange):
            if fnmatchcase(stream, fault.stream) and self._acts(active):
                return active.acted - 1
        return None

    def refuses_connection(self) -> bool:
        """Return whether a new WebSocket connection is to be refused."""
        return any(self._acts(active) for _, active in self._of(RefuseConnections))

    def messages_left(self, messages_since: Callable[[int], int]) -> int | None:
        """Return how many more data messages a connection may get before it is cut; None is any number.

        ``messages_since(number)`` counts those it got since the fault of that number began.
        """
        left = [f.after_messages - messages_since(a.number) for f, a in self._of(DropConnections) if f.after_messages]
        return max(0, min(left)) if left else None

    def drops(self, messages_since: Callable[[int], int]) -> bool:
        """Return whether a connection has had its last message and is to be cut."""
        for fault, active in self._of(DropConnections):
            if 0 < fault.after_messages <= messages_since(active.number) and self._acts(active):
                return True
        return False

    def strikes(self, active: Active) -> bool:
        """Let a fault act once more, if its count and its probability allow."""
        return self._in_force(active) and self._acts(active)

    def closing_late_ms(self, symbol: str) -> int | None:
        """Return how much later than usual a closing update is to come; None where it never comes."""
        for missing, active in self._of(ClosingMissing):
            if fnmatchcase(symbol, missing.symbol) and self._acts(active):
                return None
        for late, active in self._of(ClosingLate):
            if fnmatchcase(symbol, late.symbol) and self._acts(active):
                return int(late.late_s * 1000)
        return 0

    def hang_s(self, path: str) -> float:
        """Return how long the answer to this request is to be held back."""
        fault = self._on_path(Hang, path)
        return fault.seconds if fault else 0.0

    def is_truncated(self, path: str) -> bool:
        """Return whether the answer to this request is to be cut."""
        return self._on_path(Truncated, path) is not None

    def keeps_frac(self, path: str) -> float | None:
        """Return how much of the answer to this request is to come; None is all of it."""
        fault = self._on_path(Partial, path)
        return None if fault is None else fault.keep_frac

    def reply(self, path: str) -> HttpError | RateLimited | Banned | None:
        """Return the failure with which this request is to be answered, if any."""
        return self._on_path(Banned, path) or self._on_path(RateLimited, path) or self._on_path(HttpError, path)

    # ── Inside ──

    def _of(self, kind: type[_F]) -> list[tuple[_F, Active]]:
        return [(a.fault, a) for a in self._active if isinstance(a.fault, kind) and self._in_force(a)]

    def _on_path(self, kind: type[_P], path: str) -> _P | None:
        for fault, active in self._of(kind):
            if fnmatchcase(path, fault.path) and self._acts(active):
                return fault
        return None

    def _in_force(self, active: Active) -> bool:
        if active.ends_s is not None and self._now_s() >= active.ends_s:
            return False
        count = active.fault.count if isinstance(active.fault, Counted) else None
        return count is None or active.acted < count

    def _acts(self, active: Active) -> bool:
        fault = active.fault
        if isinstance(fault, Counted) and fault.probability < 1.0 and active.random.random() >= fault.probability:
            return False
        active.acted += 1
        return True


__all__ = [
    "KINDS",
    "Active",
    "AnyFault",
    "Banned",
    "ClockSkew",
    "ClosingLate",
    "ClosingMissing",
    "DropConnections",
    "Duplicate",
    "Fault",
    "Faults",
    "Hang",
    "HttpError",
    "Partial",
    "RateLimited",
    "RefuseConnections",
    "Reorder",
    "Silence",
    "Strange",
    "Truncated",
    "parse_faults",
]
