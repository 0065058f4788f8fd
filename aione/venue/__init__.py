"""The exchange: REST client, weight ledger, universe, history, and the WebSocket session. Its words end here."""

from aione.venue.history import PreloadReport, preload
from aione.venue.ledger import LocalLedger, WeightLedger
from aione.venue.ledger_redis import RedisLedger
from aione.venue.rest import BinanceRest
from aione.venue.universe import Universe, select_universe

__all__ = [
    "BinanceRest",
    "LocalLedger",
    "PreloadReport",
    "RedisLedger",
    "Universe",
    "WeightLedger",
    "preload",
    "select_universe",
]
