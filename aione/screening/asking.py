"""Requests that cost one a symbol: a bounded number at once, and one refused symbol stops none of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aione.errors import RequestRejected

T = TypeVar("T")


async def ask_each(symbols: Sequence[str], ask: Callable[[str], Awaitable[T]], at_once: int) -> dict[str, T]:
    """Return what ``ask`` gives for each symbol, ``at_once`` of them at a time; a refused symbol is left out."""
    gate = asyncio.Semaphore(at_once)

    async def one(symbol: str) -> tuple[str, T] | None:
        async with gate:
            try:
                return symbol, await ask(symbol)
            except RequestRejected:
                return None  # delisted since exchangeInfo: the chain drops it as unknown

    return dict(pair for pair in await asyncio.gather(*map(one, symbols)) if pair is not None)


__all__ = ["ask_each"]
