"""Arithmetic in which NaN stays unknown: means of what is known, ramps, the positive part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aione.panel import F8


def known_mean(terms: Sequence[F8], weights: Sequence[float]) -> F8:
    """Return the weighted mean of the known terms; NaN where none is known.

    Parameters
    ----------
    terms : N arrays float64 of one shape
    weights : N floats >= 0
        Not all 0.

    Examples
    --------
    >>> known_mean([np.array([1.0, 1.0, np.nan]), np.array([0.0, np.nan, np.nan])], [1.0, 3.0])
    array([0.25, 1.  ,  nan])
    """
    total = terms[0] * weights[0]
    for term, weight in zip(terms[1:], weights[1:], strict=True):
        total += term * weight
    if not np.isnan(total).any():
        return total / sum(weights)
    values = np.array(terms)
    shares = np.array(weights).reshape(-1, *(1 for _ in terms[0].shape))
    unknown = np.isnan(values)
    values[unknown] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: F8 = (values * shares).sum(axis=0) / np.where(unknown, 0.0, shares).sum(axis=0)
    return mean


def ramp(x: F8, start: float | F8, end: float | F8) -> F8:
    """Return 0 at ``start``, 1 at ``end``, straight between and flat outside; NaN stays NaN.

    Examples
    --------
    >>> ramp(np.array([0.0, 1.5, 9.0]), 1.0, 2.0)
    array([0. , 0.5, 1. ])
    >>> ramp(np.array([0.0, 1.5, 9.0]), 2.0, 1.0)
    array([1. , 0.5, 0. ])
    """
    return clip01((x - start) / (end - start))


def or_zero(x: F8) -> F8:
    """Return ``x >= 0`` with 0 where it is unknown: for a term that may only take away, and takes nothing unknown."""
    return np.fmax(x, 0.0)


def clip01(x: F8) -> F8:
    """Return ``x`` cut to [0, 1]; NaN stays NaN."""
    return np.minimum(np.maximum(x, 0.0), 1.0)


def clip11(x: F8) -> F8:
    """Return ``x`` cut to [-1, 1]; NaN stays NaN."""
    return np.minimum(np.maximum(x, -1.0), 1.0)


__all__ = ["clip01", "clip11", "known_mean", "or_zero", "ramp"]
