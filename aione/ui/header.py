"""The two lines of the header: whether the data lives, and the funnel. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from aione.panel import MINUTE_MS
from aione.publish.payload import Snapshot
from aione.ui.cells import Form, Piece, Tone
from aione.ui.figures import clock, duration, percent
from aione.ui.text import Locale, word

SILENT_AFTER_MS: Final = 150_000
"""A minute's cycle is late by now: the header says so."""
LAG_WARN_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Segment:
    """One item of the header; the lowest priority is left out first. ``joiner`` stands before all but the first."""

    pieces: Form
    priority: int
    joiner: str = ""


@dataclass(frozen=True, slots=True)
class LinkState:
    """What the follower knows about its own way to Redis."""

    is_connected: bool = True
    problem: str | None = None
    resyncs: int = 0


def status_line(snapshot: Snapshot, now_ms: int, locale: Locale, link: LinkState) -> tuple[Segment, ...]:
    """Return whether the data lives, which bar it is of and how late it came."""
    meta = snapshot.meta
    lag_ms = max(0, meta.ts - meta.bar_time_ms - MINUTE_MS)
    lag_tone: Tone = "warn" if lag_ms > LAG_WARN_MS else "good"
    segments = [
        Segment((_pulse(snapshot, now_ms, locale, link),), 100),
        _fact("bar", clock(meta.bar_time_ms), "strong", 90, locale),
        _fact("lag", f"{lag_ms / 1000:.1f}s", lag_tone, 80, locale),
        _fact("seq", str(meta.seq), "", 60, locale),
        Segment(((meta.source, "dim"),), 20),
    ]
    missing = snapshot.counters.missing_bars
    if missing:
        segments.append(_fact("missing_bars", str(missing), "warn", 85, locale))
    if link.resyncs:
        segments.append(Segment(((f"resync {link.resyncs}", "dim"),), 10))
    return tuple(segments)


def _pulse(snapshot: Snapshot, now_ms: int, locale: Locale, link: LinkState) -> Piece:
    age_ms = now_ms - snapshot.meta.ts
    if not link.is_connected:
        return f"● {word('disconnected', locale)}", "bad"
    if snapshot.meta.stale:
        return f"● {word('stale', locale)}", "bad"
    if age_ms > SILENT_AFTER_MS:
        return f"● {word('silent', locale)} {word('for', locale)} {duration(age_ms)}", "bad"
    return f"● {word('live', locale)}", "good"


def _step(name: str, count: int, tone: Tone, priority: int, locale: Locale) -> Segment:
    """Return one step of the funnel after its first."""
    return replace(_fact(name, str(count), tone if count else "dim", priority, locale), joiner="▸ ")


def funnel_line(snapshot: Snapshot, locale: Locale) -> tuple[Segment, ...]:
    """Return the funnel from the universe to the open trades, and what the market as a whole does."""
    counters = snapshot.counters
    steps = [
        _fact("universe", str(counters.universe), "", 40, locale),
        _step("screened", counters.screened, "strong", 70, locale),
        _step("alerts", counters.alerts, "warn", 90, locale),
        _step("recommendations", counters.recommendations, "hot", 85, locale),
        _step("open_trades", counters.open_trades, "cool", 80, locale),
    ]
    prices = {asset.symbol: asset for asset in snapshot.assets}
    bitcoin = prices.get("BTCUSDT")
    if bitcoin is not None and bitcoin.price is not None:
        change = bitcoin.stats.get("change_24h_frac")
        steps.append(Segment((
            ("BTC ", "dim"),
            (bitcoin.price_str or f"{bitcoin.price:g}", "strong"),
            (f" {percent(change, sign=True)}%" if change is not None else "", _direction(change)),
        ), 45))  # fmt: skip
    changes = [c for asset in snapshot.assets if (c := asset.stats.get("change_24h_frac")) is not None]
    if changes:
        rising = sum(change > 0 for change in changes) / len(changes)
        steps.append(_fact("up_24h", f"{percent(rising, 0)}%", _direction(rising - 0.5), 30, locale))
    return tuple(steps)


def _fact(name: str, value: str, tone: Tone, priority: int, locale: Locale) -> Segment:
    return Segment(((f"{word(name, locale)} ", "dim"), (value, tone)), priority)


def _direction(change: float | None) -> Tone:
    return "" if not change else "good" if change > 0 else "bad"


__all__ = ["LinkState", "Segment", "funnel_line", "status_line"]
