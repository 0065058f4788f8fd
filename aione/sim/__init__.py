"""A simulated exchange that any Binance USD-M client works against: REST and WebSocket on one loopback port.

`serve` starts it inside a program, `run_sim` is the program; both take a `Market`: the synthetic one or a recording.
"""

from __future__ import annotations

from aione.sim.clock import Clock, ManualClock, RealClock
from aione.sim.market import Market
from aione.sim.options import SimOptions
from aione.sim.recorded import RecordedMarket
from aione.sim.run import run_sim
from aione.sim.server import SimServer, serve
from aione.sim.synthetic import SyntheticMarket

__all__ = [
    "Clock",
    "ManualClock",
    "Market",
    "RealClock",
    "RecordedMarket",
    "SimOptions",
    "SimServer",
    "SyntheticMarket",
    "run_sim",
    "serve",
]
