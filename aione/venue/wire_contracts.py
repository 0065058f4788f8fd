"""Contracts as exchangeInfo lists them, into `SymbolInfo`."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import msgspec
from msgspec import field

from aione.venue.wire import Moment, decode, decoder_of
from config.models import SymbolInfo


class _Contract(msgspec.Struct):
    symbol: str
    status: str
    base_asset: str = field(name="baseAsset")
    quote_asset: str = field(name="quoteAsset")
    contract_type: str = field(name="contractType", default="")
    underlying_type: str = field(name="underlyingType", default="")
    onboard_ms: Moment = field(name="onboardDate", default=0)
    delivery_ms: Moment = field(name="deliveryDate", default=0)
    filters: list[dict[str, Any]] = field(default_factory=list)


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Contract]


_EXCHANGE_INFO: Final = decoder_of(_ExchangeInfo)


def decode_exchange_info(body: bytes, *, what: str) -> tuple[list[SymbolInfo], dict[str, str]]:
    """Decode every contract; return them and, by symbol, why a contract without usable trading rules was left out.

    Tick size comes from PRICE_FILTER, step size from LOT_SIZE; filters of unknown types are ignored.
    """
    infos: list[SymbolInfo] = []
    refused: dict[str, str] = {}
    for row in decode(body, _EXCHANGE_INFO, what=what).symbols:
        rules = {str(rule.get("filterType")): rule for rule in row.filters}
        tick_size = _rule(rules, "PRICE_FILTER", "tickSize")
        step_size = _rule(rules, "LOT_SIZE", "stepSize")
        if not tick_size or not step_size:
            refused[row.symbol] = f"tick size {tick_size}, step size {step_size}"
            continue
        infos.append(
            SymbolInfo(
                symbol=row.symbol,
                base_asset=row.base_asset,
                quote_asset=row.quote_asset,
                contract_type=row.contract_type,
                underlying_type=row.underlying_type,
                status=row.status,
                onboard_ms=row.onboard_ms,
                delivery_ms=row.delivery_ms,
                tick_size=tick_size,
                step_size=step_size,
                min_notional=_rule(rules, "MIN_NOTIONAL", "notional") or 0.0,
            )
        )
    return infos, refused


def _rule(rules: dict[str, dict[str, Any]], kind: str, name: str) -> float | None:
    try:
        value = float(rules[kind][name])
    except (KeyError, TypeError, ValueError):
        return None
    return value if isfinite(value) and value >= 0 else None


__all__ = ["decode_exchange_info"]
