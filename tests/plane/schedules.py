"""Schedules of what can go wrong, drawn from a seed, and one run through such a schedule."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from harness import MINUTE, START_MS, SYMBOLS, Plane

from aione.sim import faults as broken
from aione.sim.memory import VirtualLoop
from aione.stream.symbols import Wanted

SETTLE_MINUTES = 3
CHECK_AT_MS = 40_000
EMPTIED_FOR_S = 10.0
HEALS_WITHIN_S = 20.0
ANY_KLINE = "*@kline_1m"


@dataclass(frozen=True)
class Step:
    """One thing that goes wrong: when (seconds after the start), what, and its numbers."""

    at_s: float
    kind: str
    numbers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """How many symbols are followed, for how many minutes something goes wrong, and what."""

    symbols: tuple[str, ...]
    minutes: int
    steps: list[Step]


def draw(seed):
    """Return the `Schedule` of a seed. Some have symbols enough for a run of REST requests to be given up."""
    dice = random.Random(seed)
    symbols = SYMBOLS[: dice.choice([3, 3, 3, 8])]
    minutes = dice.randint(4, 9)
    steps = [
        Step(round(dice.uniform(20, minutes * 60), 1), *draw_one(dice, symbols)) for _ in range(dice.randint(3, 8))
    ]
    return Schedule(symbols, minutes, sorted(steps, key=lambda step: step.at_s))


def draw_one(dice, symbols):
    symbol = dice.choice(symbols)
    stream = dice.choice([f"{symbol.lower()}@kline_1m", ANY_KLINE, "*"])
    long_s, short_s = round(dice.uniform(20, 150), 1), round(dice.uniform(2, 30), 1)
    kinds = {
        "drop": {"count": dice.randint(1, 6)},
        "drop_after": {"after_messages": dice.randint(1, 60), "count": dice.randint(1, 4), "duration_s": long_s},
        "refuse": {"duration_s": long_s},
        "silence": {"stream": stream, "duration_s": long_s},
        "closing_late": {"late_s": dice.choice([4.0, 12.0, 35.0, 70.0]), "symbol": symbol, "duration_s": long_s},
        "closing_missing": {"symbol": dice.choice([symbol, "*"]), "count": dice.randint(1, 8)},
        "duplicate": {"stream": stream, "probability": 0.5, "duration_s": long_s},
        "reorder": {"stream": stream, "probability": 0.4, "duration_s": long_s},
        "http_error": {"status": dice.choice([500, 503, 502]), "probability": 0.7, "duration_s": long_s},
        "rate_limited": {"retry_after_s": dice.randint(1, 40), "count": dice.randint(1, 3)},
        "banned": {"retry_after_s": dice.randint(5, 100), "count": 1},
        "hang": {"seconds": short_s, "count": dice.randint(1, 4)},
        "truncated": {"count": dice.randint(1, 4)},
        "partial": {"keep_frac": dice.choice([0.0, 0.5]), "count": dice.randint(1, 6)},
        "strange": {"stream": stream, "probability": 0.5, "duration_s": long_s},
        "refused": {"status": 400, "code": -4108, "count": dice.randint(1, 3)},
        "redis_down": {"for_s": long_s},
        "redis_emptied": {},
        "kill": {"after_s": dice.choice([0.0, short_s, long_s])},
        "restart": {"after_s": dice.choice([0.0, short_s])},
        "away": {"after_s": dice.choice([700.0, 900.0]), "keep_frac": dice.choice([0.0, 0.5])},
        "leave": {"symbol": symbol, "for_s": long_s},
    }
    kind = dice.choice(sorted(kinds))
    return kind, kinds[kind]


FAULTS = {
    "drop": broken.DropConnections,
    "drop_after": broken.DropConnections,
    "refuse": broken.RefuseConnections,
    "silence": broken.Silence,
    "closing_late": broken.ClosingLate,
    "closing_missing": broken.ClosingMissing,
    "duplicate": broken.Duplicate,
    "reorder": broken.Reorder,
    "http_error": broken.HttpError,
    "rate_limited": broken.RateLimited,
    "banned": broken.Banned,
    "hang": broken.Hang,
    "truncated": broken.Truncated,
    "partial": broken.Partial,
    "strange": broken.Strange,
    "refused": broken.HttpError,
}


@dataclass
class Outcome:
    """What a run came to: bars that are wrong in the end or were wrong while final, and what was exercised."""

    seed: int
    wrong: list
    wrong_while_final: list
    counts: Counter


async def play(plane, step):
    """Let one step happen; it may last."""
    plane.counts[step.kind] += 1
    if step.kind in FAULTS:
        plane.exchange.break_it(FAULTS[step.kind](**step.numbers))
    elif step.kind == "redis_down":
        plane.shared.is_down = True
        await asyncio.sleep(step.numbers["for_s"])
        plane.shared.is_down = False
    elif step.kind == "redis_emptied":
        async with plane.one_at_a_time:  # what RAM and Redis lose at once the preload brings back, which is not here
            await plane.shared.lose_what_is_also_in(plane.running.ram)
            await asyncio.sleep(EMPTIED_FOR_S)
    elif step.kind in {"kill", "restart"}:
        async with plane.one_at_a_time:
            await plane.restart(is_killed=step.kind == "kill", after_s=step.numbers["after_s"])
    elif step.kind == "away":  # so long that what REST does not tell of could be taken for absent
        async with plane.one_at_a_time:
            await plane.restart(is_killed=True, after_s=step.numbers["after_s"])
            plane.exchange.break_it(broken.Partial(keep_frac=step.numbers["keep_frac"], count=2 * len(plane.symbols)))
            await asyncio.sleep(HEALS_WITHIN_S)
    elif step.kind == "leave":
        before = plane.shared.wanted
        left = tuple(symbol for symbol in before.symbols if symbol != step.numbers["symbol"])
        plane.shared.wanted = Wanted(left, left)
        await asyncio.sleep(step.numbers["for_s"])
        plane.shared.wanted = Wanted(plane.symbols, plane.symbols)


async def run(seed):
    """Play a seed's schedule to its end, let things settle, and compare."""
    schedule = draw(seed)
    minutes = schedule.minutes
    random.seed(seed)
    first_ms = START_MS
    while_final = []
    async with Plane(schedule.symbols) as plane:
        async with asyncio.TaskGroup() as group:
            for step in schedule.steps:
                group.create_task(at(plane, step))
            for minute in range(1, minutes + 1):
                await plane.sleep_until_ms(START_MS + minute * MINUTE + CHECK_AT_MS)
                last_ms = START_MS + (minute - 1) * MINUTE
                while_final += await plane.wrong_bars(first_ms, last_ms, only_final=True)
        plane.exchange.faults.clear()
        ended_ms = plane.clock.now_ms() // MINUTE * MINUTE + SETTLE_MINUTES * MINUTE
        await plane.sleep_until_ms(ended_ms + CHECK_AT_MS)
        wrong = await plane.wrong_bars(first_ms, ended_ms - MINUTE, only_final=False)
        plane.counts["bars compared"] += len(schedule.symbols) * (ended_ms - first_ms) // MINUTE
        plane.counts["bars replayed"] += plane.running.tiers.replayed
        plane.counts["connections"] += plane.exchange.hub.counts["connections_opened"]
        plane.counts["klines requests"] += plane.exchange.rest.requests["/fapi/v1/klines", 200]
        return Outcome(seed, wrong, while_final, plane.counts)


async def at(plane, step):
    await plane.sleep_until_ms(START_MS + round(1000 * step.at_s))
    await play(plane, step)


def run_schedule(seed):
    """Return the `Outcome` of a seed; the same each time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(run(seed))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


__all__ = ["Outcome", "Step", "draw", "run_schedule"]
