"""The history of the candidates: minute and daily bars, only what the rings lack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aione.panel import DAY_MS, MINUTE_MS
from aione.screening.runtime import Runtime
from aione.store.cycles import Progress
from aione.venue.history import PreloadReport, preload


@dataclass(frozen=True, slots=True)
class HistoryReport:
    """What was fetched for each timeframe."""

    minutes: PreloadReport
    days: PreloadReport

    def summary(self) -> dict[str, Any]:
        """Return plain values: bars written, requests, weight and failures by timeframe."""
        return {"1m": asdict(self.minutes), "1d": asdict(self.days)}


OnProgress = Callable[[Progress], Awaitable[None]]


async def preload_history(runtime: Runtime, symbols: Sequence[str], on_progress: OnProgress) -> HistoryReport:
    """Fetch ``PRELOAD_1M_LOOKBACK_INIT`` minutes and ``PRELOAD_DAILY_DAYS`` days where the rings lack them.

    Progress goes to ``on_progress`` and to where `aione up` looks for it.
    """
    settings = runtime.settings
    now_ms = runtime.now_ms()
    universe = await runtime.states.load_universe()
    onboard_ms = {info.symbol: info.onboard_ms for info in universe.infos} if universe else {}
    total = 2 * len(symbols)
    before = 0

    async def tell(done: int, _: int, symbol: str) -> None:
        progress = Progress(symbol, before + done, total)
        await runtime.cycles.tell_progress(progress)
        await on_progress(progress)

    reports = []
    for rings, interval, bars, step_ms in (
        (runtime.minute_rings, "1m", settings.PRELOAD_1M_LOOKBACK_INIT, MINUTE_MS),
        (runtime.daily_rings, "1d", settings.PRELOAD_DAILY_DAYS, DAY_MS),
    ):
        reports.append(
            await preload(
                runtime.rest,
                rings,
                symbols,
                interval=interval,
                bars=bars,
                end_ms=now_ms // step_ms * step_ms - step_ms,
                concurrency=settings.KLINES_SEMAPHORE,
                on_progress=tell,
                onboard_ms=onboard_ms,
            )
        )
        before += len(symbols)
    await runtime.cycles.tell_progress(None)
    return HistoryReport(*reports)


__all__ = ["HistoryReport", "OnProgress", "preload_history"]
