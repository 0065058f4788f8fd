"""Sending events to Prefect: an errand of the stream worker, off its hot path.

1. Once a second what waits in the `EventBuffer` is posted, at most `BATCH` events a request, the oldest first.
2. Prefect away or busy: the events stay; the worker's loop tries again with its back-off.
3. Events that Prefect will never take (their form is wrong) are counted and let go, or they would block the others.
4. Every ``NOTIFY.alive_every_s`` seconds a sign of life is added first.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Final, Self

import httpx
import orjson

from aione.errors import ServiceUnavailable
from aione.stream.event_desk import EventDesk
from aione.stream.events import Event, EventBuffer

log = logging.getLogger(__name__)

BATCH: Final = 100
TIMEOUT_S: Final = 5.0
MALFORMED: Final = frozenset({400, 413, 422})


def credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers by which Prefect knows us: ``PREFECT_API_KEY``, else ``PREFECT_API_AUTH_STRING``.

    Examples
    --------
    >>> credentials({"PREFECT_API_AUTH_STRING": "admin:pass"})
    {'Authorization': 'Basic YWRtaW46cGFzcw=='}
    >>> credentials({})
    {}
    """
    if key := environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if pair := environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


class EventSender:
    """Posts what waits; to be entered before it runs (``async with``).

    Parameters
    ----------
    buffer : EventBuffer
    desk : EventDesk
        Says that the worker lives.
    api_url : str
        As ``PREFECT_API_URL``.
    headers : mapping
        See `credentials`.
    alive_every_s : float
    """

    name: Final = "sending events"
    every_s: Final = 1.0
    is_for_all: Final = False

    def __init__(
        self, buffer: EventBuffer, desk: EventDesk, api_url: str, headers: Mapping[str, str], alive_every_s: float
    ) -> None:
        self._buffer = buffer
        self._desk = desk
        self._alive_every_s = alive_every_s
        self._alive_at_s = float("-inf")
        self._client = httpx.AsyncClient(
            base_url=api_url.rstrip("/"), headers=dict(headers), timeout=TIMEOUT_S, trust_env=False
        )
        self._where = httpx.URL(api_url).copy_with(userinfo=b"")

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def run_once(self, symbols: Collection[str], now_ms: int) -> None:  # noqa: ARG002  # an errand is given it
        """Post everything that waits.

        Raises
        ------
        ServiceUnavailable
            Prefect does not answer or does not let us in; nothing is lost.
        """
        now_s = time.monotonic()
        if now_s - self._alive_at_s >= self._alive_every_s:
            self._alive_at_s = now_s
            self._desk.alive(len(symbols))
        while batch := self._buffer.first(BATCH):
            await self._post(batch)

    async def _post(self, batch: Collection[Event]) -> None:
        body = orjson.dumps([event.to_dict() for event in batch])
        try:
            reply = await self._client.post("/events", content=body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise ServiceUnavailable(f"Prefect at {self._where} does not take events: {what}") from error
        if reply.is_success:
            self._buffer.sent(batch)
        elif reply.status_code in MALFORMED:
            names = sorted({event.name for event in batch})
            log.error("Prefect refused %d events (%s): %s", len(batch), ", ".join(names), reply.text[:300])
            self._buffer.refused(batch)
        else:
            raise ServiceUnavailable(f"Prefect at {self._where} answered {reply.status_code} to events")


__all__ = ["BATCH", "EventSender", "credentials"]
