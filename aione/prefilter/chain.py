"""The prefilter chain: from every contract the exchange lists to the screened universe, with a reason for each drop.

1. ``contract`` and ``age`` need only the list of contracts; a manual symbol must pass ``contract`` like any other.
2. ``volume``, ``range`` and ``spread`` come from bulk endpoints: `Prefilter.apply_bulk`.
3. ``open_interest``, ``depth``, then ``atr`` and ``history`` cost a request a symbol, so each step takes only what the
   step before has left. A step that is never applied does not filter.
4. A step that leaves fewer than ``min_symbols`` relaxes its own floors, one step at a time and no more than helps.
5. A metric that a step needs and does not get drops the symbol as ``<filter>_unknown``.
6. Manual symbols pass every floor whatever their metrics; the floors are for the others.
7. The rest is ranked; more than ``max_symbols`` raises the rank quantile, step by step, below which symbols drop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from aione.errors import InvalidInput
from aione.panel import B1, F8
from aione.prefilter import filters
from aione.prefilter.filters import Filter
from aione.prefilter.rank import METRICS, best_first, rank_score, tighten
from aione.prefilter.result import PrefilterResult
from config.models import MetricResults, SymbolInfo
from config.settings import Settings

_STEPS: Final = ("bulk", "open_interest", "depth", "history")


class Prefilter:
    """A chain that is fed in steps.

    Parameters
    ----------
    infos : sequence of SymbolInfo
        All contracts of the exchange.
    settings : Settings
        Reads ``STAGE1_PREFILTER_THRESHOLDS``, ``PREFILTER_BASE_PARAMS`` and ``MIN_READY_PCT``.
    now_ms : int
        UTC epoch milliseconds.
    manual : collection of str
        Symbols that bypass the floors.

    Raises
    ------
    InvalidInput
        ``infos`` holds a symbol twice.
    """

    def __init__(
        self, infos: Sequence[SymbolInfo], settings: Settings, now_ms: int, manual: Collection[str] = ()
    ) -> None:
        self._symbols = [info.symbol for info in infos]
        self._row = {symbol: row for row, symbol in enumerate(self._symbols)}
        if len(self._row) != len(infos):
            twice = next(symbol for row, symbol in enumerate(self._symbols) if self._row[symbol] != row)
            raise InvalidInput(f"every symbol must be listed once, {twice} was listed more often")
        self._params = settings.PREFILTER_BASE_PARAMS
        self._floors = {
            **settings.STAGE1_PREFILTER_THRESHOLDS.model_dump(exclude={"quote_asset"}),
            "quantile_floor": self._params.quantile_floor,
            "MIN_READY_PCT": settings.MIN_READY_PCT,
        }
        self._now_ms = now_ms
        wanted = set(manual)
        self._manual = np.array([symbol in wanted for symbol in self._symbols], dtype=np.bool_)
        self._unlisted = sorted(wanted - self._row.keys())
        self._left = np.ones(len(infos), dtype=np.bool_)
        self._metrics: dict[str, F8] = {}
        self._dropped: dict[int, dict[str, Any]] = {}
        self._funnel: list[tuple[str, int, int]] = []
        self._in_force: dict[str, float] = {}
        self._relaxed = 0
        self._applied = -1
        self._guard(infos, settings)

    def apply_bulk(
        self,
        quote_volume_24h: Mapping[str, float],
        range_frac_24h: Mapping[str, float],
        spread_frac: Mapping[str, float] | None,
    ) -> list[str]:
        """Filter by 24 h quote volume, its quantile where that is on, 24 h range and spread; return what is left.

        ``spread_frac`` None says that the source has no order book at all: then the spread does not filter.
        """
        chain = [filters.VOLUME, filters.VOLUME_QUANTILE, filters.RANGE, filters.SPREAD]
        fed = {"quote_volume_24h": quote_volume_24h, "range_frac_24h": range_frac_24h}
        if self._params.quantile_floor == 0.0:
            chain.remove(filters.VOLUME_QUANTILE)
        if spread_frac is None:
            chain.remove(filters.SPREAD)
        else:
            fed["spread_frac"] = spread_frac
        return self._apply("bulk", chain, fed)

    def apply_open_interest(self, open_interest_quote: Mapping[str, float]) -> list[str]:
        """Filter by the value of the open contracts; return what is left."""
        return self._apply("open_interest", [filters.OPEN_INTEREST], {"open_interest_quote": open_interest_quote})

    def apply_depth(self, depth_quote: Mapping[str, float]) -> list[str]:
        """Filter by the quote value within 0.5 % of mid on the thinner side; return what is left."""
        return self._apply("depth", [filters.DEPTH], {"depth_quote": depth_quote})

    def apply_history(self, atr_frac: Mapping[str, float], ready_frac: Mapping[str, float]) -> list[str]:
        """Filter by ATR fraction and by the share of bars that are there; return what is left."""
        fed = {"atr_frac": atr_frac, "ready_frac": ready_frac}
        return self._apply("history", [filters.ATR, filters.HISTORY], fed)

    def result(self) -> PrefilterResult:
        """Rank what is left, tighten where it is too many, and return everything that was found.

        The chain stays as it is: more steps may follow, and another result.
        """
        rows = np.flatnonzero(self._left)
        measured = {name: self._metrics[name][rows] for name in METRICS.values() if name in self._metrics}
        score = rank_score(measured, rows.size, self._params.rank_weights, self._params.winsor_frac)
        best = best_first(score, [self._symbols[row] for row in rows])
        cut = tighten(score, best, self._manual[rows], self._params)
        found: dict[int, dict[str, Any]] = {row: {"score": _known(score[k])} for k, row in enumerate(rows.tolist())}
        for k in cut.dropped:
            found[int(rows[k])] |= {"reason": "rank", "value": _known(score[k]), "threshold": cut.threshold}
        for rank, k in enumerate(cut.kept, start=1):
            found[int(rows[k])] |= {"rank": rank, "passed": True}
        return PrefilterResult(
            symbols=tuple(self._symbols[rows[k]] for k in cut.kept),
            metrics=self._report(found),
            funnel=[*self._funnel, *([("rank", len(best), len(cut.kept))] if cut.steps else [])],
            floors=dict(self._in_force),
            relaxed=self._relaxed,
            tightened=cut.steps,
            quantile=cut.quantile,
            now_ms=self._now_ms,
        )

    # ── Steps ──

    def _guard(self, infos: Sequence[SymbolInfo], settings: Settings) -> None:
        """Apply what needs no market data: the kind of contract, for manual symbols too, and its age."""
        for row, info in enumerate(infos):
            fault = filters.contract_fault(info, settings.STAGE1_PREFILTER_THRESHOLDS)
            if fault is not None:
                self._left[row] = False
                self._dropped[row] = {"reason": "contract", "value": fault[0], "threshold": fault[1]}
        self._funnel.append(("contract", len(infos), int(self._left.sum())))
        ages = np.array([filters.age_days(info, self._now_ms) for info in infos], dtype=np.float64)
        self._metrics["age_days"] = ages
        self._settle([filters.AGE], 0)

    def _apply(self, step: str, chain: Sequence[Filter], fed: Mapping[str, Mapping[str, float]]) -> list[str]:
        position = _STEPS.index(step)
        if position <= self._applied:
            raise InvalidInput(f"steps run once and in the order {', '.join(_STEPS)}; {step} came too late")
        self._applied = position
        for metric, by_symbol in fed.items():
            column = np.array([by_symbol.get(symbol, np.nan) for symbol in self._symbols], dtype=np.float64)
            self._metrics[metric] = np.where(np.isfinite(column), column, np.nan)
        steps = self._steps_needed(chain)
        self._relaxed = max(self._relaxed, steps)
        self._settle(chain, steps)
        return [self._symbols[row] for row in np.flatnonzero(self._left)]

    def _steps_needed(self, chain: Sequence[Filter]) -> int:
        """Return the fewest steps of relaxing that leave ``min_symbols``, or as many symbols as can be left at all."""
        most = self._params.max_relax_steps
        counts = [int(self._survivors(chain, steps).sum()) for steps in range(most + 1)]
        return next(steps for steps, count in enumerate(counts) if count >= min(self._params.min_symbols, max(counts)))

    def _survivors(self, chain: Sequence[Filter], steps: int) -> B1:
        left = self._left.copy()
        for each in chain:
            left &= each.passes(self._metrics[each.metric], self._threshold(each, steps)) | self._manual
        return left

    def _threshold(self, each: Filter, steps: int) -> float:
        """Return a filter's threshold after ``steps`` steps; of a quantile, the value that it stands for."""
        threshold = each.relaxed(float(self._floors[each.parameter]), steps, self._params.relax_factor)
        if each is filters.VOLUME_QUANTILE:
            return filters.quantile_of(self._metrics[each.metric][self._left], threshold)
        return threshold

    def _settle(self, chain: Sequence[Filter], steps: int) -> None:
        """Drop for good what the chain drops, each symbol for the first filter that it does not pass."""
        thresholds = {each.name: self._threshold(each, steps) for each in chain}
        for each in chain:
            threshold, values = thresholds[each.name], self._metrics[each.metric]
            drops = self._left & ~self._manual & ~each.passes(values, threshold)
            for row in np.flatnonzero(drops).tolist():
                unknown = np.isnan(values[row])
                reason = f"{each.name}_unknown" if unknown else each.name
                self._dropped[row] = {"reason": reason, "value": _known(values[row]), "threshold": _known(threshold)}
            went_in = int(self._left.sum())
            self._left &= ~drops
            self._funnel.append((each.name, went_in, int(self._left.sum())))
            if np.isfinite(threshold):
                self._in_force[each.name] = threshold

    def _report(self, found: Mapping[int, Mapping[str, Any]]) -> list[MetricResults]:
        measured = [name for name in self._metrics if name in MetricResults.model_fields]
        listed = [
            MetricResults(
                symbol=symbol,
                is_manual=bool(self._manual[row]),
                **{name: _known(self._metrics[name][row]) for name in measured},
                **(self._dropped.get(row) or found[row]),
            )
            for row, symbol in enumerate(self._symbols)
        ]
        return listed + [
            MetricResults(symbol=symbol, is_manual=True, reason="contract", value="not listed", threshold="listed")
            for symbol in self._unlisted
        ]


def _known(value: float) -> float | None:
    """Return a finite value as a plain float, anything else as None."""
    return float(value) if np.isfinite(value) else None


__all__ = ["Prefilter"]
