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


@dataclass(frozen=True, slots=True)
class Cycle:
    """One completed cycle.

    Attributes
    ----------
    scheduled_ms, published_ms : int
        When it was to start and when its snapshot was there, by this machine's clock.
    new_signals : tuple of (subject, body)
        What a person is told of: alerts with a plan that were not announced before.
    """

    bar_time_ms: int
    scheduled_ms: int
    published_ms: int
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
    assets: tuple[Asset, ...]
    new_signals: tuple[tuple[str, str], ...]

    @property
    def bar_time(self) -> str:
        """Return the bar's open time as text, UTC."""
        return datetime.fromtimestamp(self.bar_time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")

    def summary(self, symbols: Sequence[str] = ()) -> dict[str, Any]:
        """Return the facts of the cycle as plain values; with ``symbols``, what was found for them too."""
        facts: dict[str, Any] = {
            "bar_time": self.bar_time,
            "scheduled_ms": self.scheduled_ms,
            "seconds": round((self.published_ms - self.scheduled_ms) / 1000, 3),
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
            facts["found"] = [_row(asset) for asset in self.assets if asset.symbol in set(symbols)]
        return facts

    def alert_table(self) -> list[dict[str, Any]]:
        """Return the alerted symbols as rows for a person, the most confident first."""
        alerted = [asset for asset in self.assets if asset.state == "alert"]
        return [_row(asset) for asset in sorted(alerted, key=lambda asset: -_confidence(asset))]


async def skip_reason(runtime: Runtime, bar_time_ms: int) -> str | None:
    """Return why this minute needs no cycle: it was published already, or there is nothing to screen yet."""
    last = await runtime.cycles.last_bar_ms()
    if last is not None and last >= bar_time_ms:
        return f"the bar of {datetime.fromtimestamp(bar_time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC is published already"
    if await runtime.states.load_prefilter() is None:
        return "there is no screened universe yet; the preload and prefilter flows make it"
    return None


async def trade(runtime: Runtime, loaded: Loaded, found: Found, scored: Scored) -> int:
    """Lead the open trades through the new bars, open new ones, store the events; return how many there were.

    Trades are led every ``TRADE_REFRESH_INTERVAL`` seconds, through every bar since the last time.

    Raises
    ------
    AioneError
        Another writer was faster every time.
    """
    every = max(1, round(runtime.settings.TRADE_REFRESH_INTERVAL * 1000 / MINUTE_MS))
    if (loaded.bar_time_ms // MINUTE_MS) % every:
        return 0
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
            paused=[symbol for symbol, holes in zip(loaded.panel.symbols, loaded.holes, strict=True) if holes],
        )
        if await runtime.trades.append(events) == len(events):
            log_trades(runtime, events, book)
            return len(events)
        book = await runtime.trades.load()
    raise AioneError(f"trade events were refused {APPEND_ATTEMPTS} times: another writer changes the same trades")


async def publish_cycle(
    runtime: Runtime, loaded: Loaded, found: Found, scored: Scored, *, scheduled_ms: int, source: str = "screening"
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
    announced = {symbol for symbol, is_new in zip(found.stage1.symbols, found.stage1.announced, strict=True) if is_new}
    cycle = Cycle(
        bar_time_ms=loaded.bar_time_ms,
        scheduled_ms=scheduled_ms,
        published_ms=local_ms(),
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
        assets=tuple(assets),
        new_signals=tuple(_signal(asset) for asset in assets if asset.symbol in announced and asset.signal != "NONE"),
    )
    await _record(runtime, cycle, found, scored)
    return cycle


async def _keep_alerted(runtime: Runtime, found: Found) -> None:
    """Let the prefilter keep what is on alert for ``FAST_SYMBOLS_TTL_AUTO`` seconds, whatever its floors say."""
    alerted = [symbol for symbol, is_alert in zip(found.stage1.symbols, found.stage1.alert, strict=True) if is_alert]
    until_ms = runtime.now_ms() + int(1000 * runtime.settings.FAST_SYMBOLS_TTL_AUTO)
    await runtime.states.add_fast_symbols(alerted, until_ms)


async def _record(runtime: Runtime, cycle: Cycle, found: Found, scored: Scored) -> None:
    held = Counter(str(asset.recommendation) for asset in cycle.assets)
    await runtime.cycles.append(cycle.bar_time_ms, cycle.summary())
    await push(
        runtime.redis,
        [
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


def _signal(asset: Asset) -> tuple[str, str]:
    plan = asset.risk_parameters
    subject = f"{asset.symbol} {asset.signal} {asset.recommendation}"
    if plan is None:
        return subject, asset.narrative.en if asset.narrative else ""
    return subject, f"{asset.narrative.en if asset.narrative else ''}\nentry {plan.entry} SL {plan.sl} TP {plan.tp}"


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


def _confidence(asset: Asset) -> float:
    metrics = asset.confidence_metrics
    return metrics.raw if metrics and metrics.raw is not None else 0.0


__all__ = ["Cycle", "publish_cycle", "skip_reason", "trade"]
