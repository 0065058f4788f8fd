"""Saving the blocks: what the environment names is put in, what a person changed in the UI stays.

| block | field | named by |
|---|---|---|
| exchange | environment | ``AIONE_EXCHANGE`` (``aione up`` says which exchange it started) |
| | rest_url, ws_url | ``AIONE_REST_URL``, ``AIONE_WS_URL``, or a profile whose ``VENUE`` differs from the default |
| | timeout_s | a profile or variable whose ``VENUE.timeout_s`` differs from the default |
| | api_key, api_secret | ``BINANCE_API_KEY``, ``BINANCE_API_SECRET`` |
| redis | url | ``REDIS_URL`` |
| notification | path | ``NOTIFICATION_FILE`` |
| | webhook_url | ``NOTIFICATION_WEBHOOK_URL`` |
| | urls | ``NOTIFICATION_URLS`` |

A variable that is set and empty names nothing at all: the field is emptied, or what must not be empty begins anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from aione.errors import ConfigError
from aione.run.home import home_directory
from blocks import BLOCK_NAME, ExchangeBlock, NotificationBlock, RedisBlock
from config.models import VenueParams
from config.settings import Settings

EXCHANGE: Final = {"environment": "AIONE_EXCHANGE", "api_key": "BINANCE_API_KEY", "api_secret": "BINANCE_API_SECRET"}
NOTIFICATION: Final = {
    "path": "NOTIFICATION_FILE",
    "webhook_url": "NOTIFICATION_WEBHOOK_URL",
    "urls": "NOTIFICATION_URLS",
}


async def save_blocks(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Save the three blocks under `blocks.BLOCK_NAME`.

    Raises
    ------
    ConfigError
        An address of ``NOTIFICATION_URLS`` is none that Apprise knows; the message holds no secret.
    """
    environ = os.environ if environ is None else environ
    standard, venue = VenueParams(), settings.VENUE
    fields = ("rest_url", "ws_url", "timeout_s")
    addresses = {"rest_url": "AIONE_REST_URL", "ws_url": "AIONE_WS_URL"}
    named = {
        name: getattr(venue, name)
        for name in fields
        if getattr(venue, name) != getattr(standard, name) or environ.get(addresses.get(name, ""))
    }
    await keep(ExchangeBlock, named | _named(EXCHANGE, environ), {name: getattr(standard, name) for name in fields})
    await keep(RedisBlock, _named({"url": "REDIS_URL"}, environ), {"url": "redis://127.0.0.1:6379/0"})
    home = {"path": str(home_directory() / "notifications.jsonl")}
    block = await keep(NotificationBlock, _named(NOTIFICATION, environ), home)
    assert isinstance(block, NotificationBlock)
    if wrong := block.wrong_addresses():
        raise ConfigError(f"NOTIFICATION_URLS: {'; '.join(wrong)}")


async def keep(kind: type[Block], named: Mapping[str, Any], begin: Mapping[str, Any]) -> Block:
    """Save a block: what is named over what is held over how it begins; None among the named empties a field."""
    async with get_client() as client:
        try:
            document = await client.read_block_document_by_name(BLOCK_NAME, kind.get_block_type_slug())
        except ObjectNotFound:
            held: dict[str, Any] = {}
        else:
            held = {name: value for name, value in document.data.items() if name in kind.model_fields}
    values = {**begin, **held, **named}
    for name, field in kind.model_fields.items():
        if name in named and named[name] is None:
            values[name] = begin[name] if field.is_required() else field.default
    block = kind(**values)
    await block.save(BLOCK_NAME, overwrite=True)
    return block


def _named(variables: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the fields whose variable is set; an empty one names None."""
    return {name: environ[variable] or None for name, variable in variables.items() if variable in environ}


__all__ = ["keep", "save_blocks"]
