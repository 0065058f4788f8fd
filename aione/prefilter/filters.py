"""The filters of the chain: each compares one metric with one threshold and says which symbols it drops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from aione.panel import B1, DAY_MS, F8
from config.models import FilterParams, SymbolInfo

Bound = Literal["floor", "ceiling"]


@dataclass(frozen=True, slots=True)
class Filter:
    """One metric against one threshold.

    Attributes
    ----------
    name : str
        Its reason code; an unknown metric's is ``<name>_unknown``.
    metric : str
        Field of `MetricResults` that it reads, or ``age_days``.
    parameter : str
        Field of `FilterParams` that holds its threshold, or ``MIN_READY_PCT``.
    bound : "floor" or "ceiling"
        Values below a floor, or above a ceiling, are dropped.
    can_relax : bool
        False for what guards the data rather than the market: more symbols are no reason to take worse data.
    """

    name: str
    metric: str
    parameter: str
    bound: Bound = "floor"
    can_relax: bool = True

    def relaxed(self, threshold: float, steps: int, factor: float) -> float:
        """Return the threshold after ``steps`` steps: a floor goes down by ``factor`` a step, a ceiling up.

        Examples
        --------
        >>> SPREAD.relaxed(0.001, 1, 0.5), VOLUME.relaxed(8.0, 2, 0.5), AGE.relaxed(3.0, 2, 0.5)
        (0.002, 2.0, 3.0)
        """
        if not self.can_relax or steps == 0:
            return threshold
        return threshold * factor**steps if self.bound == "floor" else threshold / factor**steps

    def passes(self, values: F8, threshold: float) -> B1:
        """Return which values pass, (n,); an unknown one (NaN) never does."""
        return values >= threshold if self.bound == "floor" else values <= threshold


AGE: Final = Filter("age", "age_days", "min_age_days", can_relax=False)
VOLUME: Final = Filter("volume", "quote_volume_24h", "min_quote_volume_24h")
VOLUME_QUANTILE: Final = Filter("volume_quantile", "quote_volume_24h", "quantile_floor")
RANGE: Final = Filter("range", "range_frac_24h", "min_range_frac_24h")
SPREAD: Final = Filter("spread", "spread_frac", "max_spread_frac", bound="ceiling")
OPEN_INTEREST: Final = Filter("open_interest", "open_interest_quote", "min_open_interest_quote")
DEPTH: Final = Filter("depth", "depth_quote", "min_depth_quote")
ATR: Final = Filter("atr", "atr_frac", "min_atr_frac")
HISTORY: Final = Filter("history", "ready_frac", "MIN_READY_PCT", can_relax=False)


def contract_fault(info: SymbolInfo, params: FilterParams) -> tuple[str, str] | None:
    """Return ``(what it is, what it must be)`` of a contract that does not belong in the universe, else None.

    It must be a perpetual on a coin, be trading, and be quoted in ``quote_asset``; a manual symbol too.

    Examples
    --------
    >>> info = SymbolInfo(symbol="TSLAUSDT", base_asset="TSLA", quote_asset="USDT", status="TRADING", onboard_ms=0,
    ...     contract_type="TRADIFI_PERPETUAL", underlying_type="EQUITY", delivery_ms=0, tick_size=0.01, step_size=0.1)
    >>> contract_fault(info, FilterParams())
    ('contract_type TRADIFI_PERPETUAL', 'contract_type PERPETUAL')
    """
    must = {
        "contract_type": "PERPETUAL",
        "underlying_type": "COIN",
        "status": "TRADING",
        "quote_asset": params.quote_asset,
    }
    for name, wanted in must.items():
        if (found := getattr(info, name)) != wanted:
            return f"{name} {found}", f"{name} {wanted}"
    return None


def age_days(info: SymbolInfo, now_ms: int) -> float:
    """Return the days since the contract was listed; negative before its listing."""
    return (now_ms - info.onboard_ms) / DAY_MS


def quantile_of(values: F8, q: float) -> float:
    """Return the ``q`` quantile of the known values; minus infinity where ``q`` is 0 or nothing is known."""
    known = values[~np.isnan(values)]
    return float(np.quantile(known, q)) if q > 0.0 and known.size else float("-inf")


__all__ = [
    "AGE",
    "ATR",
    "DEPTH",
    "HISTORY",
    "OPEN_INTEREST",
    "RANGE",
    "SPREAD",
    "VOLUME",
    "VOLUME_QUANTILE",
    "Filter",
    "age_days",
    "contract_fault",
    "quantile_of",
]
