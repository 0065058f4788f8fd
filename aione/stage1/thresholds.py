"""Effective thresholds: what holds for each symbol after every layer has had its word.

The layers, weakest first; a later one overwrites an earlier one, value by value:

1. ``global``         ``STAGE1_MONITOR_PARAMS.thresholds``
2. ``class:<name>``   ``class_thresholds`` of the asset classes that hold the symbol (``ASSET_CLASS_MAPPING``)
3. ``symbol``         ``symbol_thresholds``
4. ``market_state``   what the state of the market asks for, symbol by symbol
5. ``rules``          what the dynamic rules ask for, symbol by symbol
6. ``run``            what this one run was told
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from aione.errors import ConfigError, InvalidInput
from aione.panel import F8
from config.models import TriggerThresholds
from config.settings import Settings

NAMES: Final[tuple[str, ...]] = tuple(TriggerThresholds.model_fields)
_COLUMN: Final = {name: column for column, name in enumerate(NAMES)}

Layer = Mapping[str, Mapping[str, float]]
"""Symbol -> threshold name -> value."""


@dataclass(frozen=True, slots=True)
class EffectiveThresholds:
    """Every threshold of every symbol, and the layer that set it.

    Attributes
    ----------
    symbols : tuple of str, length S
    values : float64 (K, S)
        One row a threshold, in the order of `NAMES`.
    layers : int16 (K, S)
        Index into ``labels``.
    labels : tuple of str
        Names of the layers that set anything.

    Examples
    --------
    >>> from config.settings import load_settings
    >>> thresholds = effective_thresholds(("BTCUSDT", "WIFUSDT"), load_settings(environ={}), override={"vwap_z": 2.2})
    >>> thresholds["volume_z"]
    array([2.5, 3. ])
    >>> [thresholds.layer(name, row=1) for name in ("relative_volume", "volume_z", "vwap_z")]
    ['global', 'class:meme', 'run']
    """

    symbols: tuple[str, ...]
    values: F8
    layers: NDArray[np.int16]
    labels: tuple[str, ...]

    def __getitem__(self, name: str) -> F8:
        """Return one threshold, float64 (S,); `InvalidInput` where there is none of this name."""
        row: F8 = self.values[_column(name)]
        return row

    def __contains__(self, name: object) -> bool:
        return name in _COLUMN

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def layer(self, name: str, row: int) -> str:
        """Return the label of the layer that set this threshold of the symbol in ``row``."""
        return self.labels[int(self.layers[_column(name), row])]

    def explain(self, row: int) -> dict[str, dict[str, float | str]]:
        """Return ``{threshold: {"value": ..., "layer": ...}}`` of the symbol in ``row``, ready for JSON."""
        return {
            name: {"value": float(self.values[column, row]), "layer": self.labels[int(self.layers[column, row])]}
            for name, column in _COLUMN.items()
        }


def effective_thresholds(
    symbols: tuple[str, ...],
    settings: Settings,
    *,
    market_state: Layer | None = None,
    rules: Layer | None = None,
    override: Mapping[str, float] | None = None,
) -> EffectiveThresholds:
    """Lay every layer on the ones below it.

    Parameters
    ----------
    symbols : tuple of str, length S
    settings : Settings
        Its three layers are resolved once for the same settings object and the same symbols, then remembered.
    market_state, rules : mapping symbol -> threshold -> value, optional
        Computed layers; symbols that are not in ``symbols`` are ignored.
    override : mapping threshold -> value, optional
        This run's own layer, for every symbol.

    Raises
    ------
    ConfigError
        A layer names an unknown threshold or asset class, or its value is out of bounds.
    """
    base = _settled(symbols, settings)
    if not (market_state or rules or override):
        return base
    draft = _Draft(symbols, base.values.copy(), base.layers.copy(), list(base.labels))
    for label, layer in (("market_state", market_state), ("rules", rules)):
        for symbol, wanted in (layer or {}).items():
            draft.lay(label, [symbol], wanted, f"layer {label}: {symbol}")
    if override:
        draft.lay("run", None, override, "run override")
    return draft.finished()


class _Draft:
    """Thresholds while the layers are being laid on."""

    def __init__(self, symbols: tuple[str, ...], values: F8, layers: NDArray[np.int16], labels: list[str]) -> None:
        self.symbols, self.values, self.layers, self.labels = symbols, values, layers, labels
        self.row = {symbol: row for row, symbol in enumerate(symbols)}

    def lay(self, label: str, members: list[str] | None, wanted: Mapping[str, float], where: str) -> None:
        """Set ``wanted`` for ``members`` (None is everyone); ``where`` names the source in an error."""
        _check(wanted, where)
        rows = [self.row[symbol] for symbol in members if symbol in self.row] if members is not None else slice(None)
        if label not in self.labels:
            self.labels.append(label)
        for name, value in wanted.items():
            self.values[_COLUMN[name], rows] = value
            self.layers[_COLUMN[name], rows] = self.labels.index(label)

    def finished(self) -> EffectiveThresholds:
        self.values.flags.writeable = False
        self.layers.flags.writeable = False
        return EffectiveThresholds(self.symbols, self.values, self.layers, tuple(self.labels))


_settled_before: deque[tuple[Settings, EffectiveThresholds]] = deque(maxlen=8)


def _settled(symbols: tuple[str, ...], settings: Settings) -> EffectiveThresholds:
    """Return the layers that the settings alone decide, from memory where they were resolved before."""
    for known, thresholds in tuple(_settled_before):
        if known is settings and thresholds.symbols == symbols:
            return thresholds
    thresholds = _from_settings(symbols, settings)
    _settled_before.append((settings, thresholds))
    return thresholds


def _from_settings(symbols: tuple[str, ...], settings: Settings) -> EffectiveThresholds:
    params = settings.STAGE1_MONITOR_PARAMS
    shape = (len(NAMES), len(symbols))
    draft = _Draft(symbols, np.empty(shape), np.zeros(shape, dtype=np.int16), [])
    draft.lay("global", None, params.thresholds.model_dump(), "STAGE1_MONITOR_PARAMS.thresholds")
    for asset_class in params.class_thresholds:
        if asset_class not in settings.ASSET_CLASS_MAPPING:
            raise ConfigError(
                f"STAGE1_MONITOR_PARAMS.class_thresholds: unknown asset class {asset_class},"
                f" ASSET_CLASS_MAPPING has {', '.join(sorted(settings.ASSET_CLASS_MAPPING)) or 'none'}"
            )
    for asset_class, members in settings.ASSET_CLASS_MAPPING.items():
        wanted = params.class_thresholds.get(asset_class, {})
        draft.lay(f"class:{asset_class}", members, wanted, f"STAGE1_MONITOR_PARAMS.class_thresholds.{asset_class}")
    for symbol, wanted in params.symbol_thresholds.items():
        draft.lay("symbol", [symbol], wanted, f"STAGE1_MONITOR_PARAMS.symbol_thresholds.{symbol}")
    return draft.finished()


def _check(wanted: Mapping[str, Any], where: str) -> None:
    for name in wanted:
        if name not in _COLUMN:
            raise ConfigError(f"{where}: unknown threshold {name}, expected one of {', '.join(NAMES)}")
    try:
        TriggerThresholds.model_validate(dict(wanted))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}.{first['loc'][0]}: {first['msg']}, was {first['input']!r}") from error


def _column(name: str) -> int:
    try:
        return _COLUMN[name]
    except KeyError:
        raise InvalidInput(f"there is no threshold {name}, expected one of {', '.join(NAMES)}") from None


__all__ = ["NAMES", "EffectiveThresholds", "Layer", "effective_thresholds"]
