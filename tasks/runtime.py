"""The runtime of a flow run: settings, and the addresses that the blocks hold."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aione.screening.runtime import Runtime, open_runtime
from blocks import BLOCK_NAME, ExchangeBlock, RedisBlock
from config.settings import load_settings
from tasks.caching import RedisResults, results_in
from tasks.current import being


def archive_directory() -> Path | None:
    """Return where closed history is archived on this machine: ``AIONE_DATA_DIR``, none without it."""
    named = os.environ.get("AIONE_DATA_DIR")
    return Path(named) if named else None


@asynccontextmanager
async def connected(overrides: Mapping[str, Any] = MappingProxyType({})) -> AsyncIterator[Runtime]:
    """Open the runtime that the blocks ``aione`` describe; errors as `aione.screening.runtime.open_runtime`.

    ``overrides`` are constants that this run sets otherwise. Results of tasks that are kept are kept in its Redis.
    """
    exchange = await ExchangeBlock.aload(BLOCK_NAME)
    redis = await RedisBlock.aload(BLOCK_NAME)
    venue = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url, "timeout_s": exchange.timeout_s}
    settings = load_settings(overrides={**overrides, "VENUE": venue})
    async with open_runtime(settings, redis.url.get_secret_value(), data_dir=archive_directory()) as runtime:
        with being(runtime), results_in(RedisResults.over(runtime.redis)):
            yield runtime


__all__ = ["archive_directory", "connected"]
