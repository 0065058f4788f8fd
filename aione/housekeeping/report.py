"""What a run of the housekeeping says: a page of Markdown, plain facts, metrics, and one line for the run's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aione.housekeeping.sizes import Part
from aione.metrics import Sample

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """The parts with their sizes, what was done by section, and what a person should know."""

    parts: Sequence[Part]
    done: Mapping[str, Mapping[str, Any]]
    warnings: Sequence[str]
    is_dry: bool = False

    @property
    def breaches(self) -> list[str]:
        """Return every bound that does not hold."""
        return [
            f"{part.name} {_text(part)}, the bound is {_mb(part.bound)}" for part in self.parts if not part.is_within
        ]

    @property
    def message(self) -> str:
        """Return the run in one line."""
        said = [*self.breaches, *self.warnings]
        return "; ".join(said) if said else "every part is within its bound"

    def facts(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "dry_run": self.is_dry,
            "parts": [part.row() for part in self.parts],
            "done": {name: dict(values) for name, values in self.done.items()},
            "warnings": [*self.breaches, *self.warnings],
        }

    def samples(self) -> list[Sample]:
        """Return the metrics: bytes and bounds of the parts that are seen, and what was removed or ended."""
        found = []
        for part in self.parts:
            if part.size is not None:
                found.append(Sample("aione_disk_bytes", float(part.size), {"part": part.name}))
            value = part.a_day if part.is_daily else part.size
            if value is not None:
                found.append(Sample("aione_disk_bound_bytes", float(part.bound), {"part": part.name}))
        for what, count in self._counted().items():
            found.append(Sample("aione_housekeeping_total", float(count), {"what": what}))
        return found

    def markdown(self) -> str:
        """Return the page."""
        head = "Dry run: nothing was changed.\n\n" if self.is_dry else ""
        lines = [
            f"{head}| part | size | since the last run | a day | bound | holds |",
            "|---|---:|---:|---:|---:|---|",
            *(_row(part) for part in self.parts),
        ]
        said = [*self.breaches, *self.warnings]
        if said:
            lines += ["", "**Warnings**", "", *(f"- {line}" for line in said)]
        for name, values in self.done.items():
            lines += ["", f"**{name}**", "", *(f"- {key}: {value}" for key, value in values.items() if _says(value))]
        return "\n".join(lines)

    def _counted(self) -> dict[str, int]:
        if self.is_dry:
            return {}
        runs, redis = self.done.get("runs", {}), self.done.get("redis", {})
        counted = {
            "runs_deleted": runs.get("deleted", 0),
            "runs_crashed": runs.get("crashed", 0),
            "runs_cancelled": runs.get("cancelled", 0),
            "stream_entries": sum(redis.get("trimmed", {}).values()) + redis.get("trade_events_removed", 0),
            "logs_rotated": len(self.done.get("files", {}).get("rotated", ())),
        }
        return {what: count for what, count in counted.items() if count}


def _row(part: Part) -> str:
    holds = "not seen" if part.size is None else ("yes" if part.is_within else "**no**")
    bound = f"{_mb(part.bound)} a day" if part.is_daily else _mb(part.bound)
    cells = (part.name, _mb(part.size), _mb(part.since_last, "+"), _mb(part.a_day, "+"), bound, holds)
    return f"| {' | '.join(cells)} |"


def _text(part: Part) -> str:
    return f"grows by {_mb(part.a_day)} a day" if part.is_daily else f"takes {_mb(part.size)}"


def _mb(value: int | None, sign: str = "") -> str:
    """Return bytes as megabytes of 10^6.

    Examples
    --------
    >>> _mb(1_500_000), _mb(None), _mb(-20_000, "+")
    ('1.50 MB', '-', '-0.02 MB')
    """
    return "-" if value is None else f"{value / MEGABYTE:{sign}.2f} MB"


def _says(value: Any) -> bool:
    return value not in (None, 0, "", [], {}, False)


__all__ = ["Report"]
