"""What a worker tells of itself each second: status, metrics, incidents."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from aione.metrics import Metrics
from aione.store.archiver import Archiver
from aione.store.tiers import TieredRings
from aione.store.unified import tier_ages_s
from aione.stream.bars import BarFeed
from aione.stream.book import BookBoard
from aione.stream.event_desk import EventDesk
from aione.stream.fleet import Fleet
from aione.stream.healing import HealReport
from aione.stream.incidents import GRACE_S, Incident, IncidentBook
from aione.stream.outlet import Outlet
from aione.stream.shard import Shard
from aione.stream.status import Said, record_fleet, status_fields, worker_id
from aione.stream.symbols import Wanted
from aione.venue.rest import BinanceRest
from aione.venue.stream_track import StreamState

log = logging.getLogger(__name__)

SKEW_MS: Final = 5_000
UNTOLD_KEPT: Final = 200


class Reporter:
    """Gathers what the worker's jobs have found and hands it out; parameters as those of `StreamWorker`.

    Attributes
    ----------
    fleet : Fleet, optional
        The connections, once they are kept.
    wanted : Wanted
        What is followed.
    """

    def __init__(
        self,
        outlet: Outlet,
        rings: TieredRings,
        rest: BinanceRest,
        metrics: Metrics,
        shard: Shard,
        feed: BarFeed,
        board: BookBoard,
        archivers: Sequence[Archiver] = (),
        events: EventDesk | None = None,
    ) -> None:
        self.fleet: Fleet | None = None
        self.wanted = Wanted()
        self.metrics_port = 0
        self._outlet = outlet
        self._rings = rings
        self._rest = rest
        self._metrics = metrics
        self._shard = shard
        self._feed = feed
        self._board = board
        self._archivers = archivers
        self._events = events
        self._worker = worker_id(shard)
        self._started_ms = wall_ms()
        self._incidents = IncidentBook()
        self._untold: list[Incident] = []
        self._left_behind: tuple[str, ...] = ()
        self._overdue: tuple[str, ...] = ()
        self._corrected = 0
        self._last_outage: dict[str, Any] = {}
        self._outage_from: tuple[int, int] | None = None

    # ── What the jobs found ──

    def healed(self, report: HealReport) -> None:
        """Take the outcome of a check by the healer."""
        self._left_behind = report.behind
        self.corrected(report.corrected)
        for cause, bars in (("missing", report.filled), ("unconfirmed", report.confirmed)):
            if bars > 0:
                self._metrics.add("aione_gaps_healed_total", bars, cause=cause)
        if self._events is not None:
            self._events.healed(report.gaps)

    def overdue(self, symbols: tuple[str, ...]) -> None:
        """Take the symbols whose bars are due and are not there, whether the healer can work or not."""
        self._overdue = symbols

    def corrected(self, bars: int) -> None:
        """Count final bars that the exchange has told differently since."""
        if bars:
            self._corrected += bars
            self._metrics.add("aione_bars_corrected_total", bars)

    # ── Each second ──

    async def observe(self) -> None:
        """Bring metrics and incidents up to date; needs nobody to answer."""
        assert self.fleet is not None, "the fleet stands before anything is reported"
        record_fleet(self.fleet, self._metrics)
        self._metrics.set_total("aione_dropped_total", self._feed.dropped + self._rings.dropped)
        self._metrics.set_total("aione_errors_total", self._feed.refused, kind="refused_bar")
        self._metrics.set_total("aione_errors_total", self._board.refused, kind="refused_quote")
        self._metrics.set_total("aione_store_replayed_total", self._rings.replayed)
        self._metrics.add("aione_store_pending_bars", self._rings.pending)
        for (tier, outcome), number in self._rings.reads.items():
            self._metrics.set_total("aione_store_reads_total", number, tier=tier, outcome=outcome)
        for kind, age_s in self._board.ages_s(self._rest.clock.now_ms()).items():
            self._metrics.add("aione_context_age_seconds", age_s, kind=kind)
        self._observe_tiers()
        wrong = await self._wrong(self.fleet)
        now_s = asyncio.get_running_loop().time()
        for incident in self._incidents.observe(wrong, now_s=now_s, wall_ms=wall_ms()):
            _log(incident)
            # as it is now: it may have changed, or ended, by the time that somebody listens
            self._untold.append(replace(incident, names=dict(incident.names)))
            if self._events is not None:
                self._events.incident(incident)
            if incident.ended_ms is None:
                self._metrics.add("aione_incidents_total", kind=incident.kind)
        opened = {incident.kind for incident in self._incidents.open()}
        for kind in GRACE_S:
            self._metrics.add("aione_incidents", int(kind in opened), kind=kind)
        self._watch_outage()

    def _observe_tiers(self) -> None:
        now_ms = self._rest.clock.now_ms()
        for tier, age_s in tier_ages_s(self._rings, self._archivers, now_ms).items():
            self._metrics.add("aione_store_age_seconds", age_s, tier=tier)
        self._metrics.set_total("aione_archive_bars_total", sum(archiver.written for archiver in self._archivers))

    async def report(self) -> None:
        """Tell incidents and the status, and copy the flows' metrics.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer; incidents are kept and told when it does.
        """
        await self._tell()
        await self.say("running")
        if self._shard.is_first:
            await self._outlet.refresh_metrics(self._metrics)

    async def say(self, state: str) -> None:
        """Write the status."""
        if self.fleet is None:
            return
        said = Said(
            state=state,
            shard=str(self._shard),
            started_ms=self._started_ms,
            now_ms=wall_ms(),
            clock_offset_ms=round(self._rest.clock.offset_ms()),
            metrics_port=self.metrics_port,
            symbols=len(self.wanted.symbols),
            behind=self._behind,
            incidents=[incident.text for incident in self._incidents.open()],
            store={
                "pending": self._rings.pending,
                "replayed": self._rings.replayed,
                "dropped": self._rings.dropped,
                "reads": {f"{tier} {outcome}": number for (tier, outcome), number in self._rings.reads.items()},
                "last_outage": self._last_outage,
            },
        )
        await self._outlet.save_status(
            self._worker, status_fields(self.fleet, self._metrics, said), self.fleet.streams()
        )

    @property
    def _behind(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self._left_behind, *self._overdue]))

    async def _tell(self) -> None:
        """Hand out incidents, the oldest first; those that cannot be told now are kept."""
        del self._untold[:-UNTOLD_KEPT]
        told = tuple(self._untold)
        await self._outlet.tell(self._worker, told)
        del self._untold[: len(told)]  # and not what was observed meanwhile

    async def _wrong(self, fleet: Fleet) -> dict[str, Collection[str]]:
        budget = await self._rest.ledger.state()
        self._metrics.add("aione_ledger_alone", int(budget.is_alone))
        self._metrics.add("aione_rest_weight_used", budget.used)
        corrected, self._corrected = self._corrected, 0
        skew_ms = self._rest.ledger.clock.offset_ms()
        return {
            "stream_unproven": fleet.in_state(StreamState.UNPROVEN),
            "stream_stale": fleet.in_state(StreamState.STALE),
            "connection_down": fleet.down(),
            "connection_failed": fleet.failures(),
            "redis_away": [f"{self._rings.pending} bars wait"] if self._rings.away_since_s is not None else [],
            "bars_behind": self._behind,
            "bars_corrected": [f"{corrected} bars"] if corrected else [],
            "venue_hold": [f"for {budget.hold_s:.0f} s"] if budget.hold_s > 0 else [],
            "ledger_alone": ["weight is this process's own"] if budget.is_alone else [],
            "archive_failed": [archiver.failed for archiver in self._archivers if archiver.failed is not None],
            "clock_skew": [f"by {skew_ms / 1000:.1f} s"] if abs(skew_ms) > SKEW_MS else [],
        }

    def _watch_outage(self) -> None:
        """Remember when Redis was away and what was replayed after it, for whoever reads the status later."""
        is_away = self._rings.away_since_s is not None
        if is_away and self._outage_from is None:
            self._outage_from = (wall_ms(), self._rings.replayed)
        elif not is_away and self._outage_from is not None:
            began_ms, replayed = self._outage_from
            self._last_outage = {
                "began_ms": began_ms,
                "ended_ms": wall_ms(),
                "replayed": self._rings.replayed - replayed,
            }
            self._outage_from = None


def _log(incident: Incident) -> None:
    """Say in one line that an incident begins or is over."""
    if incident.ended_ms is None:
        log.warning("%s: %s", incident.kind, incident.text)
    else:
        log.info(
            "%s is over after %.0f s: %s", incident.kind, (incident.ended_ms - incident.began_ms) / 1000, incident.text
        )


def wall_ms() -> int:
    """Return this machine's time, UTC epoch milliseconds: what readers of the status compare it with."""
    return time.time_ns() // 1_000_000


__all__ = ["Reporter", "wall_ms"]
