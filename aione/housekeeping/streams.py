"""Lengths of the Redis streams, for the day when their writers stand still or keep more than the settings say.

Every writer but that of trade events keeps its stream short itself. Here the same lengths are brought about once more,
and what is archived leaves earlier, by age. Trimming is approximate (whole nodes of about a hundred entries stay), so
it costs Redis next to nothing. Trade events are `aione.housekeeping.trade_trim`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import redis.asyncio as aioredis

from aione.housekeeping.tables import place_of
from aione.store import keys
from aione.store.connect import redis_errors
from config.housekeeping_models import DAY_S
from config.settings import Settings

NODE: Final = 100
"""Entries of one node of a stream by default: so many more may stay."""


@dataclass(frozen=True, slots=True)
class Trim:
    """One stream: how many entries it had, how many may stay, and how many left."""

    stream: str
    length: int
    most: int
    removed: int

    @property
    def is_bounded(self) -> bool:
        """Return whether the stream is now as short as it may be, but for one node."""
        return self.length - self.removed <= self.most + NODE


def lengths(settings: Settings) -> dict[str, int]:
    """Return stream -> entries that may stay, of every stream that is trimmed by length."""
    own = settings.HOUSEKEEPING.stream_lengths
    return {
        keys.audit_events(): settings.AUDIT.stream_maxlen,
        keys.cycles(): own.cycles,
        keys.incidents(): own.incidents,
        keys.bar_corrections(): own.corrections,
        keys.universe_journal(): own.universe_journal,
    }


async def trim_streams(
    redis: aioredis.Redis, settings: Settings, archived: Mapping[str, str], now_ms: int, *, is_dry: bool = False
) -> list[Trim]:
    """Shorten every stream to its length, and the audit to its age as far as it is archived.

    Parameters
    ----------
    redis : redis.asyncio.Redis
    settings : Settings
    archived : mapping of stream to entry id
        Up to where each stream lies in a verified archive; absent where there is none, then nothing leaves by age.
    now_ms : int
        UTC epoch milliseconds, Redis' clock.
    is_dry : bool
        Only say what would leave.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    """
    done = []
    oldest_ms = now_ms - round(1000 * DAY_S * settings.HOUSEKEEPING.audit_stream_days)
    with redis_errors("trimming streams"):
        for stream, most in lengths(settings).items():
            length = int(await redis.xlen(stream))
            removed = max(0, length - most)
            if not is_dry:
                removed = int(await redis.xtrim(stream, maxlen=most, approximate=True)) if length > most else 0
                if stream == keys.audit_events() and stream in archived:
                    first = min(place_of(archived[stream]), (oldest_ms, 0))
                    removed += int(await redis.xtrim(stream, minid=f"{first[0]}-{first[1]}", approximate=True))
            done.append(Trim(stream, length, most, removed))
    return done


__all__ = ["Trim", "lengths", "trim_streams"]
