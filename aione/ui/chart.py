"""`draw_chart`: what the engine sees of one symbol, as a picture that a trader can judge.

1. Above, the last minutes with every level near them, the plan, VWAP, and the volume of 24 h at its prices.
2. Below, hours and days with the levels of their own tier: where each was found.

Candles that rose are hollow, those that fell are filled; tiers, VWAP and plan have colours of the palette of Okabe and
Ito, which people with colour vision deficiencies can tell apart. Nothing is computed here that is not a plain reading
of the bars: levels, plan, scenario and triggers are the payload's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from aione.indicators.profile import volume_profile
from aione.indicators.structure import pivot_levels
from aione.indicators.volume import session_bars, session_vwap
from aione.panel import MINUTE_MS, BarPanel
from aione.panel.resample import resample
from aione.publish.payload import Asset, Level
from aione.ui.chart_labels import Note, draw_notes
from aione.ui.chart_parts import FAINT, INK, draw_bars, volume_at_prices
from aione.ui.chart_words import figure_title, level_note, note_heading, plan_lines, stamp, subtitle
from aione.ui.explain_words import term
from aione.ui.figures import like
from aione.ui.text import Locale

TIER_COLOURS: Final = {"micro": "#56b4e9", "meso": "#e69f00", "macro": "#0072b2"}
VWAP_COLOUR: Final = "#cc79a7"
PLAN_COLOURS: Final = {"entry": "#000000", "sl": "#d55e00", "tp": "#009e73"}

STYLE: Final[Any] = {"font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": FAINT}
FIRED_COLOUR: Final = "#f0e442"

MINUTES: Final = 240
DAYS: Final = 45
PROFILE_BINS: Final = 48
PROFILE_BARS: Final = 1440
SPANS: Final = {"1m": 3, "1h": 2, "1d": 2}
"""Bars on each side that confirm a pivot; as `LevelParams`."""


@dataclass(frozen=True, slots=True)
class ChartInput:
    """What a chart shows.

    Attributes
    ----------
    asset : Asset
        As published; without an analysis there are only bars.
    minutes : BarPanel
        1-minute bars of this one symbol, the last one first looked at by the engine: up to a day and more.
    days : BarPanel, optional
        Its daily bars.
    """

    asset: Asset
    minutes: BarPanel
    days: BarPanel | None = None


def draw_chart(shown: ChartInput, path: Path | str, locale: Locale = "en") -> None:
    """Write the chart of one symbol as a PNG picture; the same input gives the same bytes.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with mpl.rc_context(STYLE):
        chart_figure(shown, locale).savefig(path, format="png", metadata={"Software": "AiOne_t"})


def chart_figure(shown: ChartInput, locale: Locale = "en") -> Figure:
    """Return the chart as a figure that no window shows."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(17, 11), dpi=110, facecolor="white")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            3, 1, height_ratios=(6.6, 0.8, 3.6), left=0.052, right=0.995, top=0.885, bottom=0.045, hspace=0.17
        )
        rows = [grid[place].subgridspec(1, 3, width_ratios=(10, 1.2, 3), wspace=0.0) for place in (0, 1)]
        _minutes(figure, rows, shown, locale)
        longer = grid[2].subgridspec(1, 4, width_ratios=(4.2, 2.9, 4.2, 2.9), wspace=0.0)
        _longer(figure, (longer[0], longer[1]), resample(shown.minutes, 60), "1h", shown, locale)
        _longer(figure, (longer[2], longer[3]), _known_days(shown.days), "1d", shown, locale)
        _head(figure, shown, locale)
        return figure


def _known_days(days: BarPanel | None) -> BarPanel | None:
    """Return the last days, from the first that is known on."""
    if days is None or not days.valid.any():
        return None
    return days.tail(min(DAYS, days.shape[1] - int(days.valid[0].argmax())))


def _head(figure: Any, shown: ChartInput, locale: Locale) -> None:
    moment = stamp(int(shown.minutes.open_time_ms[-1]) + MINUTE_MS)
    figure.text(0.052, 0.97, figure_title(shown.asset, locale), fontsize=14, fontweight="bold", color=INK, va="center")
    figure.text(0.99, 0.97, f"{moment} UTC", fontsize=12, color=INK, ha="right", va="center")
    figure.text(0.052, 0.932, subtitle(shown.asset, locale), fontsize=9.5, color=INK, linespacing=1.5, va="center")


# ── Minutes ──


def _minutes(figure: Any, rows: list[Any], shown: ChartInput, locale: Locale) -> None:
    panel, asset = shown.minutes.tail(MINUTES), shown.asset
    axes = figure.add_subplot(rows[0][0])
    profile, margin = figure.add_subplot(rows[0][1], sharey=axes), figure.add_subplot(rows[0][2], sharey=axes)
    bars = panel.shape[1]
    lowest, highest = _view(panel, asset)
    axes.set_ylim(lowest, highest)
    axes.set_xlim(-1, bars + 1)
    _axes(axes, panel, 30, "%H:%M", asset)
    draw_bars(axes, panel)
    _vwap(axes, shown.minutes, bars)
    _pivots(axes, panel, SPANS["1m"])
    notes = _level_lines(axes, _levels(asset), asset, locale)
    notes += _plan(axes, asset, locale)
    notes += _profile(profile, shown, (lowest, highest), locale)
    draw_notes(margin, notes, lowest, highest, note_heading(locale))
    _last_bar(axes, panel, asset)
    _legend(axes, locale)
    _volume(figure.add_subplot(rows[1][0], sharex=axes), panel, locale)


def _view(panel: BarPanel, asset: Asset) -> tuple[float, float]:
    """Return the prices that the picture spans: the bars, the plan, and the nearest levels that are not far off."""
    if not panel.valid.any():
        return 0.0, 1.0
    low, high = float(np.nanmin(panel.low)), float(np.nanmax(panel.high))
    reach = 0.35 * max(high - low, 1e-3 * high)
    wanted = [low, high]
    if asset.risk_parameters is not None:
        wanted += [price for _, price in plan_lines(asset)]
    wanted += [level.price for level in _levels(asset) if low - reach <= level.price <= high + reach]
    pad = 0.03 * (max(wanted) - min(wanted)) or 1e-3 * high
    return min(wanted) - pad, max(wanted) + pad


def _vwap(axes: Any, minutes: BarPanel, bars: int) -> None:
    vwap, _, _ = session_vwap(
        minutes.high, minutes.low, minutes.close, minutes.volume, session_bars(minutes.open_time_ms)
    )
    axes.plot(np.arange(bars), vwap[0, -bars:], color=VWAP_COLOUR, lw=1.6, zorder=4)


def _pivots(axes: Any, panel: BarPanel, span: int) -> None:
    last = panel.shape[1] - 1
    if last < 0:
        return
    high, high_age, low, low_age = pivot_levels(panel.high, panel.low, span, panel.shape[1])
    low_y, high_y = axes.get_ylim()
    lift = 0.012 * (high_y - low_y)
    for price, age, sign, marker in ((high, high_age, 1.0, "v"), (low, low_age, -1.0, "^")):
        known = ~np.isnan(price[0])
        axes.scatter(last - age[0][known], price[0][known] + sign * lift, marker=marker, s=9, color=INK, zorder=5, lw=0)


def _profile(axes: Any, shown: ChartInput, view: tuple[float, float], locale: Locale) -> list[Note]:
    """Draw the volume of 24 h at its prices, the value area darker; return the labels that no level has."""
    recent = shown.minutes.tail(PROFILE_BARS)
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    axes.set_title(term("chart.profile", locale), fontsize=8, color=FAINT)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    edges, volumes = volume_at_prices(recent.high[0], recent.low[0], recent.volume[0], PROFILE_BINS)
    poc, vah, val = (float(column[0]) for column in volume_profile(recent, PROFILE_BARS, PROFILE_BINS))
    if not volumes.size:
        return []
    middle = (edges[:-1] + edges[1:]) / 2
    colours = np.where((middle >= val) & (middle <= vah), "#d9c48f", "#eee6d2")
    axes.barh(edges[:-1], volumes, height=np.diff(edges), align="edge", color=colours, edgecolor="white", lw=0.4)
    axes.set_xlim(0, 1.05 * volumes.max())
    drawn = {level.kind for level in _levels(shown.asset)}
    notes = []
    for name, price in (("poc", poc), ("vah", vah), ("val", val)):
        if view[0] <= price <= view[1]:
            axes.axhline(price, color=TIER_COLOURS["meso"], lw=1.0, ls=(0, (5, 2)))
            if name not in drawn:
                text = f"{like(price, shown.asset.price_str)}  {term(name, locale)}"
                notes.append(Note(price, text, "#d9c48f"))
    return notes


def _last_bar(axes: Any, panel: BarPanel, asset: Asset) -> None:
    """Mark the close, and the last bar where triggers fired on it."""
    close, last = panel.close[0, -1], panel.shape[1] - 1
    lowest, highest = axes.get_ylim()
    if not lowest <= close <= highest:
        return
    gap = 0.03 * (highest - lowest)
    ticks = [tick for tick in axes.get_yticks() if lowest <= tick <= highest and abs(tick - close) > gap]
    axes.set_yticks(ticks)
    axes.axhline(close, color=INK, lw=0.6, ls=(0, (1, 2)), zorder=2)
    axes.annotate(
        like(float(close), asset.price_str), (0, close), (-0.004, close), xycoords=("axes fraction", "data"),
        textcoords=("axes fraction", "data"), ha="right", va="center", fontsize=8, color="white", zorder=9,
        bbox={"boxstyle": "round,pad=0.25", "fc": INK, "ec": "none"},
    )  # fmt: skip
    if asset.trigger_reasons:
        axes.axvspan(last - 0.5, last + 0.5, color=FIRED_COLOUR, alpha=0.55, lw=0, zorder=1)


def _legend(axes: Any, locale: Locale) -> None:
    """Name colours and marks above the chart."""
    marks: list[Any] = [
        Line2D([], [], color=colour, lw=2.5, label=term(tier, locale)) for tier, colour in TIER_COLOURS.items()
    ]
    marks += [
        Line2D([], [], color=TIER_COLOURS["meso"], lw=1.6, ls=(0, (5, 2)), label="POC VAH VAL"),
        Line2D([], [], color=VWAP_COLOUR, lw=1.6, label=term("vwap", locale)),
        Line2D([], [], color=INK, marker="v", ms=3, lw=0, label=term("chart.pivots", locale)),
        Patch(color=FIRED_COLOUR, alpha=0.55, label=term("chart.fired", locale)),
    ]
    axes.set_title(term("chart.minutes", locale), loc="left", fontsize=9, color=FAINT)
    axes.legend(
        handles=marks, loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False, ncols=len(marks),
        borderaxespad=0.2, handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip


def _volume(axes: Any, panel: BarPanel, locale: Locale) -> None:
    rose = panel.close[0] >= panel.open[0]
    axes.bar(np.arange(panel.shape[1]), panel.volume[0], width=0.7, color=np.where(rose, "#c9c9c9", "#6e6e6e"))
    axes.tick_params(labelbottom=False, labelleft=False, left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_ylabel(term("chart.volume", locale), fontsize=8, color=FAINT)


# ── Hours and days ──


def _longer(
    figure: Any, places: tuple[Any, Any], panel: BarPanel | None, timeframe: str, shown: ChartInput, locale: Locale
) -> None:
    """Draw bars of a longer timeframe with the levels of its tier."""
    axes = figure.add_subplot(places[0])
    margin = figure.add_subplot(places[1], sharey=axes)
    tier, title = ("meso", "chart.hours") if timeframe == "1h" else ("macro", "chart.days")
    axes.set_title(term(title, locale), loc="left", fontsize=9, color=FAINT)
    if panel is None or not panel.valid.any():
        axes.text(0.5, 0.5, term("chart.no_bars", locale), ha="center", transform=axes.transAxes, color=FAINT)
        axes.set_axis_off()
        margin.set_axis_off()
        return
    levels = [level for level in _levels(shown.asset) if level.tier == tier]
    prices = [float(np.nanmin(panel.low)), float(np.nanmax(panel.high)), *(level.price for level in levels)]
    prices += [] if np.isnan(shown.minutes.close[0, -1]) else [float(shown.minutes.close[0, -1])]
    pad = 0.05 * (max(prices) - min(prices)) or 1e-3 * max(prices)
    axes.set_ylim(min(prices) - pad, max(prices) + pad)
    axes.set_xlim(-1, panel.shape[1])
    every, pattern = (6, "%m-%d %H:%M") if timeframe == "1h" else (max(1, panel.shape[1] // 6), "%m-%d")
    _axes(axes, panel, every, pattern, shown.asset)
    draw_bars(axes, panel)
    _pivots(axes, panel, SPANS[timeframe])
    notes = _level_lines(axes, levels, shown.asset, locale)
    lowest, highest = axes.get_ylim()
    draw_notes(margin, notes, lowest, highest, note_heading(locale))
    _last_bar(axes, shown.minutes, shown.asset)


# ── Levels and plan ──


def _levels(asset: Asset) -> list[Level]:
    return [] if asset.market_context is None else asset.market_context.key_levels_meta


def _level_lines(axes: Any, levels: list[Level], asset: Asset, locale: Locale) -> list[Note]:
    """Draw the levels in view, the stronger the thicker, and return their labels."""
    lowest, highest = axes.get_ylim()
    notes = []
    for level in levels:
        colour, strength = TIER_COLOURS[level.tier or "micro"], level.strength or 0.0
        if lowest <= level.price <= highest:
            style = (0, (5, 2)) if level.kind in {"poc", "vah", "val"} else "-"
            axes.axhline(level.price, color=colour, lw=0.6 + 3.0 * strength, ls=style, alpha=0.75, zorder=2)
        notes.append(Note(level.price, level_note(level, asset.price_str, locale), colour, is_bold=strength >= 0.7))
    return notes


def _plan(axes: Any, asset: Asset, locale: Locale) -> list[Note]:
    notes = []
    last = axes.get_xlim()[1]
    for name, price in plan_lines(asset):
        colour = PLAN_COLOURS[name.rstrip("0123456789")]
        axes.plot([last - 45, last], [price, price], color=colour, lw=2.2, zorder=6, solid_capstyle="butt")
        word = term(name.rstrip("0123456789"), locale).upper() + name.lstrip("abcdefghijklmnopqrstuvwxyz")
        notes.append(Note(price, f"{word} {like(price, asset.price_str)}", colour, is_bold=True))
    return notes


def _axes(axes: Any, panel: BarPanel, every: int, pattern: str, asset: Asset) -> None:
    """Label whole multiples of ``every`` bars with their UTC time, and prices with the decimals of the tick."""
    times = panel.open_time_ms
    at = np.flatnonzero((times // panel.interval_ms) % every == 0)
    axes.set_xticks(at, [stamp(int(times[place]), pattern) for place in at], fontsize=8, color=FAINT)
    axes.tick_params(axis="y", labelsize=8, labelcolor=FAINT)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda price, _: like(price, asset.price_str)))
    axes.grid(visible=True, color="#eeeeee", lw=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


__all__ = ["ChartInput", "chart_figure", "draw_chart"]
