"""Every Redis key of the system, spelled here and nowhere else.

The two names that consumers depend on, `config.REDIS_CHANNEL_ASSET_STATE` and `config.REDIS_SNAPSHOT_KEY`,
are fixed by the mission and live in `config`.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "aione:"


def bar_ring(symbol: str, timeframe: str) -> str:
    """Return the string that holds a symbol's bar ring."""
    return f"{PREFIX}bars:{timeframe}:{symbol}"


def forming_bars() -> str:
    """Return the hash symbol -> forming bar (one `BAR_RECORD`)."""
    return f"{PREFIX}forming"


def book_tickers() -> str:
    """Return the hash symbol -> best bid and ask as last streamed."""
    return f"{PREFIX}book"


def weight(minute: int) -> str:
    """Return the weight ledger of one UTC minute (minutes since the epoch)."""
    return f"{PREFIX}weight:{minute}"


def weight_wanted(minute: int) -> str:
    """Return the hash priority -> weight that waits for one UTC minute."""
    return f"{PREFIX}weight:wanted:{minute}"


def request_budget(name: str, window: int) -> str:
    """Return the count of one window of a budget that the exchange keeps apart from the weight."""
    return f"{PREFIX}budget:{name}:{window}"


def weight_total() -> str:
    """Return the request weight used since the counter was made."""
    return f"{PREFIX}weight:total"


def venue_hold() -> str:
    """Return the hold that stops every request of every process until it expires."""
    return f"{PREFIX}venue:hold"


def universe() -> str:
    """Return the current universe: instruments and refresh time."""
    return f"{PREFIX}universe"


def universe_journal() -> str:
    """Return the stream of universe refreshes with reasons."""
    return f"{PREFIX}universe:journal"


def prefilter_result() -> str:
    """Return the last prefilter result: screened symbols, ranks and reasons."""
    return f"{PREFIX}prefilter"


def context_history() -> str:
    """Return the list of open interest and depth at the last refreshes, newest first."""
    return f"{PREFIX}context:history"


def fast_symbols() -> str:
    """Return the sorted set of manual fast symbols, scored by expiry (epoch ms)."""
    return f"{PREFIX}fast_symbols"


def monitor_states() -> str:
    """Return the hash symbol -> Stage1 monitor state."""
    return f"{PREFIX}stage1:monitor"


def rule_state() -> str:
    """Return what the threshold rules remember from minute to minute."""
    return f"{PREFIX}rules:state"


def quarantine() -> str:
    """Return the hash symbol -> why its data is not to be trusted."""
    return f"{PREFIX}quality:quarantine"


def audit_memory() -> str:
    """Return what the audit remembers of each symbol from minute to minute."""
    return f"{PREFIX}audit:memory"


def trade_events() -> str:
    """Return the stream of trade events, the source of truth of Stage3."""
    return f"{PREFIX}trades:events"


def open_trades() -> str:
    """Return the hash symbol -> open trade, rebuilt from the events when missing."""
    return f"{PREFIX}trades:open"


def closed_trades() -> str:
    """Return the list of the newest closed trades, newest first, rebuilt from the events when missing."""
    return f"{PREFIX}trades:closed"


def trade_numbers() -> str:
    """Return the hash trade id -> number and digest of its last event; field ``@`` is the last event's stream id."""
    return f"{PREFIX}trades:numbers"


def sequence() -> str:
    """Return the hash {epoch, seq} of published messages."""
    return f"{PREFIX}publish:sequence"


def cycles() -> str:
    """Return the stream of completed screening cycles."""
    return f"{PREFIX}cycles"


def progress() -> str:
    """Return the hash {step, done, total} of the long work that runs now."""
    return f"{PREFIX}progress"


def stream_status(worker: str) -> str:
    """Return the hash of one stream worker's own state."""
    return f"{PREFIX}stream:status:{worker}"


def stream_streams(worker: str) -> str:
    """Return the hash stream -> state of one stream worker."""
    return f"{PREFIX}stream:streams:{worker}"


def stream_workers() -> str:
    """Return the sorted set of stream workers, scored by when each last spoke (epoch ms)."""
    return f"{PREFIX}stream:workers"


def stream_canary(process: str) -> str:
    """Return the word that one process last said, to learn from it whether Redis has lost anything."""
    return f"{PREFIX}stream:canary:{process}"


def incidents() -> str:
    """Return the stream of incidents: what went wrong with the data, and when it was over."""
    return f"{PREFIX}incidents"


def open_incidents() -> str:
    """Return the hash incident -> its beginning, of those that are not over."""
    return f"{PREFIX}incidents:open"


def alert_told(symbol: str, signal: str) -> str:
    """Return the key that stands while a symbol's signal has been told and is not told again."""
    return f"{PREFIX}alert:told:{symbol}:{signal}"


def bar_corrections() -> str:
    """Return the stream of corrections: final bars that the exchange later told differently."""
    return f"{PREFIX}bars:corrections"


def derivatives() -> str:
    """Return the hash symbol -> open interest as last polled, with its recent past."""
    return f"{PREFIX}derivatives"


def audit_events() -> str:
    """Return the stream of audit events, the newest kept."""
    return f"{PREFIX}audit"


def task_result(name: str) -> str:
    """Return the key of a task's kept result."""
    return f"aione:result:{name}"


def flow_metrics() -> str:
    """Return the hash of metric samples that flows hand to the stream worker's endpoint."""
    return f"{PREFIX}metrics"


def housekeeping() -> str:
    """Return the list of what each run of the housekeeping found, newest first."""
    return f"{PREFIX}housekeeping"


__all__ = [
    "PREFIX",
    "alert_told",
    "audit_events",
    "audit_memory",
    "bar_corrections",
    "bar_ring",
    "book_tickers",
    "closed_trades",
    "context_history",
    "cycles",
    "derivatives",
    "fast_symbols",
    "flow_metrics",
    "forming_bars",
    "housekeeping",
    "incidents",
    "monitor_states",
    "open_incidents",
    "open_trades",
    "prefilter_result",
    "progress",
    "quarantine",
    "request_budget",
    "rule_state",
    "sequence",
    "stream_canary",
    "stream_status",
    "stream_streams",
    "stream_workers",
    "trade_events",
    "trade_numbers",
    "universe",
    "universe_journal",
    "venue_hold",
    "weight",
    "weight_total",
    "weight_wanted",
]
