"""Events that a Prefect server has put aside: it tried them in vain and never looks at them again."""

from __future__ import annotations

import time
from pathlib import Path

from aione.errors import ServiceUnavailable


def forget_put_aside(directory: Path, older_than_s: float, *, is_dry: bool = False) -> int:
    """Delete the files of a directory that were last written so long ago; return how many there were.

    Raises
    ------
    ServiceUnavailable
        The disk refuses.
    """
    before = time.time() - older_than_s
    try:
        old = [path for path in directory.glob("*") if path.is_file() and path.stat().st_mtime < before]
        for path in [] if is_dry else old:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ServiceUnavailable(f"events put aside in {directory} cannot be deleted: {error}") from error
    return len(old)


__all__ = ["forget_put_aside"]
