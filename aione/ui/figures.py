"""Numbers as a person reads them; None is an en dash. Percent begins here: everything inside is fractions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

UNKNOWN: Final = "–"


def compact(value: float | None) -> str:
    """Write a large number with three or four digits.

    Examples
    --------
    >>> compact(1_234_567_890.0), compact(56_789.0), compact(999_960.0), compact(12.34), compact(None)
    ('1.23B', '56.8K', '1.00M', '12.3', '–')
    """
    if value is None:
        return UNKNOWN
    for size, suffix in ((1.0, ""), (1e3, "K"), (1e6, "M"), (1e9, "B"), (1e12, "T")):
        scaled = value / size
        if abs(scaled) < 999.5 or suffix == "T":
            decimals = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{decimals}f}{suffix}"
    raise AssertionError  # the last suffix takes every size


def percent(frac: float | None, decimals: int = 2, *, sign: bool = False) -> str:
    """Write a fraction as percent, without the sign of percent.

    Examples
    --------
    >>> percent(0.0123, sign=True), percent(-0.5, 1), percent(None)
    ('+1.23', '-50.0', '–')
    """
    if frac is None:
        return UNKNOWN
    return decimal(100 * frac, decimals, sign=sign)


def decimal(value: float | None, decimals: int = 1, *, sign: bool = False) -> str:
    """Write a number with a fixed count of decimals; what rounds to nothing has no minus.

    Examples
    --------
    >>> decimal(-0.004, 2), decimal(0.25, 2, sign=True)
    ('0.00', '+0.25')
    """
    if value is None:
        return UNKNOWN
    rounded = round(value, decimals) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{decimals}f}"


def like(price: float | None, pattern: str | None) -> str:
    """Write a price with as many decimals as another price's text has.

    Examples
    --------
    >>> like(1.5, "0.2300"), like(None, "1"), like(1234.5, None)
    ('1.5000', '–', '1234.5')
    """
    if price is None:
        return UNKNOWN
    if pattern is None:
        return f"{price:.10g}"
    return f"{price:.{len(pattern.partition('.')[2])}f}"


def duration(ms: float | None) -> str:
    """Write how long something took or has lasted, in its largest unit.

    Examples
    --------
    >>> duration(950), duration(61_000), duration(7_300_000), duration(200_000_000), duration(-5)
    ('0s', '1m', '2h', '2d', '0s')
    """
    if ms is None:
        return UNKNOWN
    seconds = max(0, int(ms // 1000))
    for size, suffix in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{suffix}"
    return f"{seconds}s"


def clock(ms: int, *, seconds: bool = False) -> str:
    """Write the UTC time of day.

    Examples
    --------
    >>> clock(1_747_742_461_000), clock(1_747_742_461_000, seconds=True)
    ('12:01', '12:01:01')
    """
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%H:%M:%S" if seconds else "%H:%M")


def meter(share: float | None, width: int) -> str:
    """Draw a share in [0, 1] as a line of ``width`` cells, half a cell fine.

    Examples
    --------
    >>> meter(0.5, 4), meter(0.4, 4), meter(1.7, 2), meter(None, 3)
    ('━━  ', '━╸  ', '━━', '   ')
    """
    if share is None:
        return " " * width
    whole, half = divmod(round(min(1.0, max(0.0, share)) * width * 2), 2)
    return ("━" * whole + "╸" * half).ljust(width)


__all__ = ["UNKNOWN", "clock", "compact", "decimal", "duration", "like", "meter", "percent"]
