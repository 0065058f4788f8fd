"""From the view model to lines of a terminal: which columns stand, how wide, and what a small screen leaves out.

No line is longer than the width and none is wrapped; columns go by priority, then cells take shorter forms.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from aione.ui.cells import Cell, Form, Tone
from aione.ui.header import Segment
from aione.ui.text import word
from aione.ui.view import Column, Row, View

STYLES: Final[dict[Tone, str]] = {
    "": "#c9d1d9",
    "dim": "#6e7681",
    "strong": "bold #f0f6fc",
    "good": "#3fb950",
    "bad": "#f85149",
    "rise": "#5d9e6b",
    "fall": "#b5665f",
    "warn": "bold #e3b341",
    "hot": "bold #ff7b72",
    "cool": "bold #79c0ff",
    "buy": "bold #56d364",
    "sell": "bold #ff7b72",
}
BACKGROUNDS: Final = {"buy": "on #0f2a1a", "sell": "on #33161a", "alert": "on #272115", "normal": "", "dim": ""}
HEADING: Final = "bold #8b949e on #161b22"
HEADING_DIM: Final = "bold #8b949e"
BADGE: Final = "bold #0d1117 on #58a6ff"
RULE: Final = "#30363d"

WIDE: Final = 180
"""From this width on, columns stand two cells apart."""
CORE: Final = 90
"""Columns from this priority on stand in every terminal that is wide enough for their least."""
MAX_SIGNALS: Final = 6
STORY_LINES: Final = 3
UNBOUNDED: Final = 10_000


def render_lines(view: View, width: int, height: int | None = None, scroll: int = 0) -> list[Text]:
    """Return the lines of the whole screen, each at most ``width`` cells, at most ``height`` of them.

    ``scroll`` leaves out that many rows at the top of the table.
    """
    room = UNBOUNDED if height is None else height
    top = _head(view, width, room)
    bottom = _foot(view, width, room - len(top))
    table = _table(view, width, room - len(top) - len(bottom), scroll)
    gap = [Text()] * (room - len(top) - len(table) - len(bottom)) if height is not None else []
    return (top + table + gap + bottom)[:room]


def visible_rows(view: View, width: int, height: int) -> int:
    """Return how many rows of the table the screen shows at once."""
    used = len(_head(view, width, height))
    used += len(_foot(view, width, height - used))
    return max(0, height - used - 2)


# ── Columns ──


def fit_columns(view: View, width: int) -> list[tuple[Column, str, int]]:
    """Choose the columns that stand side by side in ``width`` cells, and how wide each is.

    Numbers get all they need or nothing. Text gets what is enough for it, else its least, else nothing; what is
    left over goes to text by priority. The core columns all come before any of them gets more than its least.
    A column that says nothing in any row stands only where there is room to spare.
    """
    gap = _gap(width)
    wanted = {column.name: _natural(view, column, title) for column, title in view.columns}
    said = {column.name for column, _ in view.columns if any(_is_said(row.cells[column.name]) for row in view.rows)}
    by_priority = [column for column, _ in view.columns]
    by_priority.sort(key=lambda c: (c.name in said or c.priority >= CORE, c.priority), reverse=True)
    widths: dict[str, int] = {}
    left = width

    def place(column: Column, *sizes: int) -> None:
        nonlocal left
        between = gap if widths else 0
        size = next((size for size in sizes if size + between <= left), None)
        if size is not None:
            widths[column.name] = size
            left -= size + between

    def grow(column: Column, size: int) -> None:
        nonlocal left
        more = max(0, min(left, size - widths.get(column.name, size)))
        if more:
            widths[column.name] += more
            left -= more

    core = [column for column in by_priority if column.priority >= CORE]
    for column in core:
        place(column, _sizes(column, wanted[column.name])[-1])
    for column in core:
        grow(column, _sizes(column, wanted[column.name])[0])
    for column in by_priority[len(core) :]:
        place(column, *_sizes(column, wanted[column.name]))
    for column in by_priority:
        grow(column, wanted[column.name])
    return [(column, title, widths[column.name]) for column, title in view.columns if column.name in widths]


def _sizes(column: Column, natural: int) -> tuple[int, int]:
    """Return what is enough for a column and the least it can do with."""
    if column.align == "right":
        return natural, natural
    return min(natural, column.enough), min(natural, column.least)


def _natural(view: View, column: Column, title: str) -> int:
    longest = max((_form_len(row.cells[column.name][0]) for row in view.rows), default=0)
    return max(cell_len(title), min(column.most, max(column.least, longest)))


def _is_said(cell: Cell) -> bool:
    return any(text.strip() for text, _ in cell[0])


def _gap(width: int) -> int:
    return 2 if width >= WIDE else 1


# ── Parts of the screen ──


def _head(view: View, width: int, room: int) -> list[Text]:
    badge = Text().append(" AiOne_t ", BADGE)
    lines = [_segments(view.status, width, "  ", badge)]
    if room >= 6:
        lines.append(_segments(view.funnel, width, "  "))
    if room >= 12:
        lines += [_cut(Text(f"! {' '.join(warning.split())}", STYLES["warn"]), width) for warning in view.warnings[:2]]
    return lines


def _table(view: View, width: int, room: int, scroll: int) -> list[Text]:
    if room <= 0:
        return []
    columns = fit_columns(view, width)
    gap = " " * _gap(width)
    titles = gap.join(_aligned(title, size, column.align) for column, title, size in columns)
    heading = Text(set_cell_size(titles, width), HEADING)
    if not view.rows:
        return [heading, _cut(Text(f"  {view.empty_note}", STYLES["dim"]), width)][:room]
    notes = _left_out(view, 0)
    count = room - 1
    if len(view.rows) > count or notes:
        count = max(0, room - 2)
    start = max(0, min(scroll, len(view.rows) - count))
    shown = view.rows[start : start + count]
    lines = [heading, *(_row(row, columns, gap, width) for row in shown)]
    note = _left_out(view, len(view.rows) - start - len(shown))
    if note and len(lines) < room:
        lines.append(_cut(Text(f"  {note}", STYLES["dim"]), width))
    return lines


def _row(row: Row, columns: Sequence[tuple[Column, str, int]], gap: str, width: int) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for number, (column, _, size) in enumerate(columns):
        if number:
            line.append(gap)
        line.append_text(_cell(row.cells[column.name], size, column.align, is_dim=row.kind == "dim"))
    line.append(" " * max(0, width - line.cell_len))
    if BACKGROUNDS[row.kind]:
        line.stylize_before(BACKGROUNDS[row.kind])
    return line


def _left_out(view: View, below: int) -> str:
    notes = [f"{count} {word(f'hidden.{state}', view.locale)}" for state, count in sorted(view.hidden.items()) if count]
    if below > 0:
        notes.insert(0, f"{below} {word('more_rows', view.locale)}")
    return "   ".join(notes)


def _foot(view: View, width: int, room: int) -> list[Text]:
    """Return the newest signals, the story of the top alert and the keys, as far as two fifths of the room allow."""
    budget = 2 * room // 5 if room < UNBOUNDED // 2 else 2 + MAX_SIGNALS + STORY_LINES
    keys = (
        [_cut(Text(word("keys", view.locale), STYLES["dim"]), width)] if budget >= 1 and room < UNBOUNDED // 2 else []
    )
    budget -= len(keys)
    if budget < 2:
        return keys
    title = f" {word('newest_signals', view.locale)} "
    rule = Text("──", RULE).append(title, HEADING_DIM).append("─" * max(0, width - 2 - cell_len(title)))
    lines = [_cut(rule, width)]
    story = _story(view, width)[: min(STORY_LINES, max(0, (budget - 1) // 2))]
    signals = _signals(view, width)[: min(MAX_SIGNALS, budget - 1 - len(story))]
    return [*lines, *signals, *story, *keys]


def _signals(view: View, width: int) -> list[Text]:
    if not view.signals:
        return [_cut(Text(f"  {word('no_signals', view.locale)}", STYLES["dim"]), width)]
    shown = view.signals[:MAX_SIGNALS]
    sizes = [max(_form_len(forms[at]) for forms in shown) for at in range(len(shown[0]))]
    while len(sizes) > 2 and sum(sizes) + 2 * len(sizes) > width:
        sizes.pop()
    lines = []
    for forms in shown:
        line = Text()
        for form, size in zip(forms, sizes, strict=False):
            line.append("  ").append_text(_cell((form,), size, "left"))
        lines.append(_cut(line, width))
    return lines


def _story(view: View, width: int) -> list[Text]:
    if view.story is None:
        return []
    symbol, text = view.story
    first = f"  {symbol} "
    wrapped = textwrap.wrap(
        " ".join(text.split()).removeprefix(symbol).lstrip(" :"),
        max(20, width - 1),
        initial_indent=first,
        subsequent_indent="  ",
        max_lines=STORY_LINES,
        placeholder=" …",
    )
    lines = [_cut(Text(line, STYLES[""]), width) for line in wrapped]
    lines[0].stylize(STYLES["strong"], 0, len(first))
    return lines


# ── Pieces ──


def _segments(segments: Sequence[Segment], width: int, gap: str, badge: Text | None = None) -> Text:
    """Join what fits, leaving out the lowest priorities first."""
    start = badge.cell_len if badge else 0
    kept = list(segments)
    while len(kept) > 1 and start + sum(len(gap) + len(s.joiner) + _form_len(s.pieces) for s in kept) > width:
        kept.remove(min(kept, key=lambda segment: segment.priority))
    line = badge.copy() if badge else Text()
    for number, segment in enumerate(kept):
        line.append(gap if number or badge else " ")
        if number:
            line.append(segment.joiner, STYLES["dim"])
        for text, tone in segment.pieces:
            line.append(text, STYLES[tone])
    return _cut(line, width)


def _cell(cell: Cell, size: int, align: str, *, is_dim: bool = False) -> Text:
    form = next((form for form in cell if _form_len(form) <= size), cell[-1])
    line = Text()
    for text, tone in form:
        line.append(text, STYLES["dim" if is_dim else tone])
    if line.cell_len > size:
        line.truncate(size, overflow="ellipsis")
    space = " " * (size - line.cell_len)
    return line.append(space) if align == "left" else Text(space).append_text(line)


def _aligned(title: str, size: int, align: str) -> str:
    cut = set_cell_size(title, min(size, cell_len(title)))
    space = " " * (size - cell_len(cut))
    return cut + space if align == "left" else space + cut


def _cut(line: Text, width: int) -> Text:
    if line.cell_len > width:
        line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def _form_len(form: Form) -> int:
    return sum(len(text) if text.isascii() else cell_len(text) for text, _ in form)


__all__ = ["STYLES", "fit_columns", "render_lines", "visible_rows"]
