"""Risk: how dangerous a symbol is now, and the plan of an entry: stop, targets, reward to risk after costs.

The plan of a long; a short is its mirror image.

1. The stop goes beyond the nearest structural level below that is outside of the noise (``noise_atr``), or
   ``stop_atr`` below the entry, whichever is nearer. Never inside the noise.
2. R is the distance from entry to stop. Targets stand at ``target_r`` times R; one with a level in the half R in front
   of it (or touching it) moves in front of that level.
3. Prices are rounded to the tick: the stop away from the entry, the targets towards it.
4. Reward to risk: the last target less fees and spread, over R plus the same costs. Its sibling ``rr_mean`` takes the
   mean of the targets instead, because an equal part is taken at each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aione.indicators.readings import Readings
from aione.panel import B1, F8, MarketSnapshot
from aione.stage2.cuts import Cuts, multiplied
from aione.stage2.level_kernel import IMMEDIATE_STRENGTH
from aione.stage2.levels import Levels
from config.models import RecoThresholds, RiskParams
from config.settings import Settings

RISK_CLASSES: Final = ("low", "medium", "high", "extreme")
EXTREME: Final = RISK_CLASSES.index("extreme")

_THIN_DEPTH_QUOTE: Final = 20_000.0
_MOVED_R: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of every symbol that has one; NaN where ``side`` is 0.

    Attributes
    ----------
    side : int8 (S,)
        +1 long, -1 short, 0 none.
    entry, sl : float64 (S,)
        Quote per base, on the tick.
    tp : float64 (S, N)
        Nearest first.
    rr, rr_mean : float64 (S,)
        Reward to risk after fees and spread: of the last target, and of the mean of all.
    swapped : bool (S,)
        Stop and targets came on the wrong sides of the entry and were turned over.
    """

    side: NDArray[np.int8]
    entry: F8
    sl: F8
    tp: F8
    rr: F8
    rr_mean: F8
    swapped: B1


def risk_class(readings: Readings, market: MarketSnapshot, thresholds: RecoThresholds | Cuts) -> NDArray[np.int8]:
    """Return the risk class of every symbol, int8 (S,), an index into `RISK_CLASSES`.

    Points add up, three and more are extreme: volatility rank high 1, extreme 2; spread above half of
    ``high_spread_frac`` 1, above it 2, extreme 3; depth thin 1; fewer than 90 % of the bars 1, than half 3.
    """
    rank, spread, ready = readings["atr_percentile"], market.spread_frac, readings["ready_frac"]
    depth = np.fmin(market.depth_bid_quote, market.depth_ask_quote)
    points = (
        (rank >= thresholds.high_vol_quantile).astype(np.int64)
        + (rank >= thresholds.extreme_vol_quantile)
        + (spread > thresholds.high_spread_frac / 2)
        + (spread > thresholds.high_spread_frac)
        + (spread > thresholds.extreme_spread_frac)
        + (depth < _THIN_DEPTH_QUOTE)
        + (ready < 0.9)
        + 2 * (ready < 0.5)
    )
    return np.minimum(points, EXTREME).astype(np.int8)


def tick_sizes(market: MarketSnapshot, close: F8, settings: Settings) -> F8:
    """Return the tick size of every symbol, float64 (S,); the columnar form of `aione.prices.get_tick_size`."""
    brackets = sorted(settings.TICK_SIZE_BRACKETS, key=lambda bracket: bracket.below)
    steps = np.array([*(bracket.tick_size for bracket in brackets), settings.TICK_SIZE_DEFAULT])
    ticks = steps[np.searchsorted([bracket.below for bracket in brackets], close, side="right")]
    unknown = ~(market.tick_size > 0)
    if unknown.any():
        for symbol, tick_size in settings.TICK_SIZE_MAP.items():
            if symbol in market.symbols:
                ticks[market.symbols.index(symbol)] = tick_size
    return np.where(unknown, ticks, market.tick_size)


def make_plan(
    side: NDArray[np.int8],
    close: F8,
    atr: F8,
    levels: Levels,
    spread_frac: F8,
    tick_size: F8,
    params: RiskParams,
    dynamic: Mapping[str, F8] = MappingProxyType({}),
) -> Plan:
    """Plan an entry at the close for every symbol with a side.

    Parameters
    ----------
    side : int8 (S,)
    close, atr, tick_size : float64 (S,)
        Quote per base.
    levels : Levels
    spread_frac : float64 (S,)
        NaN is unknown: costs then assume ``unknown_spread_frac``.
    params : RiskParams
    dynamic : mapping of str to float64 (S,)
        ``tp_mult_factor`` and ``sl_mult_factor`` upon ``tp_mult`` and ``sl_mult``; NaN changes nothing.

    Returns
    -------
    Plan
        ``side`` is 0 where the plan cannot be made: ATR unknown or less than a tick, or a stop below 0.
    """
    size, rows = len(side), np.flatnonzero(side)
    plan = _planned(
        side[rows],
        close[rows],
        atr[rows],
        (levels.price[rows], levels.strength[rows]),
        spread_frac[rows],
        tick_size[rows],
        (
            multiplied(params.sl_mult, dynamic.get("sl_mult_factor"), rows),
            multiplied(params.tp_mult, dynamic.get("tp_mult_factor"), rows),
        ),
        params,
    )
    columns: dict[str, Any] = {}
    for one in fields(plan):
        part = getattr(plan, one.name)
        columns[one.name] = np.full((size, *part.shape[1:]), np.nan if part.dtype == np.float64 else 0, part.dtype)
        columns[one.name][rows] = part
    return Plan(**columns)


def _planned(
    side: NDArray[np.int8],
    close: F8,
    atr: F8,
    levels: tuple[F8, F8],
    spread_frac: F8,
    tick_size: F8,
    mults: tuple[float | F8, float | F8],
    params: RiskParams,
) -> Plan:
    """Plan for symbols that all have a side; ``levels``: prices, strengths (S, K); ``mults``: of stop, of targets."""
    (price, strength), (sl_mult, tp_mult) = levels, mults
    sign = np.where(tick_size > atr, np.nan, side).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        entry = np.round(close / tick_size) * tick_size + 0.0 * sign
        buffer, noise = params.level_buffer_atr * atr, params.noise_atr * atr
        ahead = sign[:, None] * (price - entry[:, None])
        ahead[strength < IMMEDIATE_STRENGTH] = np.nan
        behind = np.where(-ahead > 0, -ahead + buffer[:, None], np.nan)
        structural = np.fmin.reduce(np.where(behind >= noise[:, None], behind, np.nan), axis=1, initial=np.inf)
        distance = np.maximum(np.minimum(structural, params.stop_atr * atr), noise) * sl_mult
        sl = _on_tick(entry - sign * distance, tick_size, -sign)
        unit = np.abs(entry - sl) * tp_mult
        tp = np.stack([_target(k * unit, unit, ahead, buffer) for k in params.target_r], axis=1)
        tp = _on_tick(entry[:, None] + sign[:, None] * tp, tick_size[:, None], -sign[:, None])
    blank, no = np.full_like(entry, np.nan), np.zeros(len(side), dtype=np.bool_)
    plan = corrected(Plan(side, entry, sl, tp, blank, blank, no))
    return replace(
        plan,
        rr=reward_to_risk(plan.entry, plan.sl, plan.tp[:, -1], spread_frac, params),
        rr_mean=reward_to_risk(plan.entry, plan.sl, plan.tp.mean(axis=1), spread_frac, params),
    )


def corrected(plan: Plan) -> Plan:
    """Return the plan with stop and targets turned over about the entry wherever both came on the wrong side.

    R stays what it was, and ``swapped`` says where it happened. A plan that is in no order after that loses its side.
    """
    sign = plan.side.astype(np.float64)
    with np.errstate(invalid="ignore"):
        swapped = (sign * (plan.entry - plan.sl) < 0) & (sign[:, None] * (plan.tp - plan.entry[:, None]) < 0).all(
            axis=1
        )
        sl = np.where(swapped, 2.0 * plan.entry - plan.sl, plan.sl)
        tp = np.where(swapped[:, None], 2.0 * plan.entry[:, None] - plan.tp, plan.tp)
        ladder = sign[:, None] * np.column_stack([sl, plan.entry, tp])
        sound = (np.diff(ladder, axis=1) > 0).all(axis=1) & (np.minimum(sl, tp.min(axis=1)) > 0)
    side = np.where(sound, plan.side, 0).astype(np.int8)
    entry, sl = np.where(sound, plan.entry, np.nan), np.where(sound, sl, np.nan)
    return replace(
        plan, side=side, entry=entry, sl=sl, tp=np.where(sound[:, None], tp, np.nan), swapped=swapped & sound
    )


def reward_to_risk(entry: F8, sl: F8, target: F8, spread_frac: F8, params: RiskParams) -> F8:
    """Return reward to risk after costs, float64 (S,); negative where costs eat more than the reward.

    Two taker fees and one spread are taken from the reward and added to the risk.

    Examples
    --------
    >>> free = RiskParams(fee_frac=0.0)
    >>> reward_to_risk(np.array([100.0]), np.array([99.0]), np.array([103.0]), np.array([0.002]), free)
    array([2.33333333])
    """
    spread = np.where(np.isnan(spread_frac), params.unknown_spread_frac, spread_frac)
    cost = entry * (2.0 * params.fee_frac + spread)
    return (np.abs(target - entry) - cost) / (np.abs(entry - sl) + cost)


def _target(nominal: F8, unit: F8, ahead: F8, buffer: F8) -> F8:
    """Return the distance of one target from the entry, in front of a level where one stands in its way."""
    in_front = (ahead >= (nominal - _MOVED_R * unit)[:, None]) & (ahead <= (nominal + buffer)[:, None])
    level = np.fmax.reduce(np.where(in_front, ahead, np.nan), axis=1, initial=-np.inf)
    return np.where(np.isinf(level), nominal, np.minimum(nominal, level - buffer))


def _on_tick(price: F8, tick_size: F8, towards: F8) -> F8:
    """Return ``price`` on the tick, rounded up where ``towards`` is +1 and down where it is -1."""
    steps = towards * price / tick_size
    return towards * np.ceil(steps - 1e-9 * np.maximum(1.0, np.abs(steps))) * tick_size


__all__ = [
    "EXTREME",
    "RISK_CLASSES",
    "Plan",
    "corrected",
    "make_plan",
    "reward_to_risk",
    "risk_class",
    "tick_sizes",
]
