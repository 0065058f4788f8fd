"""What a person may choose for one run of the housekeeping; Prefect's UI shows it as a form."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class HousekeepingOptions(BaseModel):
    """Options of one run; how long things are kept is configuration (`HOUSEKEEPING`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: bool = Field(
        default=False, title="Dry run", description="Only say what would be removed, ended or written; change nothing"
    )
    prune_runs: bool = Field(
        default=True, title="Prune runs", description="Delete flow runs older than their retention"
    )
    end_runs: bool = Field(
        default=True, title="End stuck and late runs", description="Crash what is stuck, cancel what is pointless"
    )
    archive: bool = Field(
        default=True, title="Archive days", description="Write trades, audit and cycles of closed days to Parquet"
    )
    trim_redis: bool = Field(default=True, title="Trim Redis", description="Shorten streams; forget symbols long gone")
    rotate_logs: bool = Field(default=True, title="Rotate logs", description="Put aside logs that have grown too large")
    most_runs: int = Field(
        default=2000, ge=1, le=50_000, title="Most runs", description="At most so many runs are deleted or ended"
    )
    pause_s: float = Field(
        default=0.02,
        ge=0.0,
        le=5.0,
        title="Pause (seconds)",
        description="Between two deletions, so that Prefect's database serves others meanwhile",
    )


__all__ = ["HousekeepingOptions"]
