"""Whether a part of the system answers, asked while it starts."""

from __future__ import annotations

import httpx

from aione.errors import ServiceUnavailable
from aione.store.connect import connect


async def redis_answers(redis_url: str) -> bool:
    """Return whether Redis answers; while it still reads its file back it does not."""
    try:
        client = await connect(redis_url)
    except ServiceUnavailable:
        return False
    await client.aclose()
    return True


async def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Return whether an address answers with success."""
    try:
        async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as client:
            return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


__all__ = ["answers", "redis_answers"]
