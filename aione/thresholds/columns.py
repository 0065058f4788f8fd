"""Columns of a state: one value a symbol, made to fit other symbols, and written as text."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 1
"""Of compression: columns repeat themselves, so the fastest level finds nearly all."""


def carried(column: NDArray[Any], origin: NDArray[np.intp], blank: float) -> NDArray[Any]:
    """Return a column whose last axis is of other symbols; ``origin`` says where each stood, -1 nowhere.

    Examples
    --------
    >>> carried(np.array([1.0, 2.0]), np.array([1, -1]), np.nan)
    array([ 2., nan])
    """
    if not column.shape[-1]:
        return np.full((*column.shape[:-1], len(origin)), blank, dtype=column.dtype)
    moved: NDArray[Any] = np.where(origin >= 0, column[..., origin], np.asarray(blank, dtype=column.dtype))
    return moved


def packed(column: NDArray[Any]) -> str:
    """Return a column as text: base64 of its compressed little-endian bytes.

    Examples
    --------
    >>> unpacked(packed(np.array([1.0, np.nan])), "<f8")
    array([ 1., nan])
    """
    return b64encode(zlib.compress(np.ascontiguousarray(column).tobytes(), LEVEL)).decode()


def unpacked(text: str, dtype: str) -> NDArray[Any]:
    """Read back what `packed` wrote, flat.

    Raises
    ------
    ValueError
        The text is no column of this type.
    """
    try:
        return np.frombuffer(zlib.decompress(b64decode(text, validate=True)), dtype=dtype).copy()
    except zlib.error as error:
        raise ValueError(f"no column: {error}") from error


__all__ = ["carried", "packed", "unpacked"]
