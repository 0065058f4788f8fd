"""What else a stream worker does now and then for the parts beside it: the archive, open interest."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class Errand(Protocol):
    """Something done every ``every_s`` seconds and once more at the end: the archive.

    ``is_for_all`` says whether it is for the symbols of all workers or for this one's share.
    """

    @property
    def name(self) -> str:
        """Return what it is called in logs and metrics."""

    @property
    def every_s(self) -> float:
        """Return how often it is due."""

    @property
    def is_for_all(self) -> bool:
        """Return whether it is for every worker's symbols."""

    async def run_once(self, symbols: Collection[str], now_ms: int) -> None:
        """Do it once; ``now_ms`` is the exchange's time."""


__all__ = ["Errand"]
