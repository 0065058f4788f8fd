"""The table fits every terminal: no line is too long, none is wrapped, the important columns stay."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from aione.ui.layout import fit_columns, render_lines, visible_rows
from aione.ui.signals import SignalLog
from aione.ui.view import ViewOptions, build_view

SIZES = [(60, 20), (80, 24), (100, 30), (120, 40), (160, 45), (200, 50), (240, 60)]


def view_of(market, **options):
    log = SignalLog()
    log.update(market)
    return build_view(market, now_ms=market.meta.ts + 2000, options=ViewOptions(**options), log=log.events)


def printed(lines, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    for line in lines:
        console.print(line)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("locale", ["en", "uk"])
@pytest.mark.parametrize(("width", "height"), [*SIZES, (20, 6), (40, 3), (10, 1)])
def test_nothing_is_wider_or_higher_than_the_screen(market, width, height, locale) -> None:
    """What rich prints is line for line what was laid out: nothing wrapped."""
    lines = render_lines(view_of(market, locale=locale), width, height)
    assert len(lines) == height
    assert all(line.cell_len <= width for line in lines)
    assert [text.rstrip() for text in printed(lines, width)] == [line.plain.rstrip() for line in lines]


@pytest.mark.parametrize("locale", ["en", "uk"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_titles_and_cells_stand_in_the_same_cells(market, width, height, locale) -> None:
    """No number is cut, and every number ends where its title ends."""
    view = view_of(market, locale=locale)
    columns = fit_columns(view, width)
    for column, title, size in columns:
        if column.align == "right":
            widest = max(sum(len(text) for text, _ in row.cells[column.name][0]) for row in view.rows)
            assert size >= max(widest, len(title))
    heading = next(line for line in render_lines(view, width, height) if line.plain.lstrip().startswith(columns[1][1]))
    assert heading.cell_len == width


@pytest.mark.parametrize(
    ("width", "there", "gone"),
    [
        (
            60,
            {"symbol", "price", "change", "recommendation", "confidence", "side"},
            {"rank", "atr", "volume", "scenario"},
        ),
        (80, {"triggers", "side", "confidence"}, {"rank", "atr"}),
        (120, {"triggers", "sl", "trade", "confidence"}, {"rank"}),
        (200, {"rank", "age", "scenario", "rsi", "volume_z", "atr", "sl", "tp", "rr", "trade", "volume"}, set()),
    ],
)
def test_columns_go_by_priority(market, width, there, gone) -> None:
    names = {column.name for column, _, _ in fit_columns(view_of(market), width)}
    assert there <= names
    assert not gone & names


def test_columns_keep_their_order(market) -> None:
    view = view_of(market)
    order = [column.name for column, _ in view.columns]
    for width in range(20, 260, 7):
        names = [column.name for column, _, _ in fit_columns(view, width)]
        assert names == [name for name in order if name in names]


def test_a_wider_screen_never_shows_fewer_of_the_important_columns(market) -> None:
    view = view_of(market)
    important = [column.name for column, _ in view.columns if column.priority >= 90]
    count = [sum(column.name in important for column, _, _ in fit_columns(view, width)) for width in range(30, 179)]
    assert count == sorted(count)


def test_triggers_are_shortened_by_whole_names_with_a_count(market) -> None:
    text = "\n".join(line.plain for line in render_lines(view_of(market), 100, 30))
    assert "breakout↑ · volume↑ +2" in text
    assert "burs…" not in text


def test_the_header_leaves_out_whole_facts_and_begins_with_none_of_their_arrows(market) -> None:
    lines = render_lines(view_of(market), 40, 20)
    assert lines[1].plain.strip() == "alerts 3 ▸ signals 3 ▸ trades 1".replace(" ▸", "  ▸")


def test_rows_that_do_not_fit_are_counted(market) -> None:
    view = view_of(market)
    text = "\n".join(line.plain for line in render_lines(view, 120, 24))
    rows = visible_rows(view, 120, 24)
    assert f"{len(view.rows) - rows} more below" in text
    assert "1 not traded" in text


def test_scrolling_shows_the_rows_below_and_stops_at_the_last(market) -> None:
    view = view_of(market)
    last = view.rows[-1].symbol.removesuffix("USDT")
    assert not any(last in line.plain for line in render_lines(view, 120, 24))
    for scroll in (len(view.rows), 10_000):
        lines = render_lines(view, 120, 24, scroll)
        assert any(last in line.plain for line in lines)
        assert len(lines) == 24


def test_signals_and_story_stand_below_the_table(market) -> None:
    lines = [line.plain for line in render_lines(view_of(market), 160, 45)]
    at = next(number for number, line in enumerate(lines) if "Newest signals" in line)
    assert "SOLUSDT" in lines[at + 1]
    assert "LONG" in lines[at + 1]
    assert any("4.1 times its usual volume" in line for line in lines[at + 2 :])
    assert lines[-1].startswith("q quit")


def test_without_a_height_every_row_is_there(market) -> None:
    view = view_of(market)
    text = "\n".join(line.plain for line in render_lines(view, 160))
    assert all(row.symbol.removesuffix("USDT") in text for row in view.rows)
    assert "quit" not in text
    assert "more below" not in text


def test_an_empty_market_says_so(market) -> None:
    empty = msgspec.structs.replace(market, assets=[])
    lines = [line.plain for line in render_lines(view_of(empty), 100, 20)]
    assert any("no symbol is screened yet" in line for line in lines)
    assert any("No signal yet" in line for line in lines)


def test_warnings_stand_below_the_header_in_one_line_each(market) -> None:
    noisy = msgspec.structs.replace(
        market, meta=msgspec.structs.replace(market.meta, warnings=["two\nlines " + "x" * 300])
    )
    lines = render_lines(view_of(noisy), 80, 24)
    assert lines[2].plain.startswith("! two lines xxx")
    assert lines[2].cell_len == 80
