"""`NOTIFY`: what people are told of, after how long, and how often; where to is a matter of blocks and secrets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.base import Bars, Fraction, Model, NotNegative, Positive


class NotifyParams(Model):
    """The events that the stream worker sends to Prefect, and the limits of the automations that answer them."""

    block: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")] = Field(
        "aione-notification/aione",
        description="TYPE-SLUG/NAME of the block that automations notify; slack-webhook/mine, say, is Prefect's own",
    )
    link: str = Field("", description="address that links in messages begin with; empty is that of Prefect's own UI")
    alert_cooldown_s: Positive = Field(900.0, description="the same signal of the same symbol is told once within this")
    failure_cooldown_s: NotNegative = Field(900.0, description="failed runs of the same flow are told once within this")
    high_confidence: Fraction = Field(0.5, description="a signal of at least this confidence is told at once")
    no_screening_s: Annotated[float, Field(ge=10.0)] = Field(
        180.0, description="so long after the last completed screening people are told that none has followed"
    )
    zombie_s: Annotated[float, Field(ge=90.0)] = Field(
        540.0,
        description="a run without a sign of life for so long has crashed: three of its heartbeats, Prefect's 180 s",
    )
    alive_every_s: Positive = Field(30.0, description="how often a stream worker says that it lives")
    silent_s: Annotated[float, Field(ge=10.0)] = Field(
        120.0, description="so long after a stream worker's last word people are told that it is silent"
    )
    gap_bars: Bars = Field(2, description="so many missing bars of a symbol, once filled, are a gap worth a re-scan")
    rescan_pause_s: NotNegative = Field(60.0, description="healed gaps and streams ask for one re-scan within this")
    events_kept: Bars = Field(1000, description="events that wait while Prefect is away; the oldest are dropped first")


__all__ = ["NotifyParams"]
