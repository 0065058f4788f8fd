"""Every error of the engine, named by what to do next.

```text
AioneError
├── InvalidInput            fix the call: wrong shape, unit or range
│   ├── ConfigError         fix the profile or the environment; the message names the key
│   └── RuleError           fix the YAML; the message starts with its file and path
├── InsufficientData        skip this symbol, keep the run
├── IllegalTransition       stop: a state machine was driven wrongly
├── AlreadyRunning          stop: another process owns this home or this port
├── ServiceUnavailable      a service of ours (Redis, Prefect) does not answer; wait or start it
└── VenueError              the exchange did not serve us
    ├── VenueUnavailable    wait, then retry
    │   └── RateLimited     wait ``retry_after_s``, then retry
    ├── RequestRejected     never retry: our request is wrong
    │   └── SymbolRejected  drop the symbol, keep the run
    ├── ClockSkewed         measure the clock offset, then retry
    └── MalformedReply      never retry: the wire format changed, tell a human
```
"""

from __future__ import annotations


class AioneError(Exception):
    """Root of the tree; a program that embeds the engine may catch this one alone."""


class InvalidInput(AioneError):
    """The call is wrong: shape, unit or range. The message says what was expected and what it was."""


class ConfigError(InvalidInput):
    """A profile or an environment variable is wrong. The message names the key and its source."""


class RuleError(InvalidInput):
    """A threshold rule is wrong. The message starts with its file and path."""


class InsufficientData(AioneError):
    """There is not enough history for this symbol; skip it and keep the run."""


class IllegalTransition(AioneError):
    """A state machine was given an event that its table does not hold for its state."""


class AlreadyRunning(AioneError):
    """Another process owns this home directory or this port."""


class ServiceUnavailable(AioneError):
    """A service of ours (Redis, Prefect) does not answer at its address."""


class VenueError(AioneError):
    """The exchange did not serve us."""


class VenueUnavailable(VenueError):
    """The exchange, or the way to it, is down for now: wait, then retry."""


class RateLimited(VenueUnavailable):
    """The exchange asked us to hold everything for ``retry_after_s`` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestRejected(VenueError):
    """Our request is wrong and would be wrong again; ``code`` is the exchange's own."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class SymbolRejected(RequestRejected):
    """The exchange does not know or no longer trades this symbol."""


class ClockSkewed(VenueError):
    """Our timestamp was outside the exchange's window: measure the offset, then retry."""


class MalformedReply(VenueError):
    """The reply does not have the form that the contract states; a human must look."""


__all__ = [
    "AioneError",
    "AlreadyRunning",
    "ClockSkewed",
    "ConfigError",
    "IllegalTransition",
    "InsufficientData",
    "InvalidInput",
    "MalformedReply",
    "RateLimited",
    "RequestRejected",
    "RuleError",
    "ServiceUnavailable",
    "SymbolRejected",
    "VenueError",
    "VenueUnavailable",
]
