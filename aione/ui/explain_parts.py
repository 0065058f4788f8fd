"""The sections of an explanation: alert, triggers, scenario, recommendation, plan, levels, ages. Pure.

Each takes an asset as published and returns lines, none where there is nothing to tell.
"""

from __future__ import annotations

from typing import Final

from aione.panel import MINUTE_MS
from aione.publish.payload import Asset, GateWhy, Stage1Why, TriggerWhy
from aione.ui.chart_words import plan_lines, stamp
from aione.ui.columns_text import number, table
from aione.ui.explain_words import term
from aione.ui.figures import UNKNOWN, decimal, duration, like, percent
from aione.ui.text import Locale, word

AT_MOST: Final = frozenset({"rsi_oversold", "near_high", "near_low", "near_daily_support", "near_daily_resistance"})
"""Triggers that fire at or below their threshold."""

TWO_SIDED: Final = frozenset({"vwap_deviation", "order_imbalance"})
"""Triggers that fire at the threshold or beyond it, either way."""

ABOVE: Final = frozenset({"bullish_div", "bearish_div"})
"""Triggers whose value is a strength: they fire when there is any."""

# ── Alert ──


def alert_lines(asset: Asset, locale: Locale) -> list[str]:
    """Return the evidence against what is needed, the hold, the cooldown and the gate."""
    why = None if asset.explain is None else asset.explain.stage1
    if why is None or not why.scored:
        return []
    rows = [
        (term("why.evidence", locale), number(why.evidence)),
        (term("why.alert_on", locale), f"{number(why.alert_on)} / {number(why.alert_off)}"),
    ]
    if why.alert:
        rows.append((term("why.held", locale), f"{why.held_bars} ({term('why.least', locale)} {why.min_hold_bars})"))
        told = "why.announced" if why.announced else f"silence.{why.silence}"
        rows.append((term("why.told", locale), term(told, locale)))
    if why.cooldown_until_ms is not None:
        rows.append((term("why.cooldown", locale), f"{stamp(why.cooldown_until_ms)} UTC"))
    gate = why.low_gate
    if gate is not None:
        is_closed = gate.value is not None and gate.threshold is not None and gate.value < gate.threshold
        state = term("why.closed" if is_closed else "why.open", locale)
        compared = f"ATR {percent(gate.value, 3)} % {'<' if is_closed else '≥'} {percent(gate.threshold, 3)} %"
        blocked = f", {term('why.blocked', locale)}" if why.gated else ""
        rows.append((term("why.low_gate", locale), f"{state}: {compared} [{gate.layer}]{blocked}"))
    rows += [(term("why.failed", locale), f"{name}: {text}") for name, text in why.failures.items()]
    if why.context:
        facts = "  ".join(f"{term(f'context.{name}', locale)} {number(value)}" for name, value in why.context.items())
        rows.append((term("why.context", locale), facts))
    return table(rows, "<<")


def trigger_lines(asset: Asset, locale: Locale) -> list[str]:
    """Return every active trigger with value, threshold and layer: fired ones first, then the nearest to fire."""
    why = None if asset.explain is None else asset.explain.stage1
    if why is None or not why.triggers:
        return []
    head = ("", *(term(f"why.{name}", locale) for name in ("trigger", "value", "threshold", "layer", "adds")), "")
    ordered = sorted(why.triggers, key=lambda one: (not one.fired, -(one.strength or 0.0), gap_to_fire(one), one.name))
    return table([head, *(_trigger_row(one, why, locale) for one in ordered)], "<<>><><")


def gap_to_fire(one: TriggerWhy) -> float:
    """Return how far a trigger's value is from its threshold, 0 where it is reached; infinite where unknown.

    In units of the threshold where that is above 1, else as it is: triggers of different units can be ordered by it.

    Examples
    --------
    >>> gap_to_fire(TriggerWhy(name="rsi_oversold", value=36.0, threshold=30.0))
    0.2
    >>> gap_to_fire(TriggerWhy(name="vwap_deviation", value=-2.5, threshold=2.0))
    0.0
    """
    if one.value is None or one.threshold is None:
        return float("inf")
    if one.name in ABOVE:
        return 0.0 if one.value > one.threshold else 1.0
    value = abs(one.value) if one.name in TWO_SIDED else one.value
    beyond = one.threshold - value if not _is_at_most(one) else value - one.threshold
    return max(0.0, beyond) / max(1.0, abs(one.threshold))


def _is_at_most(one: TriggerWhy) -> bool:
    """`liquidity_gap` reports the spread in medians, or the depth as a share of its median, which is below 1."""
    thin_depth = one.name == "liquidity_gap" and one.threshold is not None and one.threshold < 1
    return one.name in AT_MOST or thin_depth


def _trigger_row(one: TriggerWhy, why: Stage1Why, locale: Locale) -> tuple[str, ...]:
    mark = {1: "▲", -1: "▼"}.get(one.side, "●") if one.fired else "·"
    sign = "≤" if _is_at_most(one) else "± ≥" if one.name in TWO_SIDED else ">" if one.name in ABOVE else "≥"
    adds = decimal((one.weight or 0.0) * (one.strength or 0.0), 2) if one.counted else UNKNOWN
    note = ""
    if one.fired and not one.counted:
        note = term("why.blocked", locale)
    elif not one.fired and why.scored and gap_to_fire(one) == 0.0:
        note = term("why.asks_more", locale)
    elif one.value is None:
        note = term("why.unknown", locale)
    threshold = f"{sign} {number(one.threshold)}"
    return mark, word(one.name, locale), number(one.value), threshold, one.layer or "", adds, note


# ── Scenario and direction ──


def scenario_lines(asset: Asset, locale: Locale) -> list[str]:
    """Return the scenario against its runner-up, then the factors whose contributions sum to the direction."""
    why = None if asset.explain is None else asset.explain.stage2
    if why is None or why.scenario is None or asset.market_context is None:
        return []
    best, named = why.scenario, asset.market_context.scenario
    second = word(best.runner_up, locale) if best.runner_up else UNKNOWN
    least, needed = term("why.least", locale), term("why.needed", locale)
    rows = [(term("why.scenario", locale), word(named, locale))]
    if best.name != named:
        rows.append((term("why.best", locale), word(best.name, locale)))
    rows += [
        (term("why.score", locale), f"{number(best.score)} ({least} {number(best.floor)})"),
        (term("why.runner_up", locale), f"{second} {number(best.runner_up_score)}"),
        (
            term("why.margin", locale),
            f"{number(best.margin)} ({needed} {number(best.margin_needed)})",
        ),
    ]
    lines = table(rows, "<<")
    head = tuple(term(f"why.{name}", locale) for name in ("factor", "value", "weight", "adds"))
    factors = sorted(why.factors, key=lambda one: -abs(one.contribution or 0.0))
    body = [
        (term(one.name, locale), *(_signed(x) for x in (one.value,)), number(one.weight), _signed(one.contribution))
        for one in factors
    ]
    total = (term("why.direction", locale), "", "", _signed(why.direction))
    lines += ["", *table([head, *body, total], "<>>>")]
    if why.qualities:
        parts = [f"{term(name, locale)} {number(value, 3)}" for name, value in why.qualities.items()]
        overall = None if asset.confidence_metrics is None else asset.confidence_metrics.quality.get("overall")
        if "overall" not in why.qualities:
            parts.append(f"{term('overall', locale)} {number(overall, 3)}")
        lines.append(f"  {term('why.quality', locale)}: " + "  ".join(parts))
    if why.anomalies:
        names = ", ".join(term(f"anomaly.{name}", locale) for name in why.anomalies)
        lines.append(f"  {term('why.anomalies', locale)}: {names}")
    if why.unknown:
        lines.append(f"  {term('why.unknown', locale)}: " + ", ".join(term(name, locale) for name in why.unknown))
    return lines


def _signed(value: float | None) -> str:
    return decimal(value, 3, sign=True)


# ── Recommendation and plan ──


def recommendation_lines(asset: Asset, locale: Locale) -> list[str]:
    """Return the recommendation, the row of the table that gave it, the gates, and the confidence."""
    why = None if asset.explain is None else asset.explain.stage2
    if why is None or asset.recommendation is None:
        return []
    rows = [(term("why.recommendation", locale), word(asset.recommendation, locale))]
    if asset.reco_original is not None and asset.reco_original != asset.recommendation:
        rows.append((term("why.original", locale), word(asset.reco_original, locale)))
    if why.table_row is not None:
        told = f"{why.table_row.index}: {why.table_row.conditions} → {why.table_row.word}"
        rows.append((term("why.table_row", locale), told))
    metrics = asset.confidence_metrics
    if metrics is not None:
        calibrated = f", {term('why.calibrated', locale)} {number(metrics.calibrated, 3)} ({metrics.calibration})"
        rows.append((word("column.confidence", locale), f"{number(metrics.raw, 3)}{calibrated}"))
        rows.append((term("why.risk", locale), term(f"risk.{metrics.risk_class}", locale)))
    lines = table(rows, "<<")
    if why.gates:
        head = ("", *(term(f"why.{name}", locale) for name in ("gate", "value", "threshold")))
        lines += ["", *table([head, *(_gate_row(gate, locale) for gate in why.gates)], "<<>>")]
    return lines


def _gate_row(gate: GateWhy, locale: Locale) -> tuple[str, str, str, str]:
    mark = "–" if gate.passed is None else "✓" if gate.passed else "✗"
    return mark, term(f"gate.{gate.name}", locale), number(gate.value), number(gate.threshold)


def plan_text(asset: Asset, locale: Locale) -> list[str]:
    """Return the plan's prices, each with its distance from the entry in R, and reward to risk after costs."""
    plan = asset.risk_parameters
    if plan is None or plan.entry is None or plan.sl is None:
        return []
    risk, sign = abs(plan.entry - plan.sl), 1.0 if plan.side == "long" else -1.0
    rows = []
    for name, price in plan_lines(asset):
        r = "" if name == "entry" or not risk else f"{decimal(sign * (price - plan.entry) / risk, 2, sign=True)} R"
        label = term("entry", locale) if name == "entry" else name.upper()
        rows.append((label, like(price, asset.price_str), r))
    tags = f"  {', '.join(plan.tags)}" if plan.tags else ""
    last = f"  {word(plan.side, locale)}, {term('gate.insufficient_rr', locale)} {number(plan.rr, 3)}{tags}"
    return [*table(rows, "<>>"), last]


# ── Levels and data ──


def level_lines(asset: Asset, locale: Locale) -> list[str]:
    """Return the levels from high to low with the price in its place; support and resistance are marked."""
    if asset.market_context is None or not asset.market_context.key_levels_meta:
        return []
    near = asset.market_context.key_levels
    marks = {
        near.next_major_support: term("major_support", locale),
        near.next_major_resistance: term("major_resistance", locale),
        near.immediate_support: term("support", locale),
        near.immediate_resistance: term("resistance", locale),
    }
    atr = asset.stats.get("atr")
    heads = ("price", "level", "tier", "touches", "breaks", "age", "strength")
    rows: list[tuple[float, tuple[str, ...]]] = []
    for level in asset.market_context.key_levels_meta:
        away = None if asset.price is None or not atr else (level.price - asset.price) / atr
        age = UNKNOWN if not level.age_bars else duration(level.age_bars * MINUTE_MS)
        cells = (
            like(level.price, asset.price_str), term(level.kind, locale), term(level.tier or "", locale),
            str(level.touches), str(level.breaks), age, decimal(level.strength, 2), decimal(away, 1, sign=True),
            marks.get(level.price, ""),
        )  # fmt: skip
        rows.append((level.price, cells))
    if asset.price is not None:
        rows.append((asset.price, (asset.price_str or "", "◄", *[""] * 7)))
    head = (*(term(name, locale) for name in heads), "ATR", "")
    return table([head, *(cells for _, cells in sorted(rows, key=lambda row: -row[0]))], "><<>>>>><")


def age_lines(asset: Asset, locale: Locale) -> list[str]:
    """Return how old each kind of data was when the cycle read it, and whether the last bar is final."""
    if asset.ages is None:
        return []
    ages = asset.ages
    names = {"bar": ages.bar_ms, "book": ages.book_ms, "mark": ages.mark_ms, "depth": ages.depth_ms}
    names["open_interest"] = ages.open_interest_ms
    parts = [f"{term(f'age.{name}', locale)} {_seconds(age)}" for name, age in names.items()]
    bar = ", ".join(
        term(f"bar.{value}", locale) for value in (asset.bar_finality, asset.bar_source) if value is not None
    )
    return [
        f"  {term('why.ages', locale)}: " + "  ".join(parts),
        *([f"  {term('why.bar', locale)}: {bar}"] if bar else []),
    ]


def _seconds(age_ms: float | None) -> str:
    """Seconds with a decimal while they say more than the largest unit would."""
    if age_ms is None:
        return UNKNOWN
    return f"{age_ms / 1000:.1f}s" if age_ms < 60_000 else duration(age_ms)


__all__ = [
    "age_lines",
    "alert_lines",
    "gap_to_fire",
    "level_lines",
    "plan_text",
    "recommendation_lines",
    "scenario_lines",
    "trigger_lines",
]
