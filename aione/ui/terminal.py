"""The live table of the market in a terminal, and one line a cycle where there is none.

`Terminal` shows; it can be shown before there is anything to follow, so that a supervisor in the same process says
what it is starting: ``terminal.status = "starting Prefect"``. `run_terminal` is all of it against one Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from aione.publish.follower import Follower
from aione.publish.payload import Snapshot
from aione.store import keys
from aione.store.connect import connect
from aione.ui.figures import clock, meter
from aione.ui.header import LinkState
from aione.ui.keyboard import keyboard
from aione.ui.layout import BADGE, STYLES, render_lines, visible_rows
from aione.ui.plain import cycle_line
from aione.ui.printing import export_svg, print_snapshot, render
from aione.ui.signals import SignalLog
from aione.ui.text import word
from aione.ui.view import View, ViewOptions, build_view
from config.settings import Settings

POLL_S: Final = 0.5
REPAINT_S: Final = 2.0
"""A new state or a key repaints at once; this is for the ages and the lag between them."""
SPIN_S: Final = 0.1


class Terminal:
    """What is on the screen: the last state, what is being started, and what a person chose.

    Parameters
    ----------
    settings : Settings
        ``UI_LOCALE`` and ``UI_COLUMN_VOLUME`` are the first choices.
    console : rich.console.Console, optional

    Attributes
    ----------
    status : str
        What is going on until the first snapshot is there; set it at any time.
    snapshot : Snapshot or None
        The state that is shown.
    """

    def __init__(self, settings: Settings, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.status = ""
        self.snapshot: Snapshot | None = None
        self._settings = settings
        self._options = ViewOptions.of(settings)
        self._log = SignalLog()
        self._previous_price: dict[str, float | None] = {}
        self._follower: Follower | None = None
        self._progress: tuple[str, int, int] | None = None
        self._scroll = 0
        self._changed = asyncio.Event()
        self._spinner = Spinner("dots", style=STYLES["cool"])

    # ── State ──

    def update(self, snapshot: Snapshot) -> None:
        """Show this state from now on."""
        if self.snapshot is not None:
            self._previous_price = {asset.symbol: asset.price for asset in self.snapshot.assets}
        self.snapshot = snapshot
        fresh = self._log.update(snapshot)
        if not self.console.is_terminal:
            self._say(cycle_line(snapshot, fresh, self._options.locale))
        self._changed.set()

    async def follow(self, redis: Redis) -> None:
        """Take every state that is published, until cancelled."""
        self._follower = Follower(redis, self._settings)
        watch = asyncio.create_task(self._watch_progress(redis))
        try:
            async for snapshot in self._follower:
                self.update(snapshot)
        finally:
            watch.cancel()

    async def _watch_progress(self, redis: Redis) -> None:
        """Read how far the first preload is, until there is a state to show."""
        while self.snapshot is None:
            try:
                read = cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.progress()))
                self._progress = _progress_of(await read)
            except (RedisError, OSError):
                self._progress = None  # the follower says that Redis is away
            await asyncio.sleep(POLL_S)

    def view(self, now_ms: int | None = None) -> View | None:
        """Return the view model of the state that is shown; None before there is one."""
        if self.snapshot is None:
            return None
        follower = self._follower
        return build_view(
            self.snapshot,
            now_ms=_now_ms() if now_ms is None else now_ms,
            options=self._options,
            previous_price=self._previous_price,
            log=self._log.events,
            link=LinkState(follower.is_connected, follower.problem, follower.resyncs) if follower else None,
        )

    # ── Showing ──

    async def show(self, stop: asyncio.Event) -> None:
        """Paint until ``stop`` is set, by a key or by the caller; leaves the terminal as it was."""
        if not self.console.is_terminal:
            await self._show_plain(stop)
            return
        with (
            keyboard(lambda key: self._press(key, stop)),
            Live(self.frame(), console=self.console, screen=True, auto_refresh=False) as live,
        ):
            while not stop.is_set():
                await _first_of(self._changed.wait(), stop.wait(), timeout_s=REPAINT_S if self.snapshot else SPIN_S)
                self._changed.clear()
                live.update(self.frame(), refresh=True)

    async def _show_plain(self, stop: asyncio.Event) -> None:
        """Say what is going on whenever it changes; states say themselves when they arrive."""
        said = ""
        while not stop.is_set():
            going_on = self._going_on()
            if self.snapshot is None and going_on != said:
                said = going_on
                self._say(f"{clock(_now_ms(), seconds=True)}  {said}")
            await _first_of(stop.wait(), timeout_s=POLL_S)

    def frame(self, now_ms: int | None = None) -> Group:
        """Return what the screen shows now."""
        view = self.view(now_ms)
        if view is None:
            return self._waiting()
        size = self.console.size
        self._scroll = max(0, min(self._scroll, len(view.rows) - visible_rows(view, size.width, size.height)))
        return Group(*render_lines(view, size.width, size.height, self._scroll))

    def _waiting(self) -> Group:
        """Return the screen before the first snapshot: what is going on, and how far it is."""
        self._spinner.update(text=Text(f" {self._going_on()}", STYLES["strong"]))
        lines: list[Any] = [Text(" AiOne_t ", BADGE), Text(), self._spinner]
        if self._progress is not None and self._progress[2] > 0:
            _, done, total = self._progress
            width = max(10, min(48, self.console.width - 24))
            bar = Text(meter(done / total, width), STYLES["cool"]).append(f"  {done} / {total}", STYLES["dim"])
            lines += [Text(), bar]
        if self._follower is not None and self._follower.problem:
            lines += [Text(), Text(self._follower.problem, STYLES["bad"])]
        return Group(*lines)

    def _going_on(self) -> str:
        locale = self._options.locale
        loading = f"{word('loading', locale)} {self._progress[0]}" if self._progress else ""
        return " · ".join(filter(None, (self.status, loading))) or word("waiting", locale)

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)

    # ── Keys ──

    def _press(self, key: str, stop: asyncio.Event) -> None:
        page = max(1, self.console.size.height // 2)
        moves = {"up": -1, "k": -1, "down": 1, "j": 1, "page_up": -page, "page_down": page, "home": -(10**6)}
        options = self._options
        if key == "q":
            stop.set()
        elif key == "l":
            self._options = ViewOptions(
                "uk" if options.locale == "en" else "en", options.volume_column, options.is_alerts_only
            )
        elif key == "a":
            self._options = ViewOptions(options.locale, options.volume_column, not options.is_alerts_only)
        elif key in moves:
            self._scroll = max(0, self._scroll + moves[key])
        self._changed.set()


async def run_terminal(
    redis_url: str,
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    once: bool = False,
    terminal: Terminal | None = None,
) -> None:
    """Show the table of what is published at ``redis_url``.

    Parameters
    ----------
    redis_url : str
    settings : Settings
    stop : asyncio.Event, optional
        Ends it when set; the key ``q`` sets it.
    once : bool
        Print the first state as a table of full length and end.
    terminal : Terminal, optional
        One that a supervisor holds to set its ``status``.

    Raises
    ------
    ServiceUnavailable
        Redis does not answer at the start; later it is waited for.
    """
    stop = stop or asyncio.Event()
    terminal = terminal or Terminal(settings)
    redis = await connect(redis_url)
    try:
        if once:
            await _print_once(terminal, redis, settings, stop)
            return
        follow = asyncio.create_task(terminal.follow(redis))
        show = asyncio.create_task(terminal.show(stop))
        try:
            await asyncio.wait((follow, show), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            follow.cancel()
            await asyncio.gather(follow, return_exceptions=True)
            await show
        if follow.done() and not follow.cancelled():
            follow.result()
    finally:
        await redis.aclose()


async def _print_once(terminal: Terminal, redis: Redis, settings: Settings, stop: asyncio.Event) -> None:
    async def first() -> Snapshot:
        async for snapshot in Follower(redis, settings):
            return snapshot
        raise AssertionError  # a follower never ends by itself

    found = await _first_of(first(), stop.wait())
    if isinstance(found, Snapshot):
        print_snapshot(found, settings, terminal.console, now_ms=_now_ms())


def _progress_of(fields: Mapping[bytes, bytes]) -> tuple[str, int, int] | None:
    try:
        return fields[b"step"].decode(), int(fields[b"done"]), int(fields[b"total"])
    except (KeyError, ValueError):
        return None


async def _first_of(*waits: Awaitable[Any], timeout_s: float | None = None) -> Any:
    """Return the result of what is done first, None after the time; what is not done is cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result() if done else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


__all__ = ["Terminal", "export_svg", "print_snapshot", "render", "run_terminal"]
