"""The simulated exchange as a program: serve a market until interrupted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from aione.sim.clock import Clock
from aione.sim.market import Market
from aione.sim.options import SimOptions
from aione.sim.server import SimServer, serve


def run_sim(
    market: Market,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    options: SimOptions | None = None,
    on_ready: Callable[[SimServer], None] | None = None,
) -> None:
    """Serve a market until Ctrl-C or SIGTERM, then end in order.

    Parameters
    ----------
    market, host, port, clock, options
        See `aione.sim.server.SimServer`.
    on_ready : callable or None
        Called once with the listening server; the place to tell a person its address.

    Raises
    ------
    AlreadyRunning
        The port is taken; the message names it.
    InvalidInput
        The address cannot be listened on.
    """
    asyncio.run(_run(serve(market, host=host, port=port, clock=clock, options=options), on_ready))


async def _run(server: SimServer, on_ready: Callable[[SimServer], None] | None) -> None:
    async with server:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        if on_ready is not None:
            on_ready(server)
        stopped = asyncio.create_task(ended.wait())
        serving = asyncio.create_task(server.wait())
        done, pending = await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()


__all__ = ["run_sim"]
