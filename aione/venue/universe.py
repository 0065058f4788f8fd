"""The universe: which contracts may be traded at all, and for each of the others why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ValidationError

from aione.errors import InvalidInput
from aione.panel.bars import DAY_MS
from config.models import SymbolInfo
from config.settings import Settings

Reason = tuple[str, str | float]
"""(code of the guard, the value that it refused)."""


@dataclass(frozen=True, slots=True)
class Universe:
    """The tradable contracts at one moment.

    Attributes
    ----------
    symbols : tuple of str
        In the exchange's order.
    infos : tuple of SymbolInfo
        Of the same symbols in the same order.
    rejected : mapping symbol -> (reason, value)
        Every other contract with the first guard that refused it: ``contract_type``, ``underlying_type``, ``status``,
        ``quote_asset``, ``age_days`` or ``duplicate``.
    refreshed_ms : int
        The exchange's time of the refresh.
    is_stale : bool
        A later refresh failed or was empty; this is the last good one.
    stale_reason : str
    """

    symbols: tuple[str, ...]
    infos: tuple[SymbolInfo, ...]
    rejected: Mapping[str, Reason]
    refreshed_ms: int
    is_stale: bool = False
    stale_reason: str = ""

    def stale(self, reason: str) -> Self:
        """Return the same universe, marked as the last good one with what went wrong since."""
        return replace(self, is_stale=True, stale_reason=reason)

    def to_dict(self) -> dict[str, Any]:
        """Return the universe as JSON-able values."""
        return {
            "infos": [info.model_dump() for info in self.infos],
            "rejected": {symbol: list(reason) for symbol, reason in self.rejected.items()},
            "refreshed_ms": self.refreshed_ms,
            "is_stale": self.is_stale,
            "stale_reason": self.stale_reason,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a universe from `to_dict`; `InvalidInput` says what is wrong with it."""
        try:
            infos = tuple(SymbolInfo.model_validate(info) for info in values["infos"])
            rejected = {symbol: (str(code), value) for symbol, (code, value) in values["rejected"].items()}
            return cls(
                tuple(info.symbol for info in infos),
                infos,
                rejected,
                int(values["refreshed_ms"]),
                bool(values["is_stale"]),
                str(values["stale_reason"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
            raise InvalidInput(f"not a universe: {type(error).__name__}: {error}") from error


def select_universe(infos: Iterable[SymbolInfo], now_ms: int, settings: Settings) -> Universe:
    """Apply the guards to every contract.

    A contract belongs in the universe when it is perpetual, on a coin, trading, quoted in the configured asset and
    listed for at least ``min_age_days``. A symbol belongs once, and only with one set of trading rules: one that is
    listed several times with different ones that all belong is refused (``duplicate``, how many), since nobody knows
    which are right; of others the listing that belongs counts.

    Parameters
    ----------
    infos : iterable of SymbolInfo
        All that the exchange lists.
    now_ms : int
        The exchange's time.
    settings : Settings
        ``STAGE1_PREFILTER_THRESHOLDS`` holds quote asset and age.
    """
    floors = settings.STAGE1_PREFILTER_THRESHOLDS
    kept: dict[str, list[SymbolInfo]] = {}
    rejected: dict[str, Reason] = {}
    for info in infos:
        reason = _refusal(info, now_ms, floors.quote_asset, floors.min_age_days)
        if reason is not None:
            rejected.setdefault(info.symbol, reason)
        elif info not in kept.setdefault(info.symbol, []):
            kept[info.symbol].append(info)
    chosen = tuple(listings[0] for listings in kept.values() if len(listings) == 1)
    refused = {symbol: reason for symbol, reason in rejected.items() if symbol not in kept}
    refused |= {symbol: ("duplicate", len(listings)) for symbol, listings in kept.items() if len(listings) > 1}
    return Universe(tuple(info.symbol for info in chosen), chosen, refused, now_ms)


def _refusal(info: SymbolInfo, now_ms: int, quote_asset: str, min_age_days: float) -> Reason | None:
    if info.contract_type != "PERPETUAL":
        return "contract_type", info.contract_type
    if info.underlying_type != "COIN":
        return "underlying_type", info.underlying_type
    if info.status != "TRADING":
        return "status", info.status
    if info.quote_asset != quote_asset:
        return "quote_asset", info.quote_asset
    age_days = (now_ms - info.onboard_ms) / DAY_MS
    return ("age_days", round(age_days, 3)) if age_days < min_age_days else None


def journal_entry(before: Universe | None, after: Universe, at_ms: int) -> dict[str, Any]:
    """Return what a refresh changed, complete enough that `apply_entry` makes ``after`` of ``before``.

    ``added`` and ``changed`` hold contracts with all their rules, ``removed`` the symbols that left with the reason
    (``unlisted`` where the exchange no longer names them at all), ``refused`` and ``cleared`` what changed among the
    contracts that do not belong. ``order`` is there only where the exchange has put its contracts in another order.
    """
    old = {info.symbol: info for info in before.infos} if before else {}
    new = {info.symbol: info for info in after.infos}
    rejected = before.rejected if before else {}
    expected = [*(symbol for symbol in old if symbol in new), *(symbol for symbol in new if symbol not in old)]
    entry = {
        "at_ms": at_ms,
        "refreshed_ms": after.refreshed_ms,
        "symbols": len(after.symbols),
        "added": [info.model_dump() for symbol, info in new.items() if symbol not in old],
        "changed": [info.model_dump() for symbol, info in new.items() if symbol in old and old[symbol] != info],
        "removed": {symbol: list(after.rejected.get(symbol, ("unlisted", ""))) for symbol in old if symbol not in new},
        "refused": {s: list(reason) for s, reason in after.rejected.items() if rejected.get(s) != reason},
        "cleared": [symbol for symbol in rejected if symbol not in after.rejected],
        "is_stale": after.is_stale,
        "stale_reason": after.stale_reason,
    }
    return entry if expected == list(new) else {**entry, "order": list(new)}


def apply_entry(before: Universe | None, entry: Mapping[str, Any]) -> Universe:
    """Return the universe after a refresh, from the one before it and its `journal_entry`.

    Raises
    ------
    InvalidInput
        The entry is not one, or does not follow on ``before``.
    """
    try:
        told = {info["symbol"]: SymbolInfo.model_validate(info) for info in [*entry["added"], *entry["changed"]]}
        infos = {info.symbol: info for info in before.infos if info.symbol not in entry["removed"]} if before else {}
        infos |= told
        ordered = [infos[symbol] for symbol in entry.get("order", infos)]
        rejected = {s: reason for s, reason in (before.rejected if before else {}).items() if s not in entry["cleared"]}
        rejected |= {symbol: (str(code), value) for symbol, (code, value) in entry["refused"].items()}
        after = Universe(
            tuple(info.symbol for info in ordered),
            tuple(ordered),
            rejected,
            int(entry["refreshed_ms"]),
            bool(entry["is_stale"]),
            str(entry["stale_reason"]),
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InvalidInput(f"not an entry of the universe's journal: {type(error).__name__}: {error}") from error
    if len(after.symbols) != entry["symbols"]:
        raise InvalidInput(f"the journal has a gap: expected {entry['symbols']} symbols, came to {len(after.symbols)}")
    return after


__all__ = ["Reason", "Universe", "apply_entry", "journal_entry", "select_universe"]
