"""``aione explain``: why a symbol is what it is, from what the running system published, or from a recording."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import redis.asyncio as aioredis

from aione.errors import InsufficientData, InvalidInput
from aione.panel import DAY_MS
from aione.publish.codec import decode_message
from aione.publish.payload import Snapshot
from aione.run.market import parse_moment
from aione.run.scan import cycle, exchange, redis_of_its_own
from aione.run.system import MarketChoice
from aione.screening.runtime import open_runtime
from aione.store.connect import connect, redis_errors
from aione.store.rings import BarRings
from aione.store.state import StateStore
from aione.ui.explain import Explained, Refusal, explain_text
from config.settings import Settings, load_settings

MINUTES: Final = 1980
"""Bars behind a chart: a day for the profile, and some hours more."""

DAYS: Final = 60
NAMES_SHOWN: Final = 5


def run_explain(
    symbol: str,
    settings: Settings,
    redis_url: str,
    *,
    choice: MarketChoice | None = None,
    plot: Path | None = None,
    is_json: bool = False,
) -> None:
    """Explain a symbol and print it; with ``plot`` write its chart too.

    Parameters
    ----------
    symbol : str
        In any case.
    settings : Settings
    redis_url : str
        Of the running system; not looked at with ``choice``.
    choice : MarketChoice, optional
        A market to be scanned once instead, such as a recording at a moment.
    plot : Path, optional
        Where the PNG goes.
    is_json : bool
        Print the facts as one JSON object.

    Raises
    ------
    InvalidInput
        The exchange has no such symbol; the message names close ones.
    InsufficientData
        Nothing was published yet, or no bars are held for the chart.
    ServiceUnavailable
        Redis does not answer.
    """
    explained = asyncio.run(explain(symbol, settings, redis_url, choice=choice, plot=plot))
    if is_json:
        sys.stdout.buffer.write(as_json(explained) + b"\n")
        return
    now_ms = time.time_ns() // 1_000_000 if choice is None else None
    print(explain_text(explained, settings.UI_LOCALE, now_ms))  # noqa: T201  # the command's answer


async def explain(
    symbol: str, settings: Settings, redis_url: str, *, choice: MarketChoice | None = None, plot: Path | None = None
) -> Explained:
    """Return what is known of a symbol, and write its chart where one is wanted; see `run_explain`."""
    async with _state(settings, redis_url, choice) as redis:
        explained = await look_up(redis, settings, symbol)
        if plot is not None:
            await draw(redis, explained, plot, settings)
        return explained


async def look_up(redis: aioredis.Redis, settings: Settings, symbol: str) -> Explained:
    """Return a symbol's part of the published state, or why it has none.

    Raises
    ------
    InvalidInput, InsufficientData
        As `run_explain`.
    """
    wanted = symbol.strip().upper()
    snapshot = await _snapshot(redis, settings)
    asset = next((asset for asset in snapshot.assets if asset.symbol == wanted), None)
    if asset is not None:
        return Explained(wanted, snapshot.meta, asset)
    universe = await StateStore(redis).load_universe()
    known = {asset.symbol for asset in snapshot.assets} | (
        set() if universe is None else {*universe.symbols, *universe.rejected}
    )
    if universe is not None and wanted in universe.rejected:
        return Explained(wanted, snapshot.meta, refusal=Refusal(*universe.rejected[wanted]))
    if wanted not in known:
        raise InvalidInput(_unknown(symbol, wanted, known))
    return Explained(wanted, snapshot.meta)


async def draw(redis: aioredis.Redis, explained: Explained, path: Path, settings: Settings) -> None:
    """Write the chart of a symbol from the bars in Redis.

    Raises
    ------
    InsufficientData
        The symbol has no asset, or no bar of it is held.
    InvalidInput
        The picture cannot be written there.
    """
    from aione.ui.chart import ChartInput, draw_chart  # noqa: PLC0415  # matplotlib is slow to load

    if explained.asset is None:
        raise InsufficientData(f"{explained.symbol} is not in the universe: there is nothing to draw")
    end_ms = explained.meta.bar_time_ms
    minutes = await BarRings(redis, "1m").load([explained.symbol], end_ms, MINUTES)
    days = await BarRings(redis, "1d").load([explained.symbol], end_ms // DAY_MS * DAY_MS - DAY_MS, DAYS)
    if not minutes.valid.any():
        raise InsufficientData(f"no bars of {explained.symbol} are held: it was not screened")
    first = int(minutes.valid[0].argmax())
    shown = ChartInput(explained.asset, minutes.tail(minutes.shape[1] - first), days)
    try:
        await asyncio.to_thread(draw_chart, shown, path, settings.UI_LOCALE)
    except OSError as error:
        raise InvalidInput(f"--plot: {path} cannot be written: {error}") from error


def as_json(explained: Explained) -> bytes:
    """Return the facts as one JSON object: ``symbol``, ``meta``, ``asset`` (or null) and ``refusal`` (or null)."""
    refusal = explained.refusal
    facts: dict[str, Any] = {
        "symbol": explained.symbol,
        "meta": msgspec.to_builtins(explained.meta),
        "asset": None if explained.asset is None else msgspec.to_builtins(explained.asset),
        "refusal": None if refusal is None else {"code": refusal.code, "value": refusal.value},
    }
    return orjson.dumps(facts, option=orjson.OPT_INDENT_2)


async def _snapshot(redis: aioredis.Redis, settings: Settings) -> Snapshot:
    with redis_errors("reading the published state"):
        data: Any = await redis.get(settings.REDIS_SNAPSHOT_KEY)
    if data is None:
        raise InsufficientData("nothing was published yet: the screening flow does it every minute (aione up)")
    message = decode_message(data)
    if not isinstance(message, Snapshot):
        raise InvalidInput(f"expected a snapshot in {settings.REDIS_SNAPSHOT_KEY}, was a delta")
    return message


def _unknown(given: str, wanted: str, known: Iterable[str]) -> str:
    """Return the message about a symbol that nobody knows, with those that may have been meant."""
    names = sorted(known)
    near = [name for name in names if len(wanted) > 1 and name.startswith(wanted)]
    near += get_close_matches(wanted, [name for name in names if name not in near], n=NAMES_SHOWN, cutoff=0.6)
    hint = f"; close are {', '.join(near[:NAMES_SHOWN])}" if near else ""
    return f"no symbol {given!r} among the {len(names)} that the exchange lists{hint}"


@asynccontextmanager
async def _state(settings: Settings, redis_url: str, choice: MarketChoice | None) -> AsyncIterator[aioredis.Redis]:
    """Yield a client of the Redis that holds the state: the running system's, or one in which a market was scanned."""
    if choice is None:
        redis = await connect(redis_url)
        try:
            yield redis
        finally:
            await redis.aclose()
        return
    async with redis_of_its_own() as own_url, exchange(choice) as venue:
        chosen = load_settings(overrides={"VENUE": venue}) if venue else settings
        frozen_ms = parse_moment(choice.at) if choice.at else None
        async with open_runtime(chosen, own_url, frozen_ms=frozen_ms) as runtime:
            await cycle(runtime)
            yield runtime.redis


__all__ = ["as_json", "draw", "explain", "look_up", "run_explain"]
