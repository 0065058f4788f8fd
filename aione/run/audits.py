"""Audits of the engine on recorded bars, run by ``python -m aione.run.audits``.

``lookahead``
    What the engine says of a bar must not depend on what came later; status 1 when anything does.
``agreement``
    Writes the page that says how far the engine is from TA-Lib, from the definitions in plain NumPy, and from itself
    with more history; status 1 when anything that has to agree does not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from aione.run.agreement import AgreementRequest, agreement_page
from aione.run.lookahead import LookaheadRequest, run_lookahead
from aione.ui.audits import lookahead_facts, lookahead_text
from config.settings import load_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Audits of the engine on recorded bars.")


@app.command("lookahead")
def lookahead_command(
    directory: Annotated[Path, typer.Argument(help="A directory of recorded 1-minute bars")],
    *,
    days: Annotated[float, typer.Option(min=0.001, help="How many of the last days")] = 3.0,
    symbols: Annotated[str, typer.Option(help="Only these, with commas between; BTCUSDT is the benchmark")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes that share the bars")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Plain facts instead of text")] = False,
) -> None:
    """Show that nothing the engine says of a bar depends on what came later; status 1 when something does."""
    chosen = tuple(name for name in symbols.split(",") if name)
    report = run_lookahead(LookaheadRequest(directory, days, chosen, jobs), load_settings(), tell=sys.stderr.isatty())
    print(orjson.dumps(lookahead_facts(report)).decode() if json else lookahead_text(report))  # noqa: T201
    sys.exit(1 if report.differences else 0)


@app.command("agreement")
def agreement_command(
    directory: Annotated[Path, typer.Argument(help="A directory of recorded 1-minute bars")],
    *,
    spot: Annotated[Path | None, typer.Option(help="Another one, whose bars carry the taker's side")] = None,
    out: Annotated[Path, typer.Option(help="The page that is written")] = Path("docs/agreement.md"),
    days: Annotated[float, typer.Option(min=0.001, help="Days of the look-ahead audit")] = 3.0,
    stops: Annotated[int, typer.Option(min=8, help="Bars at which slow oracles are asked")] = 200,
    jobs: Annotated[int, typer.Option(min=1, help="Processes of the look-ahead audit")] = 1,
) -> None:
    """Measure how far the engine is from independent implementations and write the page; status 1 when too far."""
    page, failed = agreement_page(AgreementRequest(directory, spot, days, stops, jobs), load_settings())
    out.write_text(page, encoding="utf-8")
    print("\n".join([*failed, str(out)]))  # noqa: T201
    sys.exit(1 if failed else 0)


__all__ = ["app"]

if __name__ == "__main__":
    app()
