"""The universe: which contracts may be traded at all, and for each of the others why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        ``quote_asset`` or ``age_days``.
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
    listed for at least ``min_age_days``.

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
    kept: list[SymbolInfo] = []
    rejected: dict[str, Reason] = {}
    for info in infos:
        reason = _refusal(info, now_ms, floors.quote_asset, floors.min_age_days)
        if reason is None:
            kept.append(info)
        else:
            rejected[info.symbol] = reason
    return Universe(tuple(info.symbol for info in kept), tuple(kept), rejected, now_ms)


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


def journal_entry(before: Universe | None, after: Universe) -> dict[str, Any]:
    """Return what a refresh changed: symbols added, and symbols removed with the reason.

    A symbol that the exchange no longer lists at all is ``unlisted``.
    """
    old: Sequence[str] = before.symbols if before else ()
    held, kept = set(old), set(after.symbols)
    return {
        "at_ms": after.refreshed_ms,
        "symbols": len(after.symbols),
        "added": [symbol for symbol in after.symbols if symbol not in held],
        "removed": {symbol: list(after.rejected.get(symbol, ("unlisted", ""))) for symbol in old if symbol not in kept},
        "is_stale": after.is_stale,
        "stale_reason": after.stale_reason,
    }


__all__ = ["Reason", "Universe", "journal_entry", "select_universe"]
