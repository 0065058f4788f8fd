"""What the tests of memory share."""

from __future__ import annotations

import asyncio

from aione.sim.memory import VirtualLoop


def virtually(scenario):
    """Run a coroutine function on a loop of its own virtual time; return what it returns and the seconds it took."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario()), runner.get_loop().time()
