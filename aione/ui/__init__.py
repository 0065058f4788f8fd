"""What a person looks at: the view model, the terminal, and the words of both languages."""

from aione.ui.terminal import Terminal, export_svg, render, run_terminal
from aione.ui.view import LinkState, View, ViewOptions, build_view

__all__ = ["LinkState", "Terminal", "View", "ViewOptions", "build_view", "export_svg", "render", "run_terminal"]
