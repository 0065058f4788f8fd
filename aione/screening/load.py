"""The first step of a cycle: which symbols, their bars, and what else is known of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import orjson

from aione.errors import InsufficientData, InvalidInput, VenueError
from aione.panel import B1, DAY_MS, I8, MINUTE_MS, BarPanel, Finality, MarketSnapshot
from aione.prefilter import PrefilterResult
from aione.quality import Quarantined
from aione.screening.context import market_snapshot
from aione.screening.quarantine import guard_cycle
from aione.screening.runtime import Runtime, local_ms
from aione.stage1.monitor import MonitorState
from aione.stage3.book import TradeBook
from aione.store import keys
from aione.store.ring_layout import U1
from aione.thresholds import RuleBook, RuleState, load_book
from aione.thresholds.book import NO_RULES
from aione.venue.history import preload
from config.models import SymbolInfo

POLL_S = 0.1
FETCH_WITHIN_S = 3.0
"""So long may missing bars be fetched after the grace; then the cycle runs without them."""
NAMES_TOLD = 10
WORKER_SPOKE_MS = 60_000
OVERDUE = 3.0
"""Intervals of the prefilter after which a reader is warned that its result is old."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that the stages of one cycle read; they do no I/O of their own.

    Attributes
    ----------
    bar_time_ms : int
        Open time of the bar that the cycle is for.
    now_ms : int
        The exchange's time when the bars were read.
    panel, daily : BarPanel
        1-minute bars to ``bar_time_ms`` and daily bars to the day before, of the same symbols.
    market : MarketSnapshot
    infos : mapping symbol -> SymbolInfo
        The whole universe, screened or not.
    gone : mapping symbol -> price
        Symbols with an open trade that have left the universe, with the close of their last bar.
    finality, source : uint8 (S,)
        Of each symbol's last bar; see `aione.store.ring_layout.RingView`.
    holes : int64 (S,)
        Bars that each symbol lacks inside its history. One that lacks any is not scored.
    missing : tuple of str
        Symbols whose bar of this minute could not be had.
    warnings : tuple of str
        What a reader of the result must know.
    rules : RuleBook
        The threshold rules in force.
    rule_state : bytes, optional
        JSON of what they remember; None before the first minute.
    quarantine : mapping symbol -> Quarantined
        Symbols of the panel whose data is not to be trusted. None of them is scored.
    """

    bar_time_ms: int
    now_ms: int
    panel: BarPanel
    daily: BarPanel
    market: MarketSnapshot
    prefilter: PrefilterResult
    infos: Mapping[str, SymbolInfo]
    states: Mapping[str, MonitorState]
    book: TradeBook
    missing: tuple[str, ...]
    is_stale: bool
    warnings: tuple[str, ...]
    finality: U1
    source: U1
    holes: I8
    gone: Mapping[str, float]
    rules: RuleBook = NO_RULES
    rule_state: bytes | None = None
    quarantine: Mapping[str, Quarantined] = field(default_factory=dict)

    @property
    def waits(self) -> B1:
        """Return which symbols are not to be scored or traded in this minute, ``(S,)``: holes, or quarantine."""
        is_out = np.array([symbol in self.quarantine for symbol in self.panel.symbols], dtype=np.bool_)
        waits: B1 = (self.holes > 0) | is_out
        return waits

    @property
    def is_last_final(self) -> B1:
        """Return which symbols' bar of the minute is there and final, ``(S,)``."""
        return self.panel.valid[:, -1] & (self.finality >= Finality.STREAM_CLOSED)

    @property
    def provisional(self) -> list[str]:
        """Return the symbols whose last bar is there and not final."""
        has_bar = self.panel.valid[:, -1] & (self.finality < Finality.STREAM_CLOSED)
        return [symbol for symbol, is_so in zip(self.panel.symbols, has_bar, strict=True) if is_so]


async def load_cycle(runtime: Runtime, bar_time_ms: int, extra: Sequence[str] = ()) -> Loaded:
    """Wait for the minute's last bars, fill what is missing and read everything a cycle needs.

    Parameters
    ----------
    runtime : Runtime
    bar_time_ms : int
        Open time of the closed bar that the cycle is for.
    extra : sequence of str
        Symbols to look at besides the screened ones; those that the universe lacks are ignored.

    Raises
    ------
    InsufficientData
        There is no universe or no prefilter result yet.
    """
    universe = await runtime.states.load_universe()
    prefilter = await runtime.states.load_prefilter()
    if universe is None or prefilter is None:
        raise InsufficientData("there is no screened universe yet; the preload and prefilter flows make it")
    infos = {info.symbol: info for info in universe.infos}
    book = await runtime.trades.load()
    wanted = dict.fromkeys([*prefilter.symbols, *extra, *book.open])
    symbols = [symbol for symbol in wanted if symbol in infos]  # what has left the universe is not looked at any more
    if not symbols:
        raise InsufficientData("no symbol passed the prefilter")
    missing = await _wait_for_bars(runtime, symbols, bar_time_ms)
    warnings = [f"the universe is stale: {universe.stale_reason}"] if universe.is_stale else []
    age_s = (runtime.now_ms() - prefilter.now_ms) / 1000
    if age_s > OVERDUE * runtime.settings.PREFILTER_INTERVAL_SEC:
        warnings.append(f"the prefilter last ran {age_s / 60:.0f} minutes ago")
    if missing:
        missing = await _fetch_missing(runtime, missing, bar_time_ms, warnings)
    settings = runtime.settings
    rules, rule_state = await _rules(runtime, warnings)
    view = await runtime.minute_rings.view(symbols, bar_time_ms, settings.SCREENING_LOOKBACK)
    yesterday_ms = bar_time_ms // DAY_MS * DAY_MS - DAY_MS
    daily = await runtime.daily_rings.load(symbols, yesterday_ms, settings.PRELOAD_DAILY_DAYS)
    now_ms = runtime.now_ms()
    quarantine = await guard_cycle(runtime, view, infos, now_ms)
    loaded = Loaded(
        bar_time_ms=bar_time_ms,
        now_ms=now_ms,
        panel=view.panel,
        daily=daily,
        market=await market_snapshot(runtime, view.panel, infos, prefilter, now_ms),
        prefilter=prefilter,
        infos=infos,
        states=await runtime.states.load_monitor_states(symbols),
        book=book,
        missing=tuple(missing),
        is_stale=universe.is_stale,
        warnings=(),
        finality=view.finality,
        source=view.source,
        holes=view.holes,
        gone=await _last_prices(runtime, book, infos, bar_time_ms),
        rules=rules,
        rule_state=rule_state,
        quarantine=quarantine,
    )
    return replace(loaded, warnings=(*await _incidents(runtime), *warnings, *_doubts(loaded)))


async def _rules(runtime: Runtime, warnings: list[str]) -> tuple[RuleBook, bytes | None]:
    """Return the rules as their files are now, the last good ones where they are wrong, and what they remember."""
    dynamic = runtime.settings.STAGE2_CONFIG.dynamic
    if not dynamic.use_rules:
        return NO_RULES, None
    state, broken = read_rule_state(await runtime.states.load_memory(keys.rule_state()))
    if broken:
        warnings.append(broken)
    rules, problem = load_book(Path(dynamic.rules_dir) if dynamic.rules_dir else None, state)
    if problem:
        first, *more = problem.splitlines()
        others = f" (and {len(more)} more)" if more else ""
        warnings.append(f"threshold rules are wrong, the last good ones are in force: {first}{others}")
    return rules, orjson.dumps(state.to_dict())


def read_rule_state(raw: bytes | None) -> tuple[RuleState, str]:
    """Return what the rules remember, and what is wrong with it: rules that begin anew are better than no cycle."""
    try:
        return (RuleState() if raw is None else RuleState.from_dict(orjson.loads(raw))), ""
    except (InvalidInput, orjson.JSONDecodeError) as error:
        return RuleState(), f"the threshold rules begin anew: {error}"


async def _incidents(runtime: Runtime) -> list[str]:
    """Return what the stream workers say is wrong now; a replayed moment has none."""
    if runtime.frozen_ms is not None:
        return []
    return [one["text"] for one in await runtime.incidents.open(local_ms() - WORKER_SPOKE_MS)]


async def _last_prices(
    runtime: Runtime, book: TradeBook, infos: Mapping[str, SymbolInfo], bar_time_ms: int
) -> dict[str, float]:
    """Return the last close of each traded symbol that has left the universe; its entry where no bar is held."""
    gone = [symbol for symbol in book.open if symbol not in infos]
    panel = await runtime.minute_rings.load(gone, bar_time_ms, runtime.settings.SCREENING_LOOKBACK)
    prices = {}
    for symbol, closes, valid in zip(gone, panel.close, panel.valid, strict=True):
        prices[symbol] = float(closes[valid][-1]) if valid.any() else book.open[symbol].entry
    return prices


def _doubts(loaded: Loaded) -> list[str]:
    """Return what a reader must know of the bars: which are not final, which symbols lack some, or have wrong ones."""
    syncing = [symbol for symbol, holes in zip(loaded.panel.symbols, loaded.holes, strict=True) if holes]
    doubts = []
    for what, symbols in (
        ("run on a bar that is not final", loaded.provisional),
        ("lack bars and wait", syncing),
        ("are in quarantine", list(loaded.quarantine)),
    ):
        if symbols:
            more = f" and {len(symbols) - NAMES_TOLD} more" if len(symbols) > NAMES_TOLD else ""
            names = ", ".join(symbols[:NAMES_TOLD])
            doubts.append(f"{len(symbols)} of {len(loaded.panel.symbols)} symbols {what}: {names}{more}")
    return doubts


async def _wait_for_bars(runtime: Runtime, symbols: Sequence[str], bar_time_ms: int) -> list[str]:
    """Wait until every bar is final or the grace is over; return the symbols that have none at all."""
    loop = asyncio.get_running_loop()
    over_ms = bar_time_ms + MINUTE_MS + 1000 * runtime.settings.SCREENING_GRACE_S
    deadline_s = loop.time() + (over_ms - runtime.now_ms()) / 1000
    waiting = list(symbols)
    while (waiting := await runtime.minute_rings.unsure(waiting, bar_time_ms)) and loop.time() < deadline_s:  # noqa: ASYNC110  # others write
        await asyncio.sleep(POLL_S)
    gaps = await runtime.minute_rings.gaps(waiting, bar_time_ms, bar_time_ms)
    return [symbol for symbol in waiting if gaps[symbol]]


async def _fetch_missing(runtime: Runtime, symbols: Sequence[str], bar_time_ms: int, warnings: list[str]) -> list[str]:
    """Fetch the newest bars of these symbols by REST and return those that still lack the minute's.

    A request may wait for the budget or a hold much longer than a minute lasts, so it gets `FETCH_WITHIN_S`.
    """
    try:
        async with asyncio.timeout(FETCH_WITHIN_S):
            await preload(
                runtime.rest,
                runtime.minute_rings,
                symbols,
                interval="1m",
                bars=runtime.settings.SCREENING_LOOKBACK,
                end_ms=bar_time_ms,
                concurrency=runtime.settings.KLINES_SEMAPHORE,
            )
    except TimeoutError:
        warnings.append(f"bars of {len(symbols)} symbols could not be fetched within {FETCH_WITHIN_S:g} s")
    except VenueError as error:
        warnings.append(f"bars of {len(symbols)} symbols could not be fetched: {error}")
    gaps = await runtime.minute_rings.gaps(symbols, bar_time_ms, bar_time_ms)
    return [symbol for symbol in symbols if gaps[symbol]]


__all__ = ["Loaded", "load_cycle", "read_rule_state"]
