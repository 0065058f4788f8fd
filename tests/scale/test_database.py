"""The step that makes tables and block types, on the database that needs no server."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

from .compose import PROJECT


def test_tables_and_block_types_are_made_once_and_the_step_may_be_repeated(tmp_path):
    path = tmp_path / "prefect.db"
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{path}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    counts = []
    for _ in range(2):
        said = subprocess.run(
            [sys.executable, "-m", "deployments.database"],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr[-3000:]
        with closing(sqlite3.connect(path)) as database:
            counts.append(database.execute("SELECT count(*) FROM block_type").fetchone()[0])
            assert database.execute("SELECT count(*) FROM block_type WHERE slug = 'webhook'").fetchone() == (1,)
            assert database.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)
    assert counts[0] > 3
    assert counts[0] == counts[1]
