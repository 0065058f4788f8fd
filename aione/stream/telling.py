"""Whether and how a stream worker tells Prefect of what happens: the parts of it, put together."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio as aioredis

from aione.metrics import Metrics
from aione.stream.alerts import AlertWatch
from aione.stream.errand import Errand
from aione.stream.event_desk import EventDesk
from aione.stream.event_sender import EventSender, credentials
from aione.stream.events import EventBuffer
from aione.stream.shard import Shard
from config.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker is given: the desk that takes events, and the errands that find and send them."""

    desk: EventDesk | None = None
    errands: tuple[Errand, ...] = ()


@asynccontextmanager
async def telling(
    redis: aioredis.Redis,
    settings: Settings,
    metrics: Metrics,
    shard: Shard,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Told]:
    """Give a worker what it needs to tell ``PREFECT_API_URL`` of events; without that variable nobody is told.

    The sender stands last among the errands: when the worker ends, each is done once more, and this sends the rest.
    """
    environ = os.environ if environ is None else environ
    api_url = environ.get("PREFECT_API_URL")
    if not api_url:
        log.warning("PREFECT_API_URL is not set: no events are sent, so no automation tells of alerts and incidents")
        yield Told()
        return
    buffer = EventBuffer(metrics, settings.NOTIFY.events_kept)
    desk = EventDesk(buffer, shard, settings.NOTIFY)
    async with EventSender(buffer, desk, api_url, credentials(environ), settings.NOTIFY.alive_every_s) as sender:
        watches = (AlertWatch(redis, settings, buffer),) if shard.is_first else ()
        yield Told(desk, (*watches, sender))


__all__ = ["Told", "telling"]
