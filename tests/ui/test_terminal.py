"""The terminal follows a real Redis, shows start-up, obeys its keys and degrades to lines."""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from aione.errors import InvalidInput, ServiceUnavailable
from aione.publish.publisher import Publisher
from aione.store import keys
from aione.ui.keyboard import keyboard
from aione.ui.plain import cycle_line
from aione.ui.signals import SignalLog
from aione.ui.terminal import Terminal, export_svg, print_snapshot, run_terminal
from aione.ui.view import build_view
from config.settings import load_settings

SETTINGS = load_settings(environ={})


def screen(width: int = 120, height: int = 40) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None, _environ={})


def pipe() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=False)


def said(terminal: Terminal) -> str:
    return terminal.console.file.getvalue()


def painted(terminal: Terminal) -> str:
    console = Console(file=io.StringIO(), width=terminal.console.width, color_system=None)
    console.print(terminal.frame())
    return console.file.getvalue()


async def publish(redis, market, minute: int = 0) -> None:
    await Publisher(redis, SETTINGS).publish(
        market.assets,
        msgspec.structs.replace(market.counters, cycle=minute),
        ts_ms=market.meta.ts + 60_000 * minute,
        bar_time_ms=market.meta.bar_time_ms + 60_000 * minute,
        source="screening",
    )


async def until(holds) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # what is waited for is text on a screen
            await asyncio.sleep(0.02)


async def test_it_shows_start_up_then_the_market_then_updates(redis, redis_url, market) -> None:
    terminal, stop = Terminal(SETTINGS, screen()), asyncio.Event()
    terminal.status = "starting Prefect"
    await redis.hset(keys.progress(), mapping={"step": "ETHUSDT", "done": 120, "total": 512})
    running = asyncio.create_task(run_terminal(redis_url, SETTINGS, stop=stop, terminal=terminal))
    await until(lambda: "120 / 512" in said(terminal))
    assert "starting Prefect · loading history ETHUSDT" in said(terminal)
    await publish(redis, market)
    await until(lambda: "screened 40" in said(terminal))
    assert "SOL" in said(terminal)
    await publish(redis, market, minute=1)
    await until(lambda: "seq 2" in said(terminal))
    stop.set()
    await asyncio.wait_for(running, 5)
    assert said(terminal).endswith("\x1b[?1049l\x1b[?25h") or "\x1b[?1049l" in said(terminal)[-40:]


async def test_without_a_terminal_each_cycle_is_one_line(redis, redis_url, market) -> None:
    terminal, stop = Terminal(SETTINGS, pipe()), asyncio.Event()
    running = asyncio.create_task(run_terminal(redis_url, SETTINGS, stop=stop, terminal=terminal))
    await until(lambda: "waiting for the first snapshot" in said(terminal))
    for minute in range(3):
        await publish(redis, market, minute)
        await until(lambda minute=minute: f"seq {minute + 1}" in said(terminal))
    stop.set()
    await asyncio.wait_for(running, 5)
    lines = said(terminal).splitlines()
    assert len(lines) == 4
    assert "\x1b" not in said(terminal)
    assert "universe 512  screened 40  alerts 3" in lines[1]
    assert lines[1].endswith("▲ SOLUSDT LONG 78%, ▼ WIFUSDT SHORT 66%, ▼ 1000PEPEUSDT SHORT 44%")
    assert "SOLUSDT" not in lines[2]


async def test_once_prints_the_whole_table_and_ends(redis, redis_url, market) -> None:
    await publish(redis, market)
    terminal = Terminal(SETTINGS, pipe())
    await asyncio.wait_for(run_terminal(redis_url, SETTINGS, once=True, terminal=terminal), 5)
    assert all(a.symbol.removesuffix("USDT") in said(terminal) for a in market.assets if a.state != "no_trade")


async def test_once_can_be_stopped_while_it_waits(redis, redis_url) -> None:
    del redis
    terminal, stop = Terminal(SETTINGS, pipe()), asyncio.Event()
    running = asyncio.create_task(run_terminal(redis_url, SETTINGS, once=True, stop=stop, terminal=terminal))
    await asyncio.sleep(0.2)
    stop.set()
    await asyncio.wait_for(running, 5)
    assert not said(terminal)


async def test_a_cancelled_terminal_is_left_as_it_was(redis, redis_url, market) -> None:
    await publish(redis, market)
    terminal = Terminal(SETTINGS, screen())
    running = asyncio.create_task(run_terminal(redis_url, SETTINGS, terminal=terminal))
    await until(lambda: "screened 40" in said(terminal))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "\x1b[?1049l" in said(terminal)[-40:]


async def test_no_redis_is_one_clear_error() -> None:
    with pytest.raises(ServiceUnavailable, match=r"redis://127\.0\.0\.1:1/0 does not answer"):
        await run_terminal("redis://127.0.0.1:1/0", SETTINGS, terminal=Terminal(SETTINGS, pipe()))


async def test_keys_quit_change_language_filter_and_scroll(market) -> None:
    terminal, stop = Terminal(SETTINGS, screen(120, 24)), asyncio.Event()
    terminal.update(market)
    assert "LIVE" in painted(terminal) or "NO UPDATE" in painted(terminal)
    first = painted(terminal)
    terminal._press("down", stop)
    assert "SOL" not in painted(terminal).split("Newest")[0]
    terminal._press("home", stop)
    assert painted(terminal) == first
    terminal._press("a", stop)
    assert "COIN4" not in painted(terminal)
    terminal._press("l", stop)
    assert "Символ" in painted(terminal)
    terminal._press("", stop)
    assert not stop.is_set()
    terminal._press("q", stop)
    assert stop.is_set()


async def test_a_key_of_a_real_terminal_arrives_and_its_mode_is_restored(monkeypatch) -> None:
    import termios  # noqa: PLC0415  # not on every platform

    master, slave = os.openpty()
    pressed: list[str] = []
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        before = termios.tcgetattr(slave)
        with keyboard(pressed.append):
            assert termios.tcgetattr(slave) != before
            os.write(master, b"q")
            await until(lambda: pressed)
            os.write(master, b"\x1b[B")
            await until(lambda: len(pressed) == 2)
        assert termios.tcgetattr(slave) == before
    os.close(master)
    assert pressed == ["q", "down"]


def test_the_picture_is_well_formed_and_calls_nothing_out(market, tmp_path) -> None:
    log = SignalLog()
    log.update(market)
    view = build_view(market, now_ms=market.meta.ts, log=log.events)
    export_svg(view, tmp_path / "table.svg", width=140, height=40)
    picture = (tmp_path / "table.svg").read_text(encoding="utf-8")
    assert ET.fromstring(picture).tag.endswith("svg")
    assert "SOL" in picture
    addresses = set(re.findall(r"https?://[^\s\"')]+", picture))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in picture


def test_a_decoded_snapshot_can_be_printed_at_its_own_time(market) -> None:
    console = pipe()
    print_snapshot(msgspec.to_builtins(market), SETTINGS, console)
    assert "● LIVE" in console.file.getvalue()
    with pytest.raises(InvalidInput, match="schema"):
        print_snapshot({"type": "delta"}, SETTINGS, console)


def test_the_line_of_a_bad_cycle_says_what_is_wrong(market) -> None:
    bad = msgspec.structs.replace(
        market,
        meta=msgspec.structs.replace(market.meta, stale=True, warnings=["clock offset 2 s"]),
        counters=msgspec.structs.replace(market.counters, missing_bars=3),
    )
    line = cycle_line(bad, (), "uk")
    assert line.endswith("бракує барів 3  ЗАСТАРІЛІ ДАНІ  clock offset 2 s")
