"""Which stream worker follows which symbol, where several share the market."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from aione.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Shard:
    """Share ``index`` of ``of``, counted from 1.

    Notes
    -----
    Rendezvous hashing: every share draws a stable number for a symbol and the highest takes it. A worker more takes its
    part from all others alike and nothing else moves.

    Examples
    --------
    >>> shards = [Shard(1, 3), Shard(2, 3), Shard(3, 3)]
    >>> [[shard.owns(symbol) for shard in shards] for symbol in ("BTCUSDT", "ETHUSDT")]
    [[False, False, True], [True, False, False]]
    """

    index: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``i/N``.

        Raises
        ------
        ConfigError
            Anything else, or an ``i`` outside 1..N.

        Examples
        --------
        >>> Shard.parse("2/3")
        Shard(index=2, of=3)
        """
        index, slash, of = text.strip().partition("/")
        if not (slash and index.isascii() and index.isdecimal() and of.isascii() and of.isdecimal()):
            raise ConfigError(f"AIONE_STREAM_SHARD must be i/N such as 1/2, was {text!r}")
        shard = cls(int(index), int(of))
        if not 1 <= shard.index <= shard.of:
            raise ConfigError(f"AIONE_STREAM_SHARD must be i/N with i in 1..N, was {text!r}")
        return shard

    @property
    def is_first(self) -> bool:
        """Return whether this share also does what needs doing once: the archive and the flows' metrics."""
        return self.index == 1

    def owns(self, symbol: str) -> bool:
        """Return whether a symbol is this share's."""
        return self.of == 1 or self.index == max(range(1, self.of + 1), key=lambda index: _draw(index, symbol))

    def take(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """Return this share's symbols, in the order given."""
        return tuple(symbol for symbol in symbols if self.owns(symbol))

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


def _draw(index: int, symbol: str) -> bytes:
    return blake2b(f"{index}:{symbol}".encode(), digest_size=8).digest()


__all__ = ["Shard"]
