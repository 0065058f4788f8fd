"""The ``aione`` program: each command starts one part, or all of them.

An error of ours is one line on standard error and exit status 2; only a defect shows a traceback.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from dotenv import load_dotenv

from aione import cli_look
from aione.errors import AioneError, InvalidInput
from aione.run.home import running_addresses
from config.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from aione.run.system import MarketChoice
    from aione.sim import SimServer

app = typer.Typer(
    name="aione",
    help="Market screener and signal pipeline for Binance USD-M perpetuals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Replay = Annotated[Path | None, typer.Option(help="Play recorded bars of this directory instead of a synthetic market")]
At = Annotated[str | None, typer.Option(help="The recorded moment that is now, such as 2025-05-20T12:00:00Z")]
Symbols = Annotated[int, typer.Option(min=1, max=2000, help="Perpetuals of the synthetic market")]
Seed = Annotated[int, typer.Option(help="Seed of the synthetic market")]
Json = Annotated[bool, typer.Option("--json", help="Print facts as one JSON object")]
Live = Annotated[bool, typer.Option("--live", help="The real exchange (AIONE_REST_URL, AIONE_WS_URL or the profile)")]
Sim = Annotated[bool, typer.Option("--sim", help="The simulated exchange (the default)")]


@app.command()
def up(
    *,
    live: Live = False,
    sim: Sim = False,
    replay: Replay = None,
    at: At = None,
    symbols: Symbols = 60,
    seed: Seed = 7,
    stream_workers: Annotated[int, typer.Option(min=1, max=64, help="Stream workers that share the symbols")] = 1,
    cycles: Annotated[int | None, typer.Option(min=1, help="End with 0 after this many screening cycles")] = None,
    no_web: Annotated[bool, typer.Option("--no-web", help="No web UI")] = False,  # noqa: ARG001  # arrives with the web UI
    json: Json = False,
) -> None:
    """Start everything on this machine and watch the market; Ctrl-C ends it all."""
    from aione.run.up import Options, run_up  # noqa: PLC0415  # --help stays fast

    _check_at(at, replay)
    market = _market(live=live, sim=sim, replay=replay, at=at, symbols=symbols, seed=seed)
    options = Options(market=market, cycles=cycles, is_json=json, stream_workers=stream_workers)
    sys.exit(run_up(options, load_settings()))


@app.command()
def scan(
    *,
    live: Live = False,
    sim: Sim = False,
    replay: Replay = None,
    at: At = None,
    symbols: Symbols = 60,
    seed: Seed = 7,
    json: Json = False,
) -> None:
    """Run one preload -> prefilter -> Stage1 -> Stage2 -> Stage3 cycle in this process and print it."""
    from aione.run.scan import run_scan  # noqa: PLC0415  # --help stays fast

    market = _market(live=live, sim=sim, replay=replay, at=at, symbols=symbols, seed=seed)
    run_scan(market, load_settings(), is_json=json)


@app.command()
def sim(
    *,
    replay: Replay = None,
    at: At = None,
    symbols: Symbols = 60,
    seed: Seed = 7,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one")] = 8089,
) -> None:
    """Run the simulated exchange alone: the REST and WebSocket contract of Binance USD-M on one loopback port."""
    from aione.run.market import make_market  # noqa: PLC0415  # --help stays fast
    from aione.sim import run_sim  # noqa: PLC0415

    _check_at(at, replay)
    choice = _market(live=False, sim=True, replay=replay, at=at, symbols=symbols, seed=seed)
    run_sim(make_market(choice), port=port, on_ready=_tell_addresses)


@app.command()
def stream(
    *,
    shard: Annotated[str, typer.Option(envvar="AIONE_STREAM_SHARD", help="This worker's share of the symbols")] = "1/1",
) -> None:
    """Run one stream worker: closed bars, forming bars, book tickers, metrics; several share the symbols."""
    from aione.run.parts import run_stream  # noqa: PLC0415  # --help stays fast
    from aione.stream.shard import Shard  # noqa: PLC0415

    run_stream(load_settings(), running_addresses()["REDIS_URL"], Shard.parse(shard))


@app.command()
def ui(*, once: Annotated[bool, typer.Option("--once", help="Print the table once and end")] = False) -> None:
    """Show the market in this terminal, from the snapshot and its updates."""
    from aione.ui.terminal import run_terminal  # noqa: PLC0415  # --help stays fast

    asyncio.run(run_terminal(running_addresses()["REDIS_URL"], load_settings(), once=once))


@app.command()
def rescan(
    symbols: Annotated[list[str] | None, typer.Argument(help="Such as BTCUSDT; none means every screened one")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also what the prefilter dropped")] = False,
) -> None:
    """Ask the running system for an analysis now, and wait for it."""
    from aione.run.parts import run_rescan  # noqa: PLC0415  # --help stays fast

    run_rescan(symbols or [], is_forced=force)


@app.command("warm-up")
def warm_up() -> None:
    """Compile the numeric kernels, so that no cycle waits for a compiler."""
    from aione.run.warm_up import compile_kernels  # noqa: PLC0415  # --help stays fast

    compile_kernels()


cli_look.add_to(app)


def main() -> None:
    """Run the program; an error of ours ends it with one line and status 2."""
    load_dotenv(Path.cwd() / ".env")
    try:
        from aione.logs import set_up_logging  # noqa: PLC0415  # an error in LOG_LEVEL is reported below

        set_up_logging()
        app()
    except (AioneError, SettingsError) as error:
        print(f"aione: {error}", file=sys.stderr)  # noqa: T201  # the one line that a person reads
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _market(*, live: bool, sim: bool, replay: Path | None, at: str | None, symbols: int, seed: int) -> MarketChoice:
    """Return the market that was chosen; what does not go together is refused before anything starts."""
    from aione.run.market import parse_moment  # noqa: PLC0415  # --help stays fast
    from aione.run.system import MarketChoice  # noqa: PLC0415

    if live and (sim or replay):
        raise InvalidInput("--live excludes --sim and --replay")
    if replay is not None and not replay.is_dir():
        raise InvalidInput(f"--replay: expected a directory of recorded bars, {replay} is not one")
    if at is not None:
        parse_moment(at)
    directory = None if replay is None else replay.resolve()
    return MarketChoice(is_live=live, replay=directory, at=at, symbols=symbols, seed=seed)


def _check_at(at: str | None, replay: Path | None) -> None:
    """A market that goes on cannot be put back to a moment unless it is a recording."""
    if at is not None and replay is None:
        raise InvalidInput("--at says which moment of a recording is now: it needs --replay")


def _tell_addresses(server: SimServer) -> None:
    print(f"{server.rest_url}  {server.ws_url}", flush=True)  # noqa: T201  # what a client needs


__all__ = ["app", "main"]
