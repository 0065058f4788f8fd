"""The stream worker: keeps the bar rings, forming bars and book tickers current from the exchange's WebSocket."""

from aione.stream.book import BookEntry
from aione.stream.status import is_alive, read_status
from aione.stream.worker import StreamWorker

__all__ = ["BookEntry", "StreamWorker", "is_alive", "read_status"]
