"""Telling of new alerts: an errand of the first stream worker, which watches what is published.

1. Once a second the sequence in Redis is read; when it has moved, the snapshot is.
2. An asset that is on alert, or carries a signal, and did not so in the snapshot before is news; so is another signal
   (`is_news`).
3. News is an event unless the same signal of the same symbol was one within ``NOTIFY.alert_cooldown_s``: a key in Redis
   remembers that, for every worker and across restarts.
4. What was published of a bar that is long over is no news, whoever has just started.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

import msgspec
import redis.asyncio as aioredis

from aione.errors import InvalidInput
from aione.panel.bars import MINUTE_MS
from aione.publish.codec import unpack
from aione.publish.parts import ConfidenceMetrics, Narrative, RiskParameters, Signal
from aione.publish.payload import SCHEMA_VERSION, Meta
from aione.store import keys
from aione.store.connect import redis_errors
from aione.stream.events import ALERT, Event, EventBuffer, minute_text, wall_ms
from config.settings import AssetState, Recommendation, Settings

log = logging.getLogger(__name__)

OVER_MS: Final = 4 * MINUTE_MS
"""A bar that opened longer ago is over."""


class Said(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is told of an asset; the rest of it is not decoded, for the worker has other things to do."""

    symbol: str
    state: AssetState
    signal: Signal = "NONE"
    recommendation: Recommendation | None = None
    price_str: str | None = None
    trigger_reasons: list[str] = []
    market_context: _Context | None = None
    confidence_metrics: ConfidenceMetrics | None = None
    risk_parameters: RiskParameters | None = None
    narrative: Narrative | None = None


class _Context(msgspec.Struct, frozen=True, gc=False):
    scenario: str


class _Published(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    meta: Meta
    assets: list[Said]


_PUBLISHED: Final = msgspec.json.Decoder(_Published)


def signal_of(asset: Said) -> str | None:
    """Return what an asset says: its signal, ``ALERT`` without one while it is on alert, else None."""
    if asset.signal != "NONE":
        return asset.signal
    return "ALERT" if asset.state == "alert" else None


def is_news(before: str | None, said: str | None) -> bool:
    """Return whether what an asset says is new; a signal that is lost while the alert lasts is not.

    Examples
    --------
    >>> is_news(None, "ALERT"), is_news("ALERT", "ALERT_BUY"), is_news("ALERT_BUY", "ALERT"), is_news("ALERT", None)
    (True, True, False, False)
    """
    return said is not None and said != before and not (said == "ALERT" and before is not None)


def alert_event(asset: Said, meta: Meta, *, high_confidence: float, locale: str) -> Event:
    """Return the event that tells of an asset's alert.

    Its label ``aione.confidence`` is ``high`` from ``high_confidence`` on, ``ordinary`` below and ``unknown`` without.
    """
    confidence = asset.confidence_metrics.raw if asset.confidence_metrics else None
    plan = asset.risk_parameters
    grade = "unknown" if confidence is None else "high" if confidence >= high_confidence else "ordinary"
    payload: dict[str, Any] = {
        "symbol": asset.symbol,
        "signal": asset.signal,
        "state": asset.state,
        "recommendation": asset.recommendation,
        "confidence": None if confidence is None else round(confidence, 3),
        "calibration": asset.confidence_metrics.calibration if asset.confidence_metrics else None,
        "scenario": asset.market_context.scenario if asset.market_context else None,
        "triggers": list(asset.trigger_reasons),
        "price": asset.price_str,
        "side": plan.side if plan else None,
        "entry": plan.entry if plan else None,
        "sl": plan.sl if plan else None,
        "tp": list(plan.tp) if plan else [],
        "rr": plan.rr if plan else None,
        "why": getattr(asset.narrative, locale) if asset.narrative else "",
        "bar_time_ms": meta.bar_time_ms,
        "bar_time": f"{minute_text(meta.bar_time_ms)} UTC",
        "seq": meta.seq,
    }
    labels = {
        "prefect.resource.name": asset.symbol,
        "aione.signal": signal_of(asset) or "NONE",
        "aione.state": asset.state,
        "aione.confidence": grade,
    }
    return Event(ALERT, f"aione.symbol.{asset.symbol}", labels, payload)


class AlertWatch:
    """Follows the published state and puts new alerts into the buffer.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that returns bytes.
    settings : Settings
    buffer : EventBuffer
    """

    name: Final = "watching for alerts"
    every_s: Final = 1.0
    is_for_all: Final = True

    def __init__(self, redis: aioredis.Redis, settings: Settings, buffer: EventBuffer) -> None:
        self._redis = redis
        self._settings = settings
        self._buffer = buffer
        self._place: tuple[Any, ...] = ()
        self._said: Mapping[str, str] = {}

    async def run_once(self, symbols: Collection[str], now_ms: int) -> None:  # noqa: ARG002  # an errand is given it
        """Look once; ``now_ms`` is the exchange's time.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer; the next look begins where this one did.
        """
        with redis_errors("reading the published sequence"):
            place = tuple(await self._redis.hmget(keys.sequence(), ["epoch", "seq"]))
        if place == self._place:
            return
        snapshot = await self._read()
        if snapshot is not None:
            if now_ms - snapshot.meta.bar_time_ms < OVER_MS:
                await self._tell(snapshot)
            self._said = {asset.symbol: said for asset in snapshot.assets if (said := signal_of(asset))}
        self._place = place

    async def _read(self) -> _Published | None:
        with redis_errors("reading the published snapshot"):
            raw = cast("bytes | None", await self._redis.get(self._settings.REDIS_SNAPSHOT_KEY))
        if raw is None:
            return None
        try:
            return _decoded(raw)
        except (InvalidInput, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("no alerts from %s: %s", self._settings.REDIS_SNAPSHOT_KEY, error)
            return None

    async def _tell(self, snapshot: _Published) -> None:
        for asset in snapshot.assets:
            said = signal_of(asset)
            if is_news(self._said.get(asset.symbol), said) and await self._is_first(asset.symbol, said):
                event = alert_event(
                    asset,
                    snapshot.meta,
                    high_confidence=self._settings.NOTIFY.high_confidence,
                    locale=self._settings.UI_LOCALE,
                )
                self._buffer.add(event)

    async def _is_first(self, symbol: str, said: str | None) -> bool:
        """Return whether nobody has told this within the cooldown; from here on somebody has."""
        cooldown_ms = round(1000 * self._settings.NOTIFY.alert_cooldown_s)
        with redis_errors("remembering an alert"):
            return bool(await self._redis.set(keys.alert_told(symbol, str(said)), wall_ms(), nx=True, px=cooldown_ms))


def _decoded(raw: bytes) -> _Published:
    published = _PUBLISHED.decode(unpack(raw))
    version = published.meta.schema_version
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise InvalidInput(f"expected schema {SCHEMA_VERSION}, was {version}")
    return published


__all__ = ["AlertWatch", "Said", "alert_event", "signal_of"]
