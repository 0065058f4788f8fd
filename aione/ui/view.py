"""The view model: what a table of the market says, free of any terminal. Pure: no I/O, no clock.

`build_view` turns a snapshot into header segments, rows of cells and the footer. A cell holds its forms from the
longest to the shortest, so that a layout can choose; a tone names a meaning, never a colour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aione.publish.payload import Asset, Snapshot
from aione.ui.cells import CELLS, Cell, Form, is_first
from aione.ui.header import LinkState, Segment, funnel_line, status_line
from aione.ui.signals import SignalEvent, closing_form
from aione.ui.text import Locale, word
from config.settings import Settings

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
        status=status_line(snapshot, now_ms, options.locale, link),
        funnel=funnel_line(snapshot, options.locale),
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
    "Row",
    "View",
    "ViewOptions",
    "build_view",
    "confidence_of",
]
