"""Commands that look: at what is known, at how the parts are, at what was decided and why. None changes anything."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from aione.run.home import running_addresses
from config.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="Print facts as one JSON object")]


def add_to(app: typer.Typer) -> None:
    """Make the commands of this module commands of the program."""
    for command in (universe, doctor, report):
        app.command()(command)


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
