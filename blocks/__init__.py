"""Prefect blocks: where the exchange, Redis and the notification target are. Address, secret, one factory method."""

from blocks.exchange import ExchangeBlock
from blocks.notification import NotificationBlock
from blocks.redis_store import RedisBlock

BLOCK_NAME = "aione"
"""The name under which `deployments.register` saves each block, and flows load it."""

__all__ = ["BLOCK_NAME", "ExchangeBlock", "NotificationBlock", "RedisBlock"]
