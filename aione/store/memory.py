"""Keeping a long process small: memory that was needed for a moment goes back to the system.

The allocators keep what was freed, in case it is needed again soon. Archiving a day of 500 symbols needs 300 MB for two
seconds every ten minutes; kept, and scattered over the arenas of several threads, it would be most of what a stream
worker occupies, and would grow for hours.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
"""Parameters of glibc's ``mallopt``."""
MAPPED_FROM_BYTES: Final = 1 << 16
ARENAS: Final = 2


def stay_small() -> None:
    """Let every array be mapped on its own and threads share two arenas, from now on in this process.

    For a process that runs for months; to be called before Arrow is loaded. Does nothing where the C library is not
    glibc.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Let the C library and Arrow return what is free; does nothing where they cannot. Some milliseconds."""
    if "pyarrow" in sys.modules:
        import pyarrow as pa  # noqa: PLC0415  # half a second: only where it is there; another thread may be importing it

        pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


__all__ = ["give_back", "stay_small"]
