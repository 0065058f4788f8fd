"""The rank score: where a symbol stands among the others, metric by metric, then the weighted mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aione.panel import B1, F8
from config.models import PrefilterParams, RankWeights

METRICS: Final = {
    "log_quote_volume": "quote_volume_24h",
    "log_open_interest": "open_interest_quote",
    "log_depth": "depth_quote",
    "atr_frac": "atr_frac",
}
"""Weight's name -> metric; a logarithm changes no rank, so none is taken."""


def cross_sectional_rank(values: F8, winsor_frac: float = 0.0) -> F8:
    """Rank each value among the known ones, equal values sharing their mean rank.

    Parameters
    ----------
    values : float64 (n,)
        Any unit; NaN is unknown.
    winsor_frac : float, in [0, 0.5)
        Values beyond this quantile at either end count as equal to it, so that one giant is not a class of its own.

    Returns
    -------
    float64 (n,)
        In (0, 1), 0.5 in the middle; NaN where the value is NaN. Invariant under any rising transformation.

    Examples
    --------
    >>> cross_sectional_rank(np.array([7.0, 1e9, np.nan, 7.0, 2.0]))
    array([0.5  , 0.875,   nan, 0.5  , 0.125])
    """
    out = np.full(values.shape, np.nan)
    known = ~np.isnan(values)
    if not known.any():
        return out
    x = values[known]
    if winsor_frac > 0.0:
        low = np.quantile(x, winsor_frac, method="inverted_cdf")
        high = -np.quantile(-x, winsor_frac, method="inverted_cdf")
        x = np.clip(x, low, high)
    _, group, size = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(size)
    out[known] = ((last - 0.5 * size) / len(x))[group]
    return out


def rank_score(metrics: Mapping[str, F8], size: int, weights: RankWeights, winsor_frac: float) -> F8:
    """Return the weighted mean of the known metrics' ranks, (size,) in (0, 1); NaN where none is known.

    ``metrics`` holds float64 (size,) by the metric's name; one that was never measured weighs nothing.
    """
    total, weight = np.zeros(size), np.zeros(size)
    for name, metric in METRICS.items():
        if metric in metrics:
            ranks = cross_sectional_rank(metrics[metric], winsor_frac)
            share = np.where(np.isnan(ranks), 0.0, getattr(weights, name))
            total += share * np.where(np.isnan(ranks), 0.0, ranks)
            weight += share
    out = np.full(size, np.nan)
    np.divide(total, weight, out=out, where=weight > 0.0)
    return out


def best_first(score: F8, names: Sequence[str]) -> list[int]:
    """Return the rows by falling score, the unknown last, equal ones by name."""
    order = np.where(np.isnan(score), np.inf, -score).tolist()
    return sorted(range(len(names)), key=lambda row: (order[row], names[row]))


@dataclass(frozen=True, slots=True)
class Cut:
    """What tightening did: rows kept and dropped, both best first, and the quantile that parted them.

    ``threshold`` is the least score that was kept by right of score, None where nothing was cut.
    """

    kept: list[int]
    dropped: list[int]
    steps: int
    quantile: float
    threshold: float | None


def tighten(score: F8, best: Sequence[int], manual: B1, params: PrefilterParams) -> Cut:
    """Raise the rank quantile below which rows drop, step by step, until ``max_symbols`` or fewer are left.

    Parameters
    ----------
    score : float64 (n,)
    best : sequence of int
        All rows, best first.
    manual : bool (n,)
        Rows that are never dropped; they count towards ``max_symbols``.
    params : PrefilterParams
        ``max_symbols`` and ``tighten_quantile_step``.

    Notes
    -----
    No quantile parts equal scores, nor unknown ones; where none is enough, the best first ``max_symbols`` stay.
    """
    kept, steps, quantile = list(best), 0, 0.0
    known = score[~np.isnan(score)]
    while len(kept) > params.max_symbols and quantile < 1.0 and known.size:
        steps += 1
        quantile = min(1.0, round(steps * params.tighten_quantile_step, 9))
        least = np.quantile(known, quantile)
        kept = [row for row in best if manual[row] or score[row] >= least]
    if len(kept) > params.max_symbols:
        steps = max(steps, 1)
        room = max(0, params.max_symbols - int(manual.sum()))
        first = set([row for row in kept if not manual[row]][:room])
        kept = [row for row in kept if manual[row] or row in first]
    if len(kept) == len(best):
        return Cut(kept, [], 0, 0.0, None)
    staying = set(kept)
    by_score = [float(score[row]) for row in kept if not manual[row] and not np.isnan(score[row])]
    return Cut(kept, [row for row in best if row not in staying], steps, quantile, min(by_score, default=None))


__all__ = ["METRICS", "Cut", "best_first", "cross_sectional_rank", "rank_score", "tighten"]
