"""Which symbols the worker follows, as the flows have left it in Redis, and by which streams."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aione.store.state import StateStore
from aione.store.trades import TradeStore
from aione.stream.shard import Shard
from aione.venue.stream_wire import MARK_PRICE_STREAM, book_ticker_stream, depth_stream, kline_stream


@dataclass(frozen=True, slots=True)
class Wanted:
    """Symbols whose bars are followed, the best rank first, and those whose order book is followed too.

    ``is_known`` is false where nothing stands in Redis, neither a universe nor a prefilter's result: then nobody has
    said that nothing is wanted.
    """

    symbols: tuple[str, ...] = ()
    screened: tuple[str, ...] = ()
    is_known: bool = True

    def of(self, shard: Shard) -> Wanted:
        """Return a worker's share."""
        if shard.of == 1:
            return self
        return replace(self, symbols=shard.take(self.symbols), screened=shard.take(self.screened))


def streams_of(wanted: Wanted, depth: str, mark_prices: str = MARK_PRICE_STREAM) -> list[str]:
    """Return the streams of these symbols, and the one of all mark prices; none when there is no symbol.

    ``depth`` is what `depth_stream` adds to a symbol, empty for no stream of the book.

    Examples
    --------
    >>> streams_of(Wanted(("BTCUSDT", "ETHUSDT"), ("BTCUSDT",)), "depth20@500ms")  # doctest: +NORMALIZE_WHITESPACE
    ['btcusdt@kline_1m', 'ethusdt@kline_1m', 'btcusdt@bookTicker', 'btcusdt@depth20@500ms',
     '!markPrice@arr@1s']
    """
    if not wanted.symbols:
        return []
    return [
        *map(kline_stream, wanted.symbols),
        *map(book_ticker_stream, wanted.screened),
        *(depth_stream(symbol, depth) for symbol in wanted.screened if depth),
        mark_prices,
    ]


async def read_wanted(state: StateStore, trades: TradeStore) -> Wanted:
    """Return the screened symbols by rank, then those with an open trade; before the first prefilter the universe.

    A symbol that has left the universe is not wanted, whatever the prefilter said before.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer.
    InvalidInput
        What stands there cannot be read.
    """
    prefilter = await state.load_prefilter()
    universe = await state.load_universe()
    if prefilter is None or not prefilter.symbols:
        return Wanted(is_known=False) if universe is None else Wanted(universe.symbols)
    traded = (await trades.load()).open
    tradable = None if universe is None else frozenset(universe.symbols)
    wanted = [s for s in dict.fromkeys([*prefilter.symbols, *sorted(traded)]) if tradable is None or s in tradable]
    return Wanted(tuple(wanted), tuple(wanted))


__all__ = ["Wanted", "read_wanted", "streams_of"]
