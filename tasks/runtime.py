"""The runtime of a flow run: settings, and the addresses that the blocks hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aione.screening.runtime import Runtime, open_runtime
from blocks import BLOCK_NAME, ExchangeBlock, RedisBlock
from config.settings import load_settings


@asynccontextmanager
async def connected() -> AsyncIterator[Runtime]:
    """Open the runtime that the blocks ``aione`` describe; errors as `aione.screening.runtime.open_runtime`."""
    exchange = await ExchangeBlock.aload(BLOCK_NAME)
    redis = await RedisBlock.aload(BLOCK_NAME)
    venue = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url, "timeout_s": exchange.timeout_s}
    settings = load_settings(overrides={"VENUE": venue})
    async with open_runtime(settings, redis.url.get_secret_value()) as runtime:
        yield runtime


__all__ = ["connected"]
