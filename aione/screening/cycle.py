"""The end of a cycle: trades, the published state, and the record that the cycle was run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aione.errors import AioneError
from aione.metrics import Sample, push
from aione.panel import MINUTE_MS
from aione.publish.payload import Asset, Counters
from aione.screening.analyse import Found, Scored
from aione.screening.assets import build_assets
from aione.screening.auditing import log_cycle, log_trades
from aione.screening.load import Loaded
from aione.screening.runtime import Runtime, local_ms
from aione.stage3.step import step_trades
from config.settings import RECOMMENDATIONS

APPEND_ATTEMPTS: Final = 3
SCREENING: Final = "screening"


@dataclass(frozen=True, slots=True)
class Cycle:
    """One completed cycle.

    Attributes
    ----------
    source : str
        Who ran it: ``screening``, ``rescan``, ``scan``.
    scheduled_ms, started_ms, published_ms : int
        When it was to start, when it did and when its snapshot was there, by this machine's clock.
    late_ms : int
        From the minute's end, by the exchange's clock, to the published snapshot.
    missed : int
        Minutes before this one that no cycle was published for.
    rows : tuple of mappings
        What was found for each symbol of the universe, for a person.
    """

    bar_time_ms: int
    source: str
    scheduled_ms: int
    started_ms: int
    published_ms: int
    late_ms: int
    missed: int
    seq: int
    universe: int
    screened: int
    alerts: int
    recommendations: int
    open_trades: int
    missing_bars: int
    provisional_bars: int
    syncing: int
    warnings: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def bar_time(self) -> str:
        """Return the bar's open time as text, UTC."""
        return datetime.fromtimestamp(self.bar_time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")

    def summary(self, symbols: Sequence[str] = ()) -> dict[str, Any]:
        """Return the facts of the cycle as plain values; with ``symbols``, what was found for them too."""
        facts: dict[str, Any] = {
            "bar_time": self.bar_time,
            "source": self.source,
            "scheduled_ms": self.scheduled_ms,
            "seconds": round((self.published_ms - self.scheduled_ms) / 1000, 3),
            "drift_s": round((self.started_ms - self.scheduled_ms) / 1000, 3),
            "late_s": self.late_ms / 1000,
            "missed": self.missed,
            "seq": self.seq,
            "symbols": self.screened,
            "universe": self.universe,
            "alerts": self.alerts,
            "recommendations": self.recommendations,
            "open_trades": self.open_trades,
            "missing_bars": self.missing_bars,
            "provisional_bars": self.provisional_bars,
            "syncing": self.syncing,
            "warnings": list(self.warnings),
        }
        if symbols:
            facts["found"] = [row for row in self.rows if row["symbol"] in set(symbols)]
        return facts

    def alert_table(self) -> list[dict[str, Any]]:
        """Return the alerted symbols as rows for a person, the most confident first."""
        alerted = [row for row in self.rows if row["state"] == "alert"]
        return sorted(alerted, key=lambda row: -(row["confidence"] or 0.0))


async def skip_reason(runtime: Runtime, bar_time_ms: int, *, is_forced: bool = False) -> str | None:
    """Return why this minute needs no cycle: it was published already, or there is nothing to screen yet.

    With ``is_forced`` the last published minute may be analysed again; an older one never is, for it would take the
    place of a newer one.
    """
    last = await runtime.cycles.last_bar_ms()
    if last is not None and (last > bar_time_ms or (last == bar_time_ms and not is_forced)):
        return f"the bar of {datetime.fromtimestamp(bar_time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC is published already"
    if await runtime.states.load_prefilter() is None:
        return "there is no screened universe yet; the preload and prefilter flows make it"
    return None


@dataclass(frozen=True, slots=True)
class Traded:
    """What Stage3 did in a minute."""

    events: int


async def trade(runtime: Runtime, loaded: Loaded, found: Found, scored: Scored) -> Traded:
    """Lead the open trades through the new bars, open new ones, store the events; return how many there were.

    Trades are led every ``TRADE_REFRESH_INTERVAL`` seconds, through every bar since the last time.

    Raises
    ------
    AioneError
        Another writer was faster every time.
    """
    every = max(1, round(runtime.settings.TRADE_REFRESH_INTERVAL * 1000 / MINUTE_MS))
    if (loaded.bar_time_ms // MINUTE_MS) % every:
        return Traded(0)
    book = loaded.book
    for _ in range(APPEND_ATTEMPTS):
        events = step_trades(
            book,
            loaded.panel,
            found.readings,
            loaded.market,
            found.stage1,
            scored.stage2,
            runtime.settings,
            loaded.now_ms,
            gone=loaded.gone,
            multipliers=found.rules.stage3,
            asked_by=found.rules.stage3_by,
            paused=[symbol for symbol, waits in zip(loaded.panel.symbols, loaded.waits, strict=True) if waits],
        )
        if await runtime.trades.append(events) == len(events):
            log_trades(runtime, events, book)
            return Traded(len(events))
        book = await runtime.trades.load()
    raise AioneError(f"trade events were refused {APPEND_ATTEMPTS} times: another writer changes the same trades")


async def publish_cycle(
    runtime: Runtime,
    loaded: Loaded,
    found: Found,
    scored: Scored,
    *,
    scheduled_ms: int,
    started_ms: int | None = None,
    source: str = SCREENING,
) -> Cycle:
    """Publish every asset, keep the monitor's states and record the cycle.

    The states are saved after the publication: a crash between the two announces an alert again rather than never.
    """
    book = await runtime.trades.load()
    settings = runtime.settings
    assets = build_assets(loaded, found, scored, book.open, settings)
    counters = Counters(
        universe=len(loaded.infos),
        screened=len(loaded.panel.symbols),
        alerts=int(found.stage1.alert.sum()),
        recommendations=sum(asset.signal != "NONE" for asset in assets),
        open_trades=len(book.open),
        missing_bars=len(loaded.missing),
        provisional_bars=len(loaded.provisional),
        syncing=int((loaded.holes > 0).sum()),
        quarantined=len(loaded.quarantine),
        cycle=loaded.bar_time_ms // MINUTE_MS,
    )
    published = await runtime.publisher.publish(
        assets,
        counters,
        ts_ms=runtime.now_ms(),
        bar_time_ms=loaded.bar_time_ms,
        source=source,
        stale=loaded.is_stale or bool(loaded.missing),
        warnings=[
            *loaded.warnings,
            *(f"trigger {name}: {why}" for name, why in found.stage1.failures.items()),
            *found.rules.clamped,
        ],
    )
    await runtime.states.save_monitor_states(found.stage1.states)
    await log_cycle(runtime, found, scored)
    await _keep_alerted(runtime, found)
    cycle = Cycle(
        bar_time_ms=loaded.bar_time_ms,
        source=source,
        scheduled_ms=scheduled_ms,
        started_ms=scheduled_ms if started_ms is None else started_ms,
        published_ms=local_ms(),
        late_ms=runtime.now_ms() - loaded.bar_time_ms - MINUTE_MS,
        missed=await _missed(runtime, loaded.bar_time_ms),
        seq=published.seq,
        universe=counters.universe,
        screened=counters.screened,
        alerts=counters.alerts,
        recommendations=counters.recommendations,
        open_trades=counters.open_trades,
        missing_bars=counters.missing_bars,
        provisional_bars=counters.provisional_bars,
        syncing=counters.syncing,
        warnings=loaded.warnings,
        rows=tuple(map(_row, assets)),
    )
    await _record(runtime, cycle, found, scored, is_scheduled=source == SCREENING)
    return cycle


async def _missed(runtime: Runtime, bar_time_ms: int) -> int:
    last = await runtime.cycles.last_bar_ms()
    return 0 if last is None else max(0, (bar_time_ms - last) // MINUTE_MS - 1)


async def _keep_alerted(runtime: Runtime, found: Found) -> None:
    """Let the prefilter keep what is on alert for ``FAST_SYMBOLS_TTL_AUTO`` seconds, whatever its floors say."""
    alerted = [symbol for symbol, is_alert in zip(found.stage1.symbols, found.stage1.alert, strict=True) if is_alert]
    until_ms = runtime.now_ms() + int(1000 * runtime.settings.FAST_SYMBOLS_TTL_AUTO)
    await runtime.states.add_fast_symbols(alerted, until_ms)


async def _record(runtime: Runtime, cycle: Cycle, found: Found, scored: Scored, *, is_scheduled: bool) -> None:
    held = Counter(str(row["recommendation"]) for row in cycle.rows)
    await runtime.cycles.append(cycle.bar_time_ms, cycle.summary())
    cadence = [
        Sample("aione_cycle_late_seconds", cycle.late_ms / 1000),
        Sample("aione_cycle_drift_seconds", (cycle.started_ms - cycle.scheduled_ms) / 1000),
        Sample("aione_minutes_missed_total", cycle.missed),
    ]
    await push(
        runtime.redis,
        [
            *(cadence if is_scheduled else ()),
            Sample("stage1_cycle_seconds", found.seconds),
            Sample("stage2_cycle_seconds", scored.seconds),
            Sample("aione_cycles_total", labels={"outcome": "completed"}),
            Sample("aione_cycle_seconds", (cycle.published_ms - cycle.scheduled_ms) / 1000),
            Sample("aione_published_total", labels={"type": "snapshot"}),
            Sample("aione_snapshot_seq", cycle.seq),
            Sample("aione_symbols", cycle.universe, {"stage": "universe"}),
            Sample("aione_symbols", cycle.screened, {"stage": "screened"}),
            Sample("aione_symbols", cycle.alerts, {"stage": "alerted"}),
            Sample("aione_alerts", cycle.alerts),
            Sample("aione_open_trades", cycle.open_trades),
            *(Sample("aione_recommendations", held[name], {"recommendation": name}) for name in RECOMMENDATIONS),
        ],
    )


def _row(asset: Asset) -> dict[str, Any]:
    plan = asset.risk_parameters
    return {
        "symbol": asset.symbol,
        "state": asset.state,
        "price": asset.price_str,
        "signal": asset.signal,
        "recommendation": asset.recommendation,
        "scenario": asset.market_context.scenario if asset.market_context else None,
        "confidence": asset.confidence_metrics.raw if asset.confidence_metrics else None,
        "triggers": ", ".join(asset.trigger_reasons),
        "SL": plan.sl if plan else None,
        "TP": ", ".join(map(str, plan.tp)) if plan else None,
        "why": asset.narrative.en if asset.narrative else None,
    }


__all__ = ["Cycle", "Traded", "publish_cycle", "skip_reason", "trade"]
