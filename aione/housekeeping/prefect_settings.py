"""What a Prefect server of ours is told of its own retention, as environment variables (Prefect 3.8).

The server removes its events itself (`events`), and logs and artifacts whose run is gone (`orphans`). Its own removal
of flow runs (`flow_runs`) knows one retention for all; it is set to the longest of ours, as a net below the
housekeeping, which knows more.
"""

from __future__ import annotations

from typing import Final

from config.housekeeping_models import DAY_S, HousekeepingParams

ORPHANS_EVERY_S: Final = 6 * 3600
LEAST_S: Final = 3601
"""The server refuses a retention of flow runs of an hour or less."""


def server_environment(params: HousekeepingParams) -> dict[str, str]:
    """Return the variables of a server process.

    Notes
    -----
    The events' retention is a plain duration to Prefect: a bare number of seconds keeps the server from starting, so it
    is written as ISO 8601. The vacuum's own settings take seconds.

    Examples
    --------
    >>> server_environment(HousekeepingParams())["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"]
    'PT86400S'
    """
    runs_s = max(LEAST_S, round(params.other_runs_days * DAY_S) + DAY_S)
    return {
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{round(params.events_days * DAY_S)}S",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs,orphans",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "3600",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ORPHAN_CLEANUP_LOOP_SECONDS": str(ORPHANS_EVERY_S),
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(runs_s),
        "PREFECT_SERVER_SERVICES_DB_VACUUM_BATCH_SIZE": "200",
    }


__all__ = ["server_environment"]
