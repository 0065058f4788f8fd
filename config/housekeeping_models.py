"""The shape of `HOUSEKEEPING`: how long things are kept, and how much room they may take."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from config.base import Model, Positive

Days = Annotated[float, Field(ge=0.05, le=3650.0)]
Seconds = Annotated[float, Field(ge=30.0, le=30 * 86_400.0)]
Megabytes = Annotated[float, Field(ge=1.0, le=1_000_000.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class StreamLengths(Model):
    """Entries that a Redis stream may hold, about; the audit's own number is ``AUDIT.stream_maxlen``."""

    cycles: Count = 3_000
    incidents: Count = 5_000
    corrections: Count = 10_000
    universe_journal: Annotated[int, Field(ge=1_000, le=1_000_000)] = Field(
        60_000, description="a past universe needs its last checkpoint, up to 144 entries back"
    )


class DiskBudget(Model):
    """What each part may take, in megabytes of 10^6; a breach is a warning, never a failure."""

    prefect_mb: Megabytes = Field(1_200.0, description="Prefect's database with its write-ahead log")
    redis_memory_mb: Megabytes = Field(600.0, description="memory of Redis")
    redis_disk_mb: Megabytes = Field(1_200.0, description="append-only files of Redis")
    logs_mb: Megabytes = Field(400.0, description="logs of the parts, with those that were put aside")
    audit_mb: Megabytes = Field(560.0, description="the audit's JSON lines, with those that were put aside")
    archive_mb_a_day: Megabytes = Field(100.0, description="growth of the archive in a day; bars are kept for ever")


class HousekeepingParams(Model):
    """How long things are kept and how much room they may take; see `aione.housekeeping`."""

    minute_runs_days: Days = Field(2.0, description="completed runs of minute deployments are kept so long")
    other_runs_days: Days = Field(14.0, description="all other runs that have ended")
    events_days: Days = Field(1.0, description="Prefect's events, most of its database; the server removes them itself")
    flow_limits_s: dict[str, Seconds] = Field(
        {"screening": 90, "rescan": 300, "quality": 600, "housekeeping": 900, "prefilter": 1800, "preload": 3600},
        description="flow -> its time limit; a run that is still running long after it has no process any more",
    )
    other_limit_s: Seconds = Field(86_400.0, description="time limit of flows that are not named")
    stuck_margin_s: Seconds = Field(600.0, description="a run is stuck so long after its limit")
    pending_limit_s: Seconds = Field(900.0, description="a run may be pending or cancelling so long")
    late_minute_s: Seconds = Field(300.0, description="a scheduled run of a minute deployment is pointless after it")
    late_other_s: Seconds = Field(7_200.0, description="a scheduled run of any other deployment")
    late_manual_s: Annotated[float, Field(ge=86_400.0)] = Field(
        86_400.0, description="a run that a person asked for, and that nothing has started"
    )
    stream_lengths: StreamLengths = StreamLengths()
    audit_stream_days: Days = Field(3.0, description="audit events older than it, and archived, leave Redis")
    trades_stream_days: Days = Field(30.0, description="events of trades that ended before it, and are archived")
    aof_rewrite_mb: Megabytes = Field(256.0, description="an append-only file is rewritten beyond it, where it helps")
    logs_rotate_mb: Positive = Field(20.0, description="a log is put aside beyond it")
    logs_keep: Annotated[int, Field(ge=1, le=100)] = Field(5, description="logs put aside that are kept, gzipped")
    audit_archive_days: Days = Field(90.0, description="audit and cycles stay in the archive so long; trades for ever")
    compact_from_mb: Megabytes = Field(64.0, description="unused room in Prefect's file that is worth a VACUUM")
    budget: DiskBudget = DiskBudget()

    @model_validator(mode="after")
    def _streams_outlive_their_archive(self) -> Self:
        for name in ("audit_stream_days", "trades_stream_days"):
            days = getattr(self, name)
            if days < 2.0:
                raise ValueError(f"{name} must be at least 2, a closed day and the one before it, was {days:g}")
        if self.other_runs_days < self.minute_runs_days:
            raise ValueError(
                f"other_runs_days {self.other_runs_days:g} must not be below minute_runs_days {self.minute_runs_days:g}"
            )
        return self


DAY_S: Final = 86_400

__all__ = ["DAY_S", "DiskBudget", "HousekeepingParams", "StreamLengths"]
