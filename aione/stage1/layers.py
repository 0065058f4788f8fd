"""One layer of thresholds: some thresholds of some symbols, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from aione.errors import ConfigError, InvalidInput
from aione.panel import F8
from config.models import TriggerThresholds

NAMES: Final[tuple[str, ...]] = tuple(TriggerThresholds.model_fields)
COLUMN: Final[Mapping[str, int]] = {name: column for column, name in enumerate(NAMES)}

Layer = Mapping[str, Mapping[str, float | tuple[float, str]]]
"""Symbol -> threshold -> value, or ``(value, label)`` where a value has a source of its own (``rules:calm_night``)."""


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A layer as columns: what computes thresholds for hundreds of symbols hands over this instead of a `Layer`.

    Attributes
    ----------
    symbols : tuple of str, length S
    values : float64 (K, S)
        One row a threshold, in the order of `NAMES`; NaN where the layer says nothing.
    sources : int16 (K, S)
        Index into ``labels`` of who set each value; anything where there is none.
    labels : tuple of str

    Raises
    ------
    InvalidInput
        A shape is not ``(K, S)``.

    Examples
    --------
    >>> layer = DenseLayer.of(("AUSDT", "BUSDT"), {"BUSDT": {"volume_z": (3.0, "rules:night")}}, "rules")
    >>> layer.values[COLUMN["volume_z"]], layer.labels
    (array([nan,  3.]), ('rules', 'rules:night'))
    """

    symbols: tuple[str, ...]
    values: F8
    sources: NDArray[np.int16]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (len(NAMES), len(self.symbols))
        for name, column in (("values", self.values), ("sources", self.sources)):
            if column.shape != shape:
                raise InvalidInput(f"{name} of a layer must have shape {shape}, was {column.shape}")

    @classmethod
    def of(cls, symbols: tuple[str, ...], wanted: Layer, label: str) -> Self:
        """Lay out a mapping for ``symbols``; others are left out. ``label`` is of values that bring none.

        Raises
        ------
        ConfigError
            An unknown threshold, or a value that is no finite number.
        """
        row_of = {symbol: row for row, symbol in enumerate(symbols)}
        number_of = {label: 0}
        found: list[tuple[int, int, float, int]] = []
        for symbol, thresholds in wanted.items():
            row = row_of.get(symbol)
            for name, told in thresholds.items():
                value, source = told if isinstance(told, tuple) else (told, label)
                column = _column(name, value, f"layer {label}: {symbol}")
                if row is not None:
                    found.append((column, row, value, number_of.setdefault(source, len(number_of))))
        values = np.full((len(NAMES), len(symbols)), np.nan)
        sources = np.zeros(values.shape, dtype=np.int16)
        if found:
            columns, rows, told_values, numbers = zip(*found, strict=True)
            values[columns, rows], sources[columns, rows] = told_values, numbers
        return cls(symbols, values, sources, tuple(number_of))


def check_bounds(values: F8, symbols: tuple[str, ...], where: str) -> None:
    """Raise a `ConfigError`, which begins with ``where``, for a value (K, S) out of its bounds; NaN is no value."""
    wrong = (values < LEAST) | (values > MOST)
    if wrong.any():
        column, row = (int(place[0]) for place in np.nonzero(wrong))
        bounds = " and ".join(_bounds(NAMES[column])) or "finite"
        raise ConfigError(f"{where}: {symbols[row]}.{NAMES[column]} must be {bounds}, was {values[column, row]}")


def check_override(wanted: Mapping[str, float], where: str) -> None:
    """Refuse unknown thresholds and values out of bounds in what is meant for every symbol."""
    for name, value in wanted.items():
        only = np.full((len(NAMES), 1), np.nan)
        only[_column(name, value, where)] = value
        check_bounds(only, ("every symbol",), where)


def _column(name: str, value: object, where: str) -> int:
    column = COLUMN.get(name)
    if column is None:
        raise ConfigError(f"{where}: unknown threshold {name}, expected one of {', '.join(NAMES)}")
    if not isinstance(value, Real) or not isfinite(value):
        raise ConfigError(f"{where}.{name}: must be a finite number, was {value!r}")
    return column


def _limit(name: str, closed: str, opened: str, inwards: float) -> float:
    """Return the outermost allowed value of a threshold on one side."""
    known = _edges(name)
    if closed in known:
        return known[closed]
    return float(np.nextafter(known[opened], inwards)) if opened in known else -inwards


def _edges(name: str) -> dict[str, float]:
    """Return a threshold's bounds as its field declares them, ``{"gt": 0.0}``."""
    declared = TriggerThresholds.model_fields[name].metadata
    return {kind: float(getattr(bound, kind)) for bound in declared for kind in _WORDS if hasattr(bound, kind)}


def _bounds(name: str) -> list[str]:
    return [f"{_WORDS[kind]} {edge:g}" for kind, edge in _edges(name).items()]


_WORDS: Final = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_HUGE: Final = float(np.finfo(np.float64).max)
LEAST: Final[F8] = np.array([[_limit(name, "ge", "gt", _HUGE)] for name in NAMES])
MOST: Final[F8] = np.array([[_limit(name, "le", "lt", -_HUGE)] for name in NAMES])
"""Outermost allowed values of the thresholds, float64 (K, 1)."""

__all__ = ["COLUMN", "LEAST", "MOST", "NAMES", "DenseLayer", "Layer", "check_bounds", "check_override"]
