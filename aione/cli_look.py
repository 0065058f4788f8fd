"""Commands that look: at what is known, at how the parts are, at what was decided and why. None changes anything."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from aione.run.home import running_addresses
from config.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="Print facts as one JSON object")]


WIDE = 180
"""Columns of a table that goes into a file or another program."""


def add_to(app: typer.Typer) -> None:
    """Make the commands of this module commands of the program."""
    commands: tuple[Callable[..., None], ...] = (universe, doctor, explain, audit, report)
    for command in commands:
        app.command()(command)
    rules = typer.Typer(help="Threshold rules: check them, or get their schema for an editor.", no_args_is_help=True)
    for command in (check, schema):
        rules.command()(command)
    app.add_typer(rules, name="rules")


def universe(
    *,
    at: Annotated[str | None, typer.Option(help="A past moment, such as 2026-11-22T10:00:00Z; now without it")] = None,
    symbol: Annotated[str | None, typer.Option(help="Say of this contract whether it is tradable, and why not")] = None,
    changes: Annotated[int, typer.Option(min=0, help="Show what the last refreshes changed")] = 0,
    json: Json = False,
) -> None:
    """Show which contracts are tradable, now or at any past minute, and why the others are not."""
    from aione.run.market import parse_moment  # noqa: PLC0415  # --help stays fast
    from aione.run.universe import Question, answer, as_json, as_text  # noqa: PLC0415

    question = Question(None if at is None else parse_moment(at), symbol, changes)
    facts = asyncio.run(answer(running_addresses()["REDIS_URL"], question))
    print(as_json(facts) if json else as_text(facts))  # noqa: T201  # the command's answer


def doctor(
    *,
    streams: Annotated[bool, typer.Option("--streams", help="Name every stream with its state")] = False,
    json: Json = False,
) -> None:
    """Look at every part of the running system: each is ok, or says what to do. Status 1 when something fails."""
    import orjson  # noqa: PLC0415  # --help stays fast

    from aione.run.checks import Checks  # noqa: PLC0415
    from aione.run.doctor import Health, as_facts, as_text, examine, worst  # noqa: PLC0415
    from aione.run.home import data_directory  # noqa: PLC0415

    addresses = running_addresses()
    settings = load_settings(environ={**addresses, **os.environ})
    prefect_url = addresses.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    checks = Checks(settings, addresses["REDIS_URL"], prefect_url, data_directory(), shows_streams=streams)
    findings = asyncio.run(examine(checks.table()))
    text = as_text(findings, is_coloured=sys.stdout.isatty())
    print(orjson.dumps(as_facts(findings)).decode() if json else text)  # noqa: T201  # the command's answer
    sys.exit(1 if worst(findings) is Health.FAIL else 0)


def explain(
    symbol: Annotated[str, typer.Argument(help="Such as BTCUSDT, in any case")],
    *,
    plot: Annotated[Path | None, typer.Option(help="Write a chart with levels and plan to this PNG")] = None,
    replay: Annotated[Path | None, typer.Option(help="Look at recorded bars instead of the running system")] = None,
    at: Annotated[str | None, typer.Option(help="The recorded moment, such as 2025-05-20T12:00:00Z")] = None,
    json: Json = False,
) -> None:
    """Say why a symbol is what it is, why nothing happens, or why it was dropped; draw its chart."""
    from aione.run.explain import run_explain  # noqa: PLC0415  # --help stays fast
    from aione.run.market import recorded_choice  # noqa: PLC0415

    choice = recorded_choice(replay, at)
    url = running_addresses()["REDIS_URL"] if choice is None else ""
    run_explain(symbol, load_settings(), url, choice=choice, plot=plot, is_json=json)


def audit(
    *,
    symbol: Annotated[str, typer.Option(help="Only of this symbol")] = "",
    stage: Annotated[str, typer.Option(help="Only of this stage: stage1, stage2, qde, stage3")] = "",
    kind: Annotated[str, typer.Option(help="Only of this kind, such as decision")] = "",
    since: Annotated[str | None, typer.Option(help="2h, 15m, 3d, or a moment such as 2026-11-22T10:00:00Z")] = None,
    until: Annotated[str | None, typer.Option(help="Likewise")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many")] = 100,
    jsonl: Annotated[Path | None, typer.Option(help="Look into this file (and those put aside of it) alone")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV")] = False,
    json: Json = False,
) -> None:
    """Show what was decided: when, of which symbol, and why."""
    from rich.console import Console  # noqa: PLC0415  # --help stays fast

    from aione.audit.query import Query  # noqa: PLC0415
    from aione.run.audit import as_csv, as_json, as_table, ask, parse_since, places  # noqa: PLC0415

    now_ms = time.time_ns() // 1_000_000
    first, last = (None if text is None else parse_since(text, now_ms) for text in (since, until))
    answer = ask(Query(symbol.upper(), stage, kind, first, last, limit), *places(jsonl))
    if csv or json:
        print(as_json(answer) if json else as_csv(answer), end="\n" if json else "")  # noqa: T201  # the command's answer
    else:
        Console(width=None if sys.stdout.isatty() else WIDE).print(as_table(answer))


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or directories; none means the rules in use")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Check threshold rules: every error with its file, rule and path. Status 1 when there is one."""
    from aione.run.rules import as_json, as_text, check_paths  # noqa: PLC0415  # --help stays fast

    found = check_paths(paths or [], load_settings())
    print(as_json(found) if json else as_text(found))  # noqa: T201  # the command's answer
    sys.exit(1 if found.errors else 0)


def schema() -> None:
    """Print the JSON Schema of a file of rules, which an editor checks and completes it by."""
    from aione.run.rules import schema_text  # noqa: PLC0415  # --help stays fast

    print(schema_text(), end="")  # noqa: T201  # the command's answer


def report(
    directory: Annotated[Path, typer.Argument(help="A directory of recorded 1-minute bars")],
    *,
    out: Annotated[Path, typer.Option(help="Where README.md and its plots are written")] = Path("report"),
    days: Annotated[float | None, typer.Option(min=0.001, help="Only the last days of the recording")] = None,
) -> None:
    """Play recorded bars through the engine and write what it said of them; status 1 when something is degenerate."""
    from aione.run.report import ReportRequest, make_report  # noqa: PLC0415  # --help stays fast

    path, wrong = make_report(ReportRequest(directory, out, days), load_settings())
    print("\n".join([*wrong, str(path)]))  # noqa: T201  # the command's answer
    sys.exit(1 if wrong else 0)


__all__ = ["add_to"]
