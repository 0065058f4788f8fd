"""Giving memory back to the system after work that needed much of it for a moment.

The allocators keep what was freed, in case it is needed again soon. Archiving a day of 500 symbols needs 150 MB for two
seconds every ten minutes; kept, it would be most of what a stream worker occupies.
"""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Let the C library and Arrow return what is free; does nothing where they cannot. Some milliseconds."""
    if "pyarrow" in sys.modules:
        import pyarrow as pa  # noqa: PLC0415  # half a second: only where it is there; another thread may be importing it

        pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)


__all__ = ["give_back"]
