"""Arithmetic in which NaN stays unknown: means of what is known, ramps, the positive part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aione.panel import F8


def known_mean(terms: Sequence[F8], weights: Sequence[float]) -> F8:
    """Return the weighted mean of the known terms, ``(S,)``; NaN where none is known.

    Parameters
    ----------
    terms : N arrays float64 (S,)
    weights : N floats >= 0
        Not all 0.

    Examples
    --------
    >>> known_mean([np.array([1.0, 1.0, np.nan]), np.array([0.0, np.nan, np.nan])], [1.0, 3.0])
    array([0.25, 1.  ,  nan])
    """
    total, weight = np.zeros_like(terms[0]), np.zeros_like(terms[0])
    for term, share in zip(terms, weights, strict=True):
        known = term == term  # noqa: PLR0124 - NaN alone differs from itself
        total += np.where(known, term, 0.0) * share
        weight += known * share
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / weight


def ramp(x: F8, start: float, end: float) -> F8:
    """Return 0 at ``start``, 1 at ``end``, straight between and flat outside; NaN stays NaN.

    Examples
    --------
    >>> ramp(np.array([0.0, 1.5, 9.0]), 1.0, 2.0)
    array([0. , 0.5, 1. ])
    >>> ramp(np.array([0.0, 1.5, 9.0]), 2.0, 1.0)
    array([1. , 0.5, 0. ])
    """
    return clip01((x - start) / (end - start))


def clip01(x: F8) -> F8:
    """Return ``x`` cut to [0, 1]; NaN stays NaN."""
    return np.minimum(np.maximum(x, 0.0), 1.0)


def clip11(x: F8) -> F8:
    """Return ``x`` cut to [-1, 1]; NaN stays NaN."""
    return np.minimum(np.maximum(x, -1.0), 1.0)


__all__ = ["clip01", "clip11", "known_mean", "ramp"]
