"""Where state lives: bar rings, state blobs, the connection to Redis and every key."""

from aione.store.connect import connect
from aione.store.rings import BarRings, MemoryRings, Rings

__all__ = ["BarRings", "MemoryRings", "Rings", "connect"]
