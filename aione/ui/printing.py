"""One state as a table on paper: to a console, or to a picture."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group

from aione.publish.payload import Snapshot, snapshot_of
from aione.ui.layout import render_lines
from aione.ui.signals import SignalLog
from aione.ui.view import View, ViewOptions, build_view
from config.settings import Settings

PLAIN_WIDTH: Final = 160
"""Of a table that goes where there is no terminal."""


def print_snapshot(
    snapshot: Snapshot | Mapping[str, Any], settings: Settings, console: Console, *, now_ms: int | None = None
) -> None:
    """Print one state as a table of full length; ``now_ms`` defaults to the moment at which it was built.

    Raises
    ------
    InvalidInput
        A decoded snapshot that does not follow the schema.
    """
    state = snapshot if isinstance(snapshot, Snapshot) else snapshot_of(snapshot)
    log = SignalLog()
    log.update(state)
    now_ms = state.meta.ts if now_ms is None else now_ms
    view = build_view(state, now_ms=now_ms, options=ViewOptions.of(settings), log=log.events)
    console.print(render(view, console.width if console.is_terminal else PLAIN_WIDTH))


def render(view: View, width: int, height: int | None = None) -> Group:
    """Return the screen of a view as a rich renderable; of full length without a height."""
    return Group(*render_lines(view, width, height))


def export_svg(view: View, path: Path | str, width: int = 160, height: int | None = None) -> None:
    """Write the screen of a view as an SVG picture that calls nothing out (no web fonts)."""
    console = Console(record=True, width=width, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(render(view, width, height))
    picture = console.export_svg(title="AiOne_t")
    picture = re.sub(r"@font-face\s*\{[^}]*\}\s*|<!--.*?-->", "", picture, flags=re.DOTALL)
    Path(path).write_text(picture, encoding="utf-8")


__all__ = ["PLAIN_WIDTH", "export_svg", "print_snapshot", "render"]
