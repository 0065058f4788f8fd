"""What PostgreSQL had to do, second by second."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import asyncpg

COUNTED = ("xact_commit", "tup_inserted", "tup_updated", "tup_deleted")
ASK = """
    SELECT d.xact_commit, d.tup_inserted, d.tup_updated, d.tup_deleted, w.wal_bytes::bigint AS wal_bytes,
           pg_database_size(d.datname) AS size_bytes
    FROM pg_stat_database d, pg_stat_wal w WHERE d.datname = 'prefect'
"""


@dataclass
class Load:
    """Samples of the server's own counters, by the clock's second."""

    database: asyncpg.Connection
    samples: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    async def watch(self) -> None:
        """Sample once a second until cancelled."""
        while True:
            row = await self.database.fetchrow(ASK)
            self.samples.append((time.time(), dict(row)))
            await asyncio.sleep(1.0)

    def between(self, start_s: float, end_s: float) -> dict[str, float]:
        """Return how far each counter went in a span of time."""
        inside = [row for at, row in self.samples if start_s <= at <= end_s]
        assert len(inside) >= 0.7 * (end_s - start_s), f"{len(inside)} samples in {end_s - start_s:.0f} s"
        return {name: inside[-1][name] - inside[0][name] for name in inside[0]}

    def quietest(self, start_s: float, end_s: float, span_s: float) -> dict[str, float]:
        """Return the counters of the span with the fewest commits: what the servers do while nothing runs."""
        starts = [at for at, _ in self.samples if start_s <= at <= end_s - span_s]
        return min((self.between(at, at + span_s) for at in starts), key=lambda row: row["xact_commit"])
