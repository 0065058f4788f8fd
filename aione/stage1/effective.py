"""`EffectiveThresholds`: every threshold of every symbol with the layer that set it, and how layers are laid on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aione.errors import InvalidInput
from aione.panel import F8
from aione.stage1.layers import COLUMN, LEAST, MOST, NAMES, DenseLayer, check_bounds
from config.models import ThresholdChange

I2 = NDArray[np.int16]


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
        Names of the layers that may have set anything.

    Examples
    --------
    >>> from aione.stage1 import effective_thresholds
    >>> from config.settings import load_settings
    >>> thresholds = effective_thresholds(("BTCUSDT", "WIFUSDT"), load_settings(environ={}), override={"vwap_z": 2.2})
    >>> thresholds["volume_z"]
    array([2.5, 3. ])
    >>> [thresholds.layer(name, row=1) for name in ("relative_volume", "volume_z", "vwap_z")]
    ['global', 'class:meme', 'run']
    """

    symbols: tuple[str, ...]
    values: F8
    layers: I2
    labels: tuple[str, ...]

    def __getitem__(self, name: str) -> F8:
        """Return one threshold, float64 (S,); `InvalidInput` where there is none of this name."""
        row: F8 = self.values[_column(name)]
        return row

    def __contains__(self, name: object) -> bool:
        return name in COLUMN

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def layer(self, name: str, row: int) -> str:
        """Return the label of the layer that set this threshold of the symbol in ``row``."""
        return self.labels[int(self.layers[_column(name), row])]

    def explain(self, row: int) -> dict[str, dict[str, float | str]]:
        """Return ``{threshold: {"value": ..., "layer": ...}}`` of the symbol in ``row``, ready for JSON."""
        values, layers = self.values[:, row].tolist(), self.layers[:, row].tolist()
        return {
            name: {"value": value, "layer": self.labels[layer]}
            for name, value, layer in zip(NAMES, values, layers, strict=True)
        }


class Draft:
    """Thresholds while the layers are being laid on."""

    def __init__(self, symbols: tuple[str, ...], values: F8, layers: I2, labels: list[str]) -> None:
        self.symbols, self.values, self.layers, self.labels = symbols, values, layers, labels

    def put(self, label: str, rows: list[int] | slice, wanted: Mapping[str, float | ThresholdChange]) -> None:
        """Set ``wanted`` for the symbols in ``rows``, a change upon what holds there so far."""
        number = self._number(label)
        for name, value in wanted.items():
            at = (COLUMN[name], rows)
            if isinstance(value, ThresholdChange):
                changed = self.values[at] * value.factor + value.add
                self.values[at] = np.clip(changed, LEAST[at[0]], MOST[at[0]])
            else:
                self.values[at] = value
            self.layers[at] = number

    def lay(self, layer: DenseLayer, name: str) -> None:
        """Set what a layer says."""
        if layer.symbols != self.symbols:
            raise InvalidInput(
                f"layer {name} must hold the {len(self.symbols)} symbols of the run in their order,"
                f" held {len(layer.symbols)} symbols or another order"
            )
        check_bounds(layer.values, layer.symbols, f"layer {name}")
        is_said = ~np.isnan(layer.values)
        numbers = np.array([self._number(label) for label in layer.labels], dtype=np.int16)
        self.values[is_said] = layer.values[is_said]
        self.layers[is_said] = numbers[layer.sources[is_said]]

    def finished(self) -> EffectiveThresholds:
        """Return them, from now on read-only."""
        self.values.flags.writeable = False
        self.layers.flags.writeable = False
        return EffectiveThresholds(self.symbols, self.values, self.layers, tuple(self.labels))

    def _number(self, label: str) -> int:
        if label not in self.labels:
            self.labels.append(label)
        return self.labels.index(label)


def _column(name: str) -> int:
    try:
        return COLUMN[name]
    except KeyError:
        raise InvalidInput(f"there is no threshold {name}, expected one of {', '.join(NAMES)}") from None


__all__ = ["I2", "Draft", "EffectiveThresholds"]
