"""Redis as a Prefect block."""

from __future__ import annotations

import redis.asyncio as aioredis
from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, HttpUrl, SecretStr

from aione.store.connect import connect
from blocks.logos import LOGOS


class RedisBlock(Block):
    """Where Redis is; the address is a secret because it may hold a password."""

    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "AiOne Redis"
    _block_type_slug = "aione-redis"
    _description = "The Redis server that holds bars, states, trades and the published snapshot."

    _documentation_url = HttpUrl("https://redis.io/docs/latest/develop/clients/redis-py/connect/")
    _logo_url = HttpUrl(f"{LOGOS}/redis.png")
    _code_example = """
        from blocks import BLOCK_NAME, RedisBlock

        redis = await (await RedisBlock.aload(BLOCK_NAME)).connect()
    """

    url: SecretStr = Field(title="Address", description="redis://[:password@]host:port/database")

    async def connect(self) -> aioredis.Redis:
        """Return a client whose server has answered; `aione.errors.ServiceUnavailable` otherwise."""
        return await connect(self.url.get_secret_value())


__all__ = ["RedisBlock"]
