"""Which symbols a worker follows: read again and again, taken up at once, and owed until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeAlias

from aione.stream.shard import Shard
from aione.stream.symbols import Wanted

TakeUp: TypeAlias = Callable[[Wanted, Collection[str], Collection[str]], None]


class Register(Protocol):
    """Where the flows leave what is wanted, and what is kept of each symbol: a part of `aione.stream.outlet.Outlet`."""

    async def wanted(self) -> Wanted:
        """Return which symbols the flows want followed."""

    async def load_book(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what is stored of the order books; a symbol without an entry is absent."""

    async def forget(self, symbols: Collection[str]) -> None:
        """Remove what is kept of symbols that are not followed any more, except their bars."""


class Following:
    """Keeps a worker with its share of what is wanted.

    1. What is wanted is read. Nothing known (`Wanted.is_known`) changes nothing; an empty share is a share like others.
    2. A change is taken up in one go, without waiting for anybody.
    3. What Redis has to do with it is owed until it is done: the entries of symbols that left are removed, what was
       usual for those that came is restored. Redis away in between delays that and loses nothing.

    Parameters
    ----------
    register : Register
    shard : Shard
    take_up : callable (wanted, gone, new)
        Changes what is followed; what it raises leaves everything as it was.
    restore : callable
        Takes the stored order book entries of new symbols.

    Attributes
    ----------
    everyone, wanted : Wanted
        What all workers follow, and what this one does.
    has_symbols : asyncio.Event
        Set once anything is wanted of anybody.
    """

    def __init__(
        self,
        register: Register,
        shard: Shard,
        take_up: TakeUp,
        restore: Callable[[dict[str, dict[str, Any]]], None],
    ) -> None:
        self.everyone = self.wanted = Wanted()
        self.has_symbols = asyncio.Event()
        self._register = register
        self._shard = shard
        self._take_up = take_up
        self._restore = restore
        self._to_forget: set[str] = set()
        self._to_restore: set[str] = set()

    async def run_once(self) -> None:
        """Read what is wanted and take up what has changed.

        Raises
        ------
        ServiceUnavailable
            Redis does not answer; what is owed is done another time.
        InvalidInput
            What stands there cannot be read; what was followed still is.
        """
        everyone = await self._register.wanted()
        if everyone.is_known:
            self._change(everyone)
        if self._to_forget:
            names = sorted(self._to_forget)
            await self._register.forget(names)
            self._to_forget.difference_update(names)
        if self._to_restore:
            names = sorted(self._to_restore)
            self._restore(await self._register.load_book(names))
            self._to_restore.difference_update(names)

    def _change(self, everyone: Wanted) -> None:
        wanted = everyone.of(self._shard)
        if wanted != self.wanted:
            before, after = set(self.wanted.symbols), set(wanted.symbols)
            self._take_up(wanted, sorted(before - after), sorted(after - before))
            self._to_forget = (self._to_forget | before) - after
            self._to_restore = (self._to_restore | (after - before)) & after
        self.everyone, self.wanted = everyone, wanted
        if everyone.symbols:
            self.has_symbols.set()


__all__ = ["Following", "Register"]
