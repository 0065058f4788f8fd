"""The thresholds that the settings alone decide, for some symbols: resolved once, then remembered."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from aione.errors import ConfigError, InvalidInput
from aione.panel import F8
from aione.stage1.effective import I2, Draft, EffectiveThresholds
from aione.stage1.layers import NAMES
from aione.stage1.market_state import BTC_TREND, VOLATILITY_STATES, MarketStates
from config.models import MarketState
from config.settings import Settings


class Settled:
    """The settings' layers for some symbols: without market states, and in every combination of them."""

    def __init__(self, symbols: tuple[str, ...], settings: Settings) -> None:
        self.settings, self.symbols = settings, symbols
        self.plain = _from_settings(symbols, settings)
        self._by_states: tuple[F8, I2, tuple[str, ...]] | None = None

    def in_states(self, states: MarketStates) -> EffectiveThresholds:
        """Pick each symbol's column of the combination that holds for it."""
        if states.symbols != self.symbols:
            raise InvalidInput(f"market states must be of the run's {len(self.symbols)} symbols, in their order")
        if self._by_states is None:
            self._by_states = self._combinations()
        values, layers, labels = self._by_states
        combination = states.volatility.astype(np.intp) * 2 + states.is_btc_trending
        at = combination * self.plain.values.size + np.arange(self.plain.values.size).reshape(self.plain.values.shape)
        return Draft(self.symbols, values.take(at), layers.take(at), list(labels)).finished()

    def _combinations(self) -> tuple[F8, I2, tuple[str, ...]]:
        """Thresholds of every volatility state (the unknown one last), each without and with a BTC trend."""
        wanted = self.settings.STAGE1_MONITOR_PARAMS.market_state_thresholds
        labels = list(self.plain.labels)
        drafts: list[Draft] = []
        own: tuple[tuple[MarketState, ...], ...] = (*((state,) for state in VOLATILITY_STATES), ())
        trend: tuple[tuple[MarketState, ...], ...] = ((), (BTC_TREND,))
        for first in own:
            for second in trend:
                draft = Draft(self.symbols, self.plain.values.copy(), self.plain.layers.copy(), labels)
                for state in (*first, *second):
                    draft.put(f"market_state:{state}", slice(None), wanted.get(state, {}))
                drafts.append(draft)
        return np.array([d.values for d in drafts]), np.array([d.layers for d in drafts]), tuple(labels)


_settled_before: Final[deque[Settled]] = deque(maxlen=8)


def settled(symbols: tuple[str, ...], settings: Settings) -> Settled:
    """Return the layers that the settings decide, from memory where they were resolved before."""
    for known in tuple(_settled_before):
        if known.settings is settings and known.symbols == symbols:
            return known
    found = Settled(symbols, settings)
    _settled_before.append(found)
    return found


def _from_settings(symbols: tuple[str, ...], settings: Settings) -> EffectiveThresholds:
    params = settings.STAGE1_MONITOR_PARAMS
    shape = (len(NAMES), len(symbols))
    draft = Draft(symbols, np.empty(shape), np.zeros(shape, dtype=np.int16), [])
    row_of = {symbol: row for row, symbol in enumerate(symbols)}
    draft.put("global", slice(None), params.thresholds.model_dump())
    draft.put("stage2_config", slice(None), settings.STAGE2_CONFIG.trigger_thresholds)
    for asset_class in params.class_thresholds:
        if asset_class not in settings.ASSET_CLASS_MAPPING:
            raise ConfigError(
                f"STAGE1_MONITOR_PARAMS.class_thresholds: unknown asset class {asset_class},"
                f" ASSET_CLASS_MAPPING has {', '.join(sorted(settings.ASSET_CLASS_MAPPING)) or 'none'}"
            )
    for asset_class, members in settings.ASSET_CLASS_MAPPING.items():
        rows = [row_of[symbol] for symbol in members if symbol in row_of]
        draft.put(f"class:{asset_class}", rows, params.class_thresholds.get(asset_class, {}))
    for symbol, wanted in params.symbol_thresholds.items():
        if symbol in row_of:
            draft.put("symbol", [row_of[symbol]], wanted)
    return draft.finished()


__all__ = ["Settled", "settled"]
