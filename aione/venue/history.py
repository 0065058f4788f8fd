"""`preload`: the history that the rings lack, fetched with the cheapest requests.

1. The rings say which bars are missing; those before a symbol's listing are not asked for.
2. They are fetched a bounded number of symbols at once (`aione.venue.filling`); what comes is written at once, so an
   end half-way loses nothing.
3. A bar that the exchange does not have is marked as absent, so that no later run asks again (`aione.venue.absent`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aione.errors import InvalidInput
from aione.panel.bars import Finality
from aione.store.rings import Rings
from aione.venue.cover import Range
from aione.venue.filling import Filler, OnProgress, PreloadReport
from aione.venue.rest import BinanceRest
from aione.venue.wire_bars import interval_ms


async def preload(
    rest: BinanceRest,
    rings: Rings,
    symbols: Sequence[str],
    *,
    interval: str,
    bars: int,
    end_ms: int,
    concurrency: int,
    on_progress: OnProgress | None = None,
    onboard_ms: Mapping[str, int] | None = None,
) -> PreloadReport:
    """Fetch the bars that the rings lack of the ``bars`` bars that end at ``end_ms``.

    Parameters
    ----------
    rest : BinanceRest
    rings : Rings
        Of timeframe ``interval``.
    symbols : sequence of str
    interval : str
        ``1m`` or ``1d``.
    bars : int
        At most the rings' capacity.
    end_ms : int
        Open time of the last closed bar.
    concurrency : int
        Symbols at once.
    on_progress : callable, optional
    onboard_ms : mapping symbol -> int, optional
        When each was listed; no bar before it is asked for.

    Raises
    ------
    RequestRejected
        The request itself is wrong or the region is barred: it would be so for every symbol. Or five symbols in a row
        were refused.
    ServiceUnavailable
        Redis does not answer.
    VenueUnavailable
        Five symbols in a row could not be had although each request was tried four times: the exchange is down. What
        came before is in the rings.
    InvalidInput
        Rings of another timeframe, a window they cannot hold, or a concurrency below 1.
    """
    if rings.timeframe != interval:
        raise InvalidInput(f"rings must be of timeframe {interval}, were of {rings.timeframe}")
    if concurrency < 1:
        raise InvalidInput(f"concurrency must be at least 1, was {concurrency}")
    names = list(dict.fromkeys(symbols))
    window = _Window(interval_ms(interval), end_ms, bars, onboard_ms or {})
    missing = await window.missing(rings, names)
    filler = Filler(rest, rings, end_ms, PreloadReport(len(names)), on_progress=on_progress)
    for symbol in names:
        if symbol not in missing:
            await filler.progress(symbol)
    await filler.run(missing, concurrency)
    filler.report.gaps_left = await window.missing(rings, list(missing))
    return filler.report


async def fetch_ranges(
    rest: BinanceRest,
    rings: Rings,
    ranges: Mapping[str, Sequence[Range]],
    *,
    end_ms: int,
    concurrency: int,
    mark: Finality = Finality.PROVISIONAL,
) -> PreloadReport:
    """Fetch these ranges of open times, whether or not the rings hold them already; first come, first fetched.

    Parameters
    ----------
    rest : BinanceRest
    rings : Rings
    ranges : mapping symbol -> ranges of open times
        Inclusive, ascending and apart, none after ``end_ms``.
    end_ms : int
        Open time of the last closed bar; what follows a symbol's last range up to here is held.
    concurrency : int
        Symbols at once.
    mark : Finality
        How sure an absent bar is to be marked; see `aione.venue.absent`.

    Raises
    ------
    As `preload`.
    """
    filler = Filler(rest, rings, end_ms, PreloadReport(len(ranges)), mark=mark)
    await filler.run(ranges, concurrency)
    return filler.report


@dataclass(frozen=True, slots=True)
class _Window:
    """The bars wanted: ``bars`` of them, the last at ``end_ms``, none before a symbol's listing."""

    step_ms: int
    end_ms: int
    bars: int
    onboard_ms: Mapping[str, int]

    async def missing(self, rings: Rings, symbols: Sequence[str]) -> dict[str, list[Range]]:
        """Return the open-time ranges that the rings lack, without symbols that lack none."""
        start_ms = self.end_ms - self.step_ms * (self.bars - 1)
        gaps = await rings.gaps(symbols, start_ms, self.end_ms)
        wanted = {symbol: self._listed(symbol, ranges) for symbol, ranges in gaps.items()}
        return {symbol: ranges for symbol, ranges in wanted.items() if ranges}

    def _listed(self, symbol: str, ranges: Sequence[Range]) -> list[Range]:
        first_ms = self.onboard_ms.get(symbol, 0) // self.step_ms * self.step_ms
        return [(max(first, first_ms), last) for first, last in ranges if last >= first_ms]


__all__ = ["OnProgress", "PreloadReport", "fetch_ranges", "preload"]
