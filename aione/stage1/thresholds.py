"""Effective thresholds: what holds for each symbol after every layer has had its word.

The layers, weakest first; a later one overwrites an earlier one, value by value:

1. ``global``                ``STAGE1_MONITOR_PARAMS.thresholds``
2. ``stage2_config``         ``STAGE2_CONFIG.trigger_thresholds``
3. ``class:<name>``          ``STAGE1_MONITOR_PARAMS.class_thresholds`` of the classes in ``ASSET_CLASS_MAPPING``
4. ``symbol``                ``symbol_thresholds``
5. ``market_state:<state>``  ``market_state_thresholds`` of the states that hold (`aione.stage1.market_state`)
6. ``rules:<rule id>``       what the dynamic rules ask for, symbol by symbol
7. ``run``                   what this one run was told

The first four are resolved once for a settings object, and so is the fifth for every combination of states: a bar
only picks each symbol's column.
"""

from __future__ import annotations

from collections.abc import Mapping

from aione.stage1.effective import Draft, EffectiveThresholds
from aione.stage1.layers import NAMES, DenseLayer, Layer, check_override
from aione.stage1.market_state import MarketStates
from aione.stage1.settled import settled
from config.settings import Settings


def effective_thresholds(
    symbols: tuple[str, ...],
    settings: Settings,
    *,
    market_state: MarketStates | DenseLayer | Layer | None = None,
    rules: DenseLayer | Layer | None = None,
    override: Mapping[str, float] | None = None,
) -> EffectiveThresholds:
    """Lay every layer on the ones below it.

    Parameters
    ----------
    symbols : tuple of str, length S
    settings : Settings
        What its own layers say is resolved once for the same settings object and the same symbols, then remembered.
    market_state : MarketStates, optional
        The states that hold; their thresholds are the settings'. Or a layer that is used as it is.
    rules : DenseLayer, or mapping symbol -> threshold -> value, optional
        What the rules ask for. A value may be ``(value, "rules:<rule id>")``, which `layer` and `explain` then tell.
        A mapping's symbols that are not in ``symbols`` are ignored.
    override : mapping threshold -> value, optional
        This run's own layer, for every symbol.

    Raises
    ------
    ConfigError
        A layer names an unknown threshold or asset class, or its value is out of bounds.
    InvalidInput
        A `MarketStates` or a `DenseLayer` is of other symbols.
    """
    known = settled(symbols, settings)
    if isinstance(market_state, MarketStates):
        base, market_state = known.in_states(market_state), None
    else:
        base = known.plain
    if not (market_state or rules or override):
        return base
    draft = Draft(symbols, base.values.copy(), base.layers.copy(), list(base.labels))
    for label, layer in (("market_state", market_state), ("rules", rules)):
        if layer:
            draft.lay(layer if isinstance(layer, DenseLayer) else DenseLayer.of(symbols, layer, label), label)
    if override:
        check_override(override, "run override")
        draft.put("run", slice(None), override)
    return draft.finished()


__all__ = ["NAMES", "DenseLayer", "EffectiveThresholds", "Layer", "effective_thresholds"]
