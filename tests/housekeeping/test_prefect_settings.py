"""What the server is told is what Prefect itself reads from the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from aione.housekeeping.prefect_settings import server_environment
from config.housekeeping_models import HousekeepingParams

READ = """
import json
from prefect.settings import get_current_settings
server = get_current_settings().server
vacuum = server.services.db_vacuum
print(json.dumps([
    server.events.retention_period.total_seconds(), sorted(vacuum.enabled_vacuum_types), vacuum.loop_seconds,
    vacuum.orphan_cleanup_loop_seconds, vacuum.retention_period.total_seconds(), vacuum.batch_size,
]))
"""


def read_by_prefect(environment):
    command = [sys.executable, "-W", "ignore", "-c", READ]
    result = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def test_prefect_reads_every_setting_as_it_is_meant():
    read = read_by_prefect(server_environment(HousekeepingParams()))
    assert read == [86_400.0, ["events", "flow_runs", "orphans"], 3600.0, 21_600.0, 15 * 86_400.0, 200]


def test_the_shortest_retentions_are_ones_that_prefect_takes():
    short = HousekeepingParams(events_days=0.05, minute_runs_days=0.05, other_runs_days=0.05)
    read = read_by_prefect(server_environment(short))
    assert read[0] == 4320.0
    assert read[4] > 3600.0
