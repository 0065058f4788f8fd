"""Redis as a Prefect block."""

from __future__ import annotations

import redis.asyncio as aioredis
from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from aione.store.connect import connect


class RedisBlock(Block):
    """Where Redis is; the address is a secret because it may hold a password."""

    _block_type_name = "AiOne Redis"
    _block_type_slug = "aione-redis"
    _description = "The Redis server that holds bars, states, trades and the published snapshot."

    url: SecretStr = Field(title="Address", description="redis://[:password@]host:port/database")

    async def connect(self) -> aioredis.Redis:
        """Return a client whose server has answered; `aione.errors.ServiceUnavailable` otherwise."""
        return await connect(self.url.get_secret_value())


__all__ = ["RedisBlock"]
