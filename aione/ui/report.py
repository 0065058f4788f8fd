"""A report on what the engine said over a stretch of history: Markdown for a person, with plots beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from aione.evaluate.history import (
    History,
    a_day,
    begun,
    degenerate,
    fire_rates,
    recommendation_table,
    scenario_table,
    spells,
)
from aione.stage2.recommend import GATES
from aione.stage2.scenarios import SCENARIOS
from aione.ui.figure import new_figure, save_figure


def write_report(history: History, folder: Path, title: str, notes: Sequence[str] = ()) -> Path:
    """Write ``README.md`` and its plots into ``folder`` and return the path of the text.

    Parameters
    ----------
    history : History
    folder : Path
        Made where it does not exist.
    title : str
    notes : sequence of str
        What a reader must know of the data; a paragraph each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plot_triggers(history, folder / "triggers.png")
    plot_scenarios(history, folder / "scenarios.png")
    plot_alerts(history, folder / "alerts.png")
    plot_holds(history, folder / "holds.png")
    path = folder / "README.md"
    path.write_text(as_markdown(history, title, notes), encoding="utf-8")
    return path


# ── Text ──


def as_markdown(history: History, title: str, notes: Sequence[str] = ()) -> str:
    """Return the report's text; every figure in it is computed from ``history``."""
    wrong = degenerate(history)
    verdict = "Nothing is degenerate." if not wrong else "**Degenerate:** " + "; ".join(wrong) + "."
    return "\n\n".join(
        [
            f"# {title}",
            _span(history),
            *notes,
            f"{verdict} (Limits: no scenario above 60 % of alerted time, no trigger on more than 5 % of bars.)",
            "## Triggers",
            "![Share of bars on which each trigger fired](triggers.png)",
            _trigger_text(history),
            "## Alerts and signals",
            "![Alerts and signals by day, alerted time by symbol](alerts.png)",
            _alert_text(history),
            "## Scenarios",
            "![Share of time in each scenario](scenarios.png)",
            _scenario_text(history),
            "![How long alerts and scenarios last](holds.png)",
            "## Recommendations",
            _recommendation_text(history),
            "",
        ]
    )


def _span(history: History) -> str:
    first, last = (
        datetime.fromtimestamp(int(at) / 1000, UTC).strftime("%Y-%m-%d %H:%M") for at in history.open_time_ms[[0, -1]]
    )
    bars = len(history.open_time_ms)
    return (
        f"{len(history.symbols)} symbols, {bars:,} minutes ({history.days:.1f} days) from {first} to {last} UTC: "
        f"{bars * len(history.symbols):,} symbol-bars, each analysed with the bars up to it alone."
    )


def _trigger_text(history: History) -> str:
    rows = sorted(fire_rates(history).items(), key=lambda row: -row[1][0])
    return table(
        ["trigger", "bars, all symbols", "most, one symbol"],
        [[name, f"{share:.2%}", f"{most:.2%}"] for name, (share, most) in rows],
    )


def _alert_text(history: History) -> str:
    per = history.days * len(history.symbols)
    held, signals = spells(history.alert), begun(history.is_signal)
    rr = history.rr[signals]
    confident = history.confidence[signals]
    long_share = float((history.side[signals] > 0).mean()) if signals.any() else float("nan")
    return table(
        ["figure", "value"],
        [
            ["time in ALERT", f"{history.alert.mean():.2%}"],
            ["alerts begun, a day and symbol", f"{begun(history.alert).sum() / per:.1f}"],
            ["alerts announced, a day and symbol", f"{history.announced.sum() / per:.1f}"],
            ["mean (median) length of an alert, bars", f"{_mean(held):.1f} ({_median(held):.0f})"],
            ["signals begun, a day and symbol", f"{signals.sum() / per:.2f}"],
            ["signals begun in all", f"{int(signals.sum()):,}"],
            ["of them long", f"{long_share:.0%}"],
            ["mean length of a signal, bars", f"{_mean(spells(history.is_signal)):.1f}"],
            ["median reward to risk of a signal", f"{_median(rr):.2f}"],
            ["median confidence of a signal (uncalibrated)", f"{_median(confident):.2f}"],
        ],
    )


def _scenario_text(history: History) -> str:
    return table(
        ["scenario", "all time", "alerted time", "spells a day and symbol", "mean bars", "alerted spells a day"],
        [
            [
                row["scenario"],
                f"{row['share']:.1%}",
                f"{row['share_alerted']:.1%}",
                f"{row['spells_a_day']:.1f}",
                f"{row['mean_bars']:.1f}",
                f"{row['alerted_spells_a_day']:.2f}",
            ]
            for row in scenario_table(history)
        ],
    )


def _recommendation_text(history: History) -> str:
    recommended = table(
        ["recommendation", "alerted time", "before the gates", "begun a day and symbol"],
        [
            [
                row["recommendation"],
                f"{row['share_alerted']:.2%}",
                f"{row['share_before_gates']:.2%}",
                f"{row['begun_a_day']:.2f}",
            ]
            for row in recommendation_table(history)
        ],
    )
    held = history.alert & (history.gate_reason >= 0)
    counts = np.bincount(history.gate_reason[held], minlength=len(GATES))
    total = max(1, int(history.alert.sum()))
    gates = table(
        ["gate that held an entry back", "alerted time"],
        [[name, f"{count / total:.2%}"] for name, count in zip(GATES, counts, strict=True)],
    )
    return f"{recommended}\n\n{gates}"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right.

    Examples
    --------
    >>> print(table(["a", "b"], [["x", 1]]))
    | a | b |
    |---|---:|
    | x | 1 |
    """
    rule = "|".join(["---", *("---:" for _ in head[1:])])
    lines = [f"| {' | '.join(head)} |", f"|{rule}|"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if values.size else float("nan")


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if values.size and not np.isnan(values).all() else float("nan")


# ── Plots ──


def plot_triggers(history: History, path: Path) -> None:
    """Draw how often each trigger fires, with the worst symbol and the limit."""
    rates = sorted(fire_rates(history).items(), key=lambda row: row[1][0])
    figure, axes = new_figure(9.0, 5.5)
    at = np.arange(len(rates))
    axes.barh(at, [100 * share for _, (share, _) in rates], color="#4477aa", label="all symbols")
    axes.plot([100 * most for _, (_, most) in rates], at, "|", color="#222222", ms=12, label="the symbol with the most")
    axes.axvline(5.0, color="#cc3311", lw=1, ls="--", label="limit of all symbols")
    axes.set_yticks(at, [name for name, _ in rates])
    axes.set_xlabel("% of bars on which it fired")
    axes.legend(loc="lower right")
    save_figure(figure, path)


def plot_scenarios(history: History, path: Path) -> None:
    """Draw the share of all and of alerted time in each scenario."""
    rows = scenario_table(history)
    figure, axes = new_figure(9.0, 5.0)
    at = np.arange(len(rows))
    axes.barh(at + 0.2, [100 * float(row["share"]) for row in rows], 0.38, color="#bbbbbb", label="all time")
    axes.barh(
        at - 0.2, [100 * float(row["share_alerted"]) for row in rows], 0.38, color="#4477aa", label="alerted time"
    )
    axes.axvline(60.0, color="#cc3311", lw=1, ls="--", label="limit of alerted time")
    axes.set_yticks(at, [str(row["scenario"]) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("% of time")
    axes.legend(loc="lower right")
    save_figure(figure, path)


def plot_alerts(history: History, path: Path) -> None:
    """Draw alerts and signals begun by day, and each symbol's alerted time."""
    figure, (by_day, by_symbol) = new_figure(11.0, 4.5, columns=2)
    days, alerts = a_day(begun(history.alert), history.open_time_ms)
    _, signals = a_day(begun(history.is_signal), history.open_time_ms)
    names = [datetime.fromtimestamp(int(day) * 86_400, UTC).strftime("%m-%d") for day in days]
    at = np.arange(len(days))
    by_day.bar(at, alerts, color="#bbbbbb", label="alerts begun")
    by_day.bar(at, signals, color="#4477aa", label="signals begun")
    by_day.set_xticks(at[:: max(1, len(at) // 8)], names[:: max(1, len(at) // 8)])
    by_day.set_xlabel("UTC day (the first and the last are not whole)")
    by_day.set_ylabel(f"of {len(history.symbols)} symbols")
    by_day.legend()
    share = 100 * history.alert.mean(axis=0)
    order = np.argsort(share)
    by_symbol.barh(np.arange(len(order)), share[order], color="#4477aa")
    by_symbol.set_yticks(np.arange(len(order)), [history.symbols[row] for row in order])
    by_symbol.set_xlabel("% of time in ALERT")
    save_figure(figure, path)


def plot_holds(history: History, path: Path) -> None:
    """Draw how long alerts and the scenarios last."""
    lengths: Mapping[str, np.ndarray] = {
        "ALERT": spells(history.alert),
        **{name: spells(history.scenario == code) for code, name in enumerate(SCENARIOS)},
    }
    shown = {name: found for name, found in lengths.items() if len(found)}
    figure, axes = new_figure(9.0, 5.0)
    axes.boxplot(
        list(shown.values()), orientation="horizontal", whis=(5, 95), showfliers=False, widths=0.6,
        medianprops={"color": "#cc3311"},
    )  # fmt: skip
    axes.set_yticks(np.arange(1, len(shown) + 1), [f"{name} ({len(found):,})" for name, found in shown.items()])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("bars (box: middle half, whiskers: 5 to 95 %); in brackets how many spells")
    save_figure(figure, path)


__all__ = [
    "as_markdown",
    "plot_alerts",
    "plot_holds",
    "plot_scenarios",
    "plot_triggers",
    "table",
    "write_report",
]
