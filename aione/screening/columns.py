"""The engine's columns as plain lists, made once a cycle, so that publishing hundreds of symbols costs little each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from aione.panel import F8, MINUTE_MS, Finality
from aione.panel.bars import Source
from aione.screening.analyse import Found
from aione.screening.load import Loaded

STATS: Final = (
    "rsi",
    "adx",
    "atr",
    "atr_frac",
    "atr_percentile",
    "volume_z",
    "relative_volume",
    "vwap",
    "vwap_dev_frac",
    "vwap_z",
    "poc",
    "vah",
    "val",
    "realized_vol",
    "vol_ratio",
    "band_frac_20",
    "band_position_20",
    "taker_imbalance",
    "taker_imbalance_z",
    "slope_t",
    "efficiency_ratio",
    "htf_alignment",
    "beta_btc",
    "corr_btc",
    "return_15",
    "return_60",
    "relative_strength",
    "relative_strength_rank",
)
"""The readings that are published with every screened asset, by their names."""


SOURCES: Final = {Source.REST.value: "rest", Source.STREAM.value: "stream", Source.RECORDED.value: "recorded"}

AGES: Final = ("bar_ms", "book_ms", "mark_ms", "depth_ms", "open_interest_ms")
"""Names of the ages that are published, in the order of `Columns.ages`."""

_DAY_BARS: Final = 1440
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Columns:
    """What is published of every screened symbol, one item a symbol; NaN is unknown.

    Attributes
    ----------
    stat_names, threshold_names : tuple of str
    stats, thresholds : list of lists
        In the order of the names.
    ages : list of lists
        Milliseconds, in the order of `AGES`.
    volume_24h : list of float
        Base asset; unknown while a bar of the last 24 h is.
    """

    stat_names: tuple[str, ...]
    threshold_names: tuple[str, ...]
    stats: list[list[float]]
    thresholds: list[list[float]]
    ages: list[list[float]]
    close: list[float]
    volume_24h: list[float]
    scored: list[bool]
    alert: list[bool]
    has_bar: list[bool]
    has_any_bar: list[bool]
    is_final: list[bool]
    source: list[int]

    @classmethod
    def of(cls, loaded: Loaded, found: Found) -> Self:
        """Return the columns of one cycle."""
        readings, stage1, panel = found.readings, found.stage1, loaded.panel
        known = {name: readings[name] for name in STATS} | {
            "change_24h_frac": _change_24h(panel.close),
            "evidence": stage1.evidence,
            "spread_frac": loaded.market.spread_frac,
            "funding_rate": loaded.market.funding_rate,
            "open_interest_quote": loaded.market.open_interest_quote,
        }
        thresholds = tuple(stage1.thresholds)
        return cls(
            stat_names=tuple(known),
            threshold_names=(*thresholds, *found.rules.moves),
            stats=np.column_stack(list(known.values())).tolist(),
            thresholds=np.column_stack(
                [*(stage1.thresholds[name] for name in thresholds), *found.rules.moves.values()]
            ).tolist(),
            ages=_ages(loaded, readings["bars_age"]).tolist(),
            close=readings["close"].tolist(),
            volume_24h=_sum_24h(panel.volume).tolist(),
            scored=stage1.scored.tolist(),
            alert=stage1.alert.tolist(),
            has_bar=panel.valid[:, -1].tolist(),
            has_any_bar=np.asarray(panel.valid.any(axis=1)).tolist(),
            is_final=(loaded.finality >= Finality.STREAM_CLOSED).tolist(),
            source=loaded.source.tolist(),
        )


def rounded_why(why: dict[str, Any]) -> dict[str, Any]:
    """Return Stage1's explanation with the digits that the payload has."""
    triggers = [
        {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in one.items()}
        for one in why["triggers"]
    ]
    evidence = why["evidence"]
    context = {
        name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in why["context"].items()
    }
    return why | {
        "evidence": None if evidence is None else round(evidence, _DIGITS),
        "triggers": triggers,
        "context": context,
    }


def _ages(loaded: Loaded, bars_age: F8) -> F8:
    """Return the age of each kind of data when the cycle read it, float64 (S, 5), milliseconds."""
    market = loaded.market
    bar = loaded.now_ms - (loaded.bar_time_ms + MINUTE_MS) + bars_age * MINUTE_MS
    return np.column_stack(
        [bar, market.book_age_ms, market.mark_age_ms, market.depth_age_ms, market.open_interest_age_ms]
    )


def _change_24h(close: F8) -> F8:
    if close.shape[1] <= _DAY_BARS:
        return np.full(close.shape[0], np.nan)
    return np.asarray(close[:, -1] / close[:, -1 - _DAY_BARS] - 1.0)


def _sum_24h(volume: F8) -> F8:
    if volume.shape[1] < _DAY_BARS:
        return np.full(volume.shape[0], np.nan)
    return np.asarray(volume[:, -_DAY_BARS:].sum(axis=1))


__all__ = ["AGES", "SOURCES", "STATS", "Columns", "rounded_why"]
