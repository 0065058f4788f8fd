"""`MarketSnapshot`: what is known of each symbol besides its bars, one value a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from aione.errors import InvalidInput
from aione.panel.bar_panel import F8


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """Order book, derivatives and trading rules of S symbols; NaN is unknown.

    Attributes
    ----------
    symbols : tuple of str, length S
    tick_size, step_size, min_notional : float64 (S,)
        Trading rules: quote per base, base, quote.
    bid, ask, mark_price : float64 (S,)
        Quote per base.
    spread_frac, spread_median_frac : float64 (S,)
        (ask - bid) / mid now, and its median over the recent past.
    depth_bid_quote, depth_ask_quote, depth_median_quote : float64 (S,)
        Quote value within 0.5 % of mid on each side; median over the recent past of the smaller side, of the same
        source (the streamed levels, or the book that a refresh has asked for).
    open_interest_quote, open_interest_change_frac, funding_rate : float64 (S,)
        Value of the open contracts, its change over the last hour (0.01 is 1 %), the current rate.
    quote_volume_24h, high_24h, low_24h : float64 (S,)
    age_ms : float64 (S,)
        How old the newest of the book values is.
    book_age_ms, mark_age_ms, depth_age_ms, open_interest_age_ms : float64 (S,)
        How old bid and ask, mark price and funding, depth, open interest are. What is too old is not known any more:
        its value is NaN, its age is told all the same.
    """

    symbols: tuple[str, ...]
    tick_size: F8
    step_size: F8
    min_notional: F8
    bid: F8
    ask: F8
    mark_price: F8
    spread_frac: F8
    spread_median_frac: F8
    depth_bid_quote: F8
    depth_ask_quote: F8
    depth_median_quote: F8
    open_interest_quote: F8
    open_interest_change_frac: F8
    funding_rate: F8
    quote_volume_24h: F8
    high_24h: F8
    low_24h: F8
    age_ms: F8
    book_age_ms: F8
    mark_age_ms: F8
    depth_age_ms: F8
    open_interest_age_ms: F8

    def __post_init__(self) -> None:
        for field in fields(self)[1:]:
            if getattr(self, field.name).shape != (len(self.symbols),):
                raise InvalidInput(
                    f"{field.name} must have shape ({len(self.symbols)},), was {getattr(self, field.name).shape}"
                )

    @classmethod
    def of(cls, symbols: Sequence[str], **known: F8) -> MarketSnapshot:
        """Build a snapshot in which everything not named in ``known`` is unknown."""
        blank = {field.name: np.full(len(symbols), np.nan) for field in fields(cls)[1:]}
        strange = known.keys() - blank.keys()
        if strange:
            raise InvalidInput(f"a market snapshot has no {min(strange)}")
        return cls(tuple(symbols), **{**blank, **{k: np.asarray(v, dtype=np.float64) for k, v in known.items()}})


__all__ = ["MarketSnapshot"]
