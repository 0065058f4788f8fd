"""What a refresh of the screened universe found: who is in, in which order, and why each of the others is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from aione.errors import InvalidInput
from config.models import MetricResults


@dataclass(frozen=True, slots=True)
class PrefilterResult:
    """The outcome of one prefilter chain.

    Attributes
    ----------
    symbols : tuple of str
        The screened symbols, best rank first.
    metrics : list of MetricResults
        One for every contract that went in, in their order, then one for each manual symbol that the exchange does
        not list. A dropped one carries ``reason`` (the filter, or ``<filter>_unknown``), ``value``, ``threshold``.
    funnel : list of (filter, went in, came out)
        In the order in which the filters ran; the last is ``rank`` where the chain had to be tightened.
    floors : mapping filter -> float
        The thresholds in force after relaxing.
    relaxed : int
        Most steps that any floor was relaxed by, because fewer than ``min_symbols`` passed.
    tightened : int
        Steps of the rank quantile, because more than ``max_symbols`` passed.
    quantile : float
        The rank quantile below which symbols were dropped; 0 when not tightened.
    now_ms : int
        The moment the refresh was made for.
    """

    symbols: tuple[str, ...]
    metrics: list[MetricResults]
    funnel: list[tuple[str, int, int]]
    floors: Mapping[str, float]
    relaxed: int
    tightened: int
    quantile: float
    now_ms: int

    def reasons(self) -> dict[str, int]:
        """Return reason -> how many symbols it dropped, most first."""
        counts: dict[str, int] = {}
        for metric in self.metrics:
            if metric.reason is not None:
                counts[metric.reason] = counts.get(metric.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able values."""
        return {
            "symbols": list(self.symbols),
            "metrics": [metric.model_dump() for metric in self.metrics],
            "funnel": [list(step) for step in self.funnel],
            "floors": dict(self.floors),
            "relaxed": self.relaxed,
            "tightened": self.tightened,
            "quantile": self.quantile,
            "now_ms": self.now_ms,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a result from `to_dict`; `InvalidInput` names what is wrong with it."""
        strange = values.keys() ^ set(cls.__slots__)
        if strange:
            raise InvalidInput(f"a prefilter result holds {', '.join(cls.__slots__)}; wrong or missing: {min(strange)}")
        try:
            metrics = [MetricResults.model_validate(metric) for metric in values["metrics"]]
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInput(f"metrics: {first['loc']}: {first['msg']}, was {first['input']!r}") from error
        funnel = [(str(name), int(went_in), int(came_out)) for name, went_in, came_out in values["funnel"]]
        return cls(**{**values, "symbols": tuple(values["symbols"]), "metrics": metrics, "funnel": funnel})


__all__ = ["PrefilterResult"]
