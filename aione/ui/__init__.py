"""What a person looks at: the view model, the terminal, and the words of both languages."""

from aione.ui.header import LinkState
from aione.ui.printing import export_svg, print_snapshot, render
from aione.ui.terminal import Terminal, run_terminal
from aione.ui.view import View, ViewOptions, build_view

__all__ = [
    "LinkState",
    "Terminal",
    "View",
    "ViewOptions",
    "build_view",
    "export_svg",
    "print_snapshot",
    "render",
    "run_terminal",
]
