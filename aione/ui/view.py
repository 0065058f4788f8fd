"""The view model: what a table of the market says, free of any terminal. Pure: no I/O, no clock.

`build_view` turns a snapshot into header segments, rows of cells and the footer. A cell holds its forms from the
longest to the shortest, so that a layout can choose; a tone names a meaning, never a colour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aione.panel import MINUTE_MS
from aione.publish.payload import Asset, Snapshot
from aione.ui.cells import CELLS, Cell, Form, Piece, Tone, is_first
from aione.ui.figures import clock, duration, percent
from aione.ui.signals import SignalEvent, closing_form
from aione.ui.text import Locale, word
from config.settings import Settings

SILENT_AFTER_MS: Final = 150_000
"""A minute's cycle is late by now: the header says so."""
LAG_WARN_MS: Final = 15_000

VolumeColumn = Literal["quote_volume", "volume", "relative_volume"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the higher its priority, the narrower the terminal in which it still stands.

    Its width in cells is between ``least`` and ``most``; text is content with ``enough``.
    """

    name: str
    priority: int
    least: int
    enough: int
    most: int
    align: Literal["left", "right"] = "right"


COLUMNS: Final = (
    Column("mark", 100, 1, 1, 1, "left"),
    Column("rank", 10, 3, 3, 4),
    Column("symbol", 99, 9, 10, 16, "left"),
    Column("price", 98, 7, 7, 12),
    Column("change", 94, 6, 6, 8),
    Column("volume", 60, 6, 6, 10),
    Column("rsi", 58, 3, 3, 4),
    Column("volume_z", 56, 5, 5, 6),
    Column("atr", 48, 5, 5, 5),
    Column("triggers", 82, 12, 22, 44, "left"),
    Column("scenario", 64, 10, 17, 22, "left"),
    Column("recommendation", 92, 11, 14, 30, "left"),
    Column("confidence", 96, 4, 10, 10, "left"),
    Column("side", 90, 5, 5, 5, "left"),
    Column("sl", 72, 7, 7, 12),
    Column("tp", 71, 7, 7, 12),
    Column("rr", 70, 3, 3, 4),
    Column("trade", 78, 6, 6, 7),
    Column("age", 20, 3, 3, 4),
)


@dataclass(frozen=True, slots=True)
class Segment:
    """One item of the header; the lowest priority is left out first."""

    pieces: Form
    priority: int


@dataclass(frozen=True, slots=True)
class Row:
    """One symbol: a form ladder per column and what the whole row is."""

    symbol: str
    kind: Literal["buy", "sell", "alert", "normal", "dim"]
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the screen.

    Attributes
    ----------
    status, funnel : tuple of Segment
        The two lines of the header.
    warnings : tuple of str
    columns : tuple of (Column, title)
    rows : tuple of Row
        In the order of the screen.
    hidden : mapping
        State -> how many symbols are not among the rows.
    signals : tuple of tuple of Form
        The newest signals, newest first, each as columns.
    story : (str, str) or None
        Symbol and narrative of the top alert.
    empty_note : str
        What to say when there is no row.
    """

    locale: Locale
    status: tuple[Segment, ...]
    funnel: tuple[Segment, ...]
    warnings: tuple[str, ...]
    columns: tuple[tuple[Column, str], ...]
    rows: tuple[Row, ...]
    hidden: Mapping[str, int]
    signals: tuple[tuple[Form, ...], ...]
    story: tuple[str, str] | None
    empty_note: str


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """How a person wants the table."""

    locale: Locale = "en"
    volume_column: VolumeColumn = "quote_volume"
    is_alerts_only: bool = False

    @classmethod
    def of(cls, settings: Settings) -> ViewOptions:
        """Return what ``UI_LOCALE`` and ``UI_COLUMN_VOLUME`` say."""
        return cls(settings.UI_LOCALE, settings.UI_COLUMN_VOLUME)


@dataclass(frozen=True, slots=True)
class LinkState:
    """What the follower knows about its own way to Redis."""

    is_connected: bool = True
    problem: str | None = None
    resyncs: int = 0


def build_view(
    snapshot: Snapshot,
    *,
    now_ms: int,
    options: ViewOptions | None = None,
    previous_price: Mapping[str, float | None] | None = None,
    log: Sequence[SignalEvent] = (),
    link: LinkState | None = None,
) -> View:
    """Return the view of a snapshot.

    Parameters
    ----------
    snapshot : Snapshot
    now_ms : int
        Now, UTC epoch milliseconds; ages count up to it.
    options : ViewOptions, optional
    previous_price : mapping, optional
        Prices of the state before, for the direction of the last move.
    log : sequence of SignalEvent, optional
        Signals, newest first (`aione.ui.signals.SignalLog`).
    link : LinkState, optional
    """
    options, link = options or ViewOptions(), link or LinkState()
    shown = [asset for asset in snapshot.assets if _is_shown(asset, options)]
    shown.sort(key=_place)
    age_ms = max(0, now_ms - snapshot.meta.ts)
    before = previous_price or {}
    hidden = Counter[str](asset.state for asset in snapshot.assets if not _is_shown(asset, options))
    return View(
        locale=options.locale,
        status=_status(snapshot, now_ms, options.locale, link),
        funnel=_funnel(snapshot, options.locale),
        warnings=tuple(filter(None, (link.problem, *snapshot.meta.warnings))),
        columns=tuple((column, _title(column.name, options)) for column in COLUMNS),
        rows=tuple(_row(asset, before.get(asset.symbol), age_ms, options) for asset in shown),
        hidden=hidden,
        signals=tuple(closing_form(event, snapshot, options.locale) for event in log),
        story=_story(shown, options.locale),
        empty_note=word("nothing_alerted" if options.is_alerts_only else "nothing_screened", options.locale),
    )


# ── Rows ──

_DIM_STATES: Final = frozenset({"no_data", "syncing", "init", "error"})


def confidence_of(asset: Asset) -> float | None:
    """Return the calibrated confidence, the raw one where there is none, None where neither is known."""
    metrics = asset.confidence_metrics
    if metrics is None:
        return None
    return metrics.raw if metrics.calibrated is None else metrics.calibrated


def _is_shown(asset: Asset, options: ViewOptions) -> bool:
    if options.is_alerts_only:
        return is_first(asset) or asset.trade is not None
    return asset.state != "no_trade" or asset.trade is not None


def _place(asset: Asset) -> tuple[int, float, int, str]:
    """Alerts by confidence, then the rest by rank, then what has no data."""
    group = 0 if is_first(asset) else 2 if asset.state in _DIM_STATES else 1
    confidence = confidence_of(asset) if group == 0 else None
    rank = asset.rank if asset.rank is not None else 1_000_000
    return group, -(confidence if confidence is not None else -1.0), rank, asset.symbol


def _row(asset: Asset, previous: float | None, age_ms: int, options: ViewOptions) -> Row:
    cells = {
        column.name: CELLS[options.volume_column if column.name == "volume" else column.name](
            asset, options.locale, previous, age_ms
        )
        for column in COLUMNS
    }
    return Row(asset.symbol, _kind(asset), cells)


def _kind(asset: Asset) -> Literal["buy", "sell", "alert", "normal", "dim"]:
    if asset.signal != "NONE":
        return "buy" if asset.signal == "ALERT_BUY" else "sell"
    if asset.state == "alert":
        return "alert"
    return "dim" if asset.state in _DIM_STATES or asset.state == "no_trade" else "normal"


def _title(name: str, options: ViewOptions) -> str:
    return word(f"column.{options.volume_column if name == 'volume' else name}", options.locale)


# ── Header ──


def _status(snapshot: Snapshot, now_ms: int, locale: Locale, link: LinkState) -> tuple[Segment, ...]:
    """Return whether the data lives, which bar it is of and how late it came."""
    meta = snapshot.meta
    lag_ms = max(0, meta.ts - meta.bar_time_ms - MINUTE_MS)
    lag_tone: Tone = "warn" if lag_ms > LAG_WARN_MS else "good"
    segments = [
        Segment((_pulse(snapshot, now_ms, locale, link),), 100),
        _fact("bar", clock(meta.bar_time_ms), "strong", 90, locale),
        _fact("lag", f"{lag_ms / 1000:.1f}s", lag_tone, 80, locale),
        _fact("cycle", str(snapshot.counters.cycle), "", 15, locale),
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
    return Segment(
        (("▸ ", "dim"), *_fact(name, str(count), tone if count else "dim", priority, locale).pieces), priority
    )


def _funnel(snapshot: Snapshot, locale: Locale) -> tuple[Segment, ...]:
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


def _story(shown: Sequence[Asset], locale: Locale) -> tuple[str, str] | None:
    for asset in shown:
        if is_first(asset) and asset.narrative is not None:
            text = asset.narrative.uk if locale == "uk" else asset.narrative.en
            if text:
                return asset.symbol, text
    return None


__all__ = [
    "COLUMNS",
    "Column",
    "LinkState",
    "Row",
    "Segment",
    "View",
    "ViewOptions",
    "build_view",
    "confidence_of",
]
