"""Single keys of a terminal, while it is asked for them; the terminal is left as it was."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

ESCAPES: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[5~": "page_up",
    b"\x1b[6~": "page_down",
    b"\x1b[H": "home",
}


def key_of(data: bytes) -> str:
    r"""Return the name of the key that sent ``data``; an unknown one is empty.

    Examples
    --------
    >>> key_of(b"Q"), key_of(b"\x1b[A"), key_of(b"\x1b[Z")
    ('q', 'up', '')
    """
    if data in ESCAPES:
        return ESCAPES[data]
    return data.decode(errors="ignore").lower() if len(data) == 1 and data.isalnum() else ""


@contextmanager
def keyboard(press: Callable[[str], None]) -> Iterator[None]:
    """Call ``press`` with the name of every key; without a terminal at stdin nothing is read.

    Needs a running event loop. Ctrl-C remains the signal that it is.
    """
    if not sys.stdin.isatty():
        yield
        return
    import termios  # noqa: PLC0415 - there is none on Windows, where stdin is not read this way
    import tty  # noqa: PLC0415

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, lambda: press(key_of(os.read(descriptor, 16))))
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


__all__ = ["key_of", "keyboard"]
