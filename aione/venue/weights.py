"""What each request costs and from which budget: the one table of the exchange's prices.

The exchange counts request weight by address and UTC minute; two groups of endpoints have budgets of their own,
counted in requests by five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aione.errors import InvalidInput

KLINES_MAX: Final = 1500
KLINES_STEPS: Final = ((99, 1), (499, 2), (1000, 5), (KLINES_MAX, 10))
"""(most bars, weight) of a klines request."""
DEPTH_STEPS: Final = ((5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10), (1000, 20))
"""(allowed limit, weight) of a depth request."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget of the exchange: ``limit`` units in each window of ``window_ms`` of UTC clock time."""

    name: str
    limit: int
    window_ms: int


FUNDING_BUDGET: Final = Budget("funding", 500, 300_000)
DATA_BUDGET: Final = Budget("data", 1000, 300_000)

PING = TIME = EXCHANGE_INFO = OPEN_INTEREST = 1
TICKERS_24H: Final = 40
PREMIUM_INDEX: Final = 10
BOOK_TICKERS: Final = 5


def klines_weight(limit: int) -> int:
    """Return the weight of a klines request for ``limit`` bars.

    Raises
    ------
    InvalidInput
        ``limit`` outside 1..1500.

    Examples
    --------
    >>> [klines_weight(limit) for limit in (99, 100, 499, 500, 1000, 1001)]
    [1, 2, 2, 5, 5, 10]
    """
    if not 1 <= limit <= KLINES_MAX:
        raise InvalidInput(f"klines limit must be in 1..{KLINES_MAX}, was {limit}")
    return next(weight for most, weight in KLINES_STEPS if limit <= most)


def depth_weight(limit: int) -> int:
    """Return the weight of a depth request.

    Raises
    ------
    InvalidInput
        ``limit`` is not one of the allowed ones.

    Examples
    --------
    >>> depth_weight(50), depth_weight(1000)
    (2, 20)
    """
    weights = dict(DEPTH_STEPS)
    if limit not in weights:
        raise InvalidInput(f"depth limit must be one of {sorted(weights)}, was {limit}")
    return weights[limit]


__all__ = [
    "BOOK_TICKERS",
    "DATA_BUDGET",
    "DEPTH_STEPS",
    "EXCHANGE_INFO",
    "FUNDING_BUDGET",
    "KLINES_MAX",
    "KLINES_STEPS",
    "OPEN_INTEREST",
    "PING",
    "PREMIUM_INDEX",
    "TICKERS_24H",
    "TIME",
    "Budget",
    "depth_weight",
    "klines_weight",
]
