"""Two runs side by side: which values are not the same, and how many were looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from aione.errors import InvalidInput
from aione.evaluate.said import Column
from aione.panel import B1

SHOWN: Final = 50
"""Differences that are kept with both values; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what it has to be.

    Attributes
    ----------
    check : str
        Which comparison found it.
    kind, name : str
        As in `aione.evaluate.said.Column`.
    symbol : str
        ``*`` for what is one value for all symbols.
    open_time_ms : int
        The bar at which it was said.
    expected, found : plain values
        Without the future, and with it.
    """

    check: str
    kind: str
    name: str
    symbol: str
    open_time_ms: int
    expected: Any
    found: Any


@dataclass(slots=True)
class Tally:
    """What one check has compared so far.

    Attributes
    ----------
    values : counter kind -> int
        Values compared.
    known : counter kind -> int
        Of these, such as were not NaN in the reference.
    differences : int
    shown : list of Difference
        The first `SHOWN`.
    """

    check: str
    values: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    differences: int = 0
    shown: list[Difference] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another part of the same check has found."""
        self.values.update(other.values)
        self.known.update(other.known)
        self.differences += other.differences
        self.shown.extend(other.shown[: SHOWN - len(self.shown)])

    def count(self, kind: str, reference: np.ndarray) -> None:
        """Count the values of a reference as compared."""
        self.values[kind] += reference.size
        self.known[kind] += reference.size - int(np.count_nonzero(unknown(reference)))

    def note(
        self,
        column: Column,
        found: np.ndarray,
        wrong: B1,
        symbols: Sequence[str],
        open_time_ms: int,
    ) -> None:
        """Keep where ``wrong`` holds, as many as there is room for."""
        self.differences += int(np.count_nonzero(wrong))
        for place in np.argwhere(wrong)[: SHOWN - len(self.shown)]:
            at = tuple(place.tolist())
            self.shown.append(
                Difference(
                    self.check,
                    column.kind,
                    f"{column.name}{list(at[1:])}" if len(at) > 1 else column.name,
                    symbols[at[0]] if at else "*",
                    open_time_ms,
                    column.values[at].item(),
                    found[at].item(),
                )
            )


def compare(
    tally: Tally, expected: Sequence[Column], found: Sequence[Column], symbols: Sequence[str], open_time_ms: int
) -> None:
    """Lay two lists of columns side by side, byte by byte; NaN is the same as NaN. Counts differences, not values.

    Raises
    ------
    InvalidInput
        The two do not hold the same columns: they come from different configurations.
    """
    if [column[:2] for column in expected] != [column[:2] for column in found]:
        strange = {column[:2] for column in expected} ^ {column[:2] for column in found}
        raise InvalidInput(f"{tally.check}: the two runs must say the same things, but only one said {sorted(strange)}")
    for one, other in zip(expected, found, strict=True):
        wrong = not_same(one.values, other.values)
        if wrong is not None:
            tally.note(one, other.values, wrong, symbols, open_time_ms)


def not_same(expected: np.ndarray, found: np.ndarray) -> B1 | None:
    """Return where two arrays differ in a byte, NaN and NaN apart; None where nowhere.

    Examples
    --------
    >>> not_same(np.array([1.0, np.nan, 0.0]), np.array([1.0, np.nan, -0.0]))
    array([False, False,  True])
    >>> not_same(np.array([1, 2]), np.array([1, 2])) is None
    True
    """
    if expected.shape != found.shape:
        return np.ones(expected.shape, dtype=np.bool_)
    if expected.dtype == found.dtype and expected.tobytes() == found.tobytes():
        return None
    wrong: B1 = np.asarray(expected != found)
    if expected.dtype.kind == "f" == found.dtype.kind:
        signs = np.signbit(expected) != np.signbit(found)
        wrong = (wrong | signs) & ~(np.isnan(expected) & np.isnan(found))
    return wrong if wrong.any() else None


def unknown(values: np.ndarray) -> B1:
    """Return where a value is not known; only floats can be unknown."""
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=np.bool_)


__all__ = ["SHOWN", "Difference", "Tally", "compare", "not_same", "unknown"]
