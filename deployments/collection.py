"""What Prefect loads of this project wherever it runs, by the entry point ``prefect.collections``.

With it a Prefect server knows our blocks: it shows their forms, and an automation can notify through one.
"""

from blocks import ExchangeBlock, NotificationBlock, RedisBlock

__all__ = ["ExchangeBlock", "NotificationBlock", "RedisBlock"]
