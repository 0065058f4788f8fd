"""Make Prefect's database ready for several servers; safe to repeat.

``python -m deployments.database``, run once before the servers of a new or an upgraded installation start, with their
environment:

1. the tables, brought up to this version of Prefect;
2. the block types and schemas that Prefect knows.

A server does both by itself when it starts, but two that start at once on an empty database do them at the same time,
and one of them ends with an error; so several servers are started with both switched off.
"""

from __future__ import annotations

import argparse
import asyncio

from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration


async def prepare() -> None:
    """Do the steps of the module."""
    database = provide_database_interface()
    await database.create_db()
    async with await database.session() as session:
        await run_block_auto_registration(session=session)


def main() -> None:
    """Run every step; an error ends it with a traceback and a status that is not 0."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    asyncio.run(prepare())
    print("database: tables and block types are of this version of Prefect")  # noqa: T201  # the command's answer


if __name__ == "__main__":
    main()


__all__ = ["prepare"]
