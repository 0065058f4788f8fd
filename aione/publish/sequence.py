"""What a delta is and how a consumer follows a sequence of them. Pure: no I/O, no clock.

A consumer holds one snapshot. Each delta fits on the snapshot whose ``seq`` is one less, in the same ``epoch``.
Anything else means that something was missed (`Verdict.RESYNC`: read the snapshot key again) or was already known
(`Verdict.IGNORE`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec

from aione.errors import InvalidInput
from aione.publish.payload import Asset, Delta, Snapshot


class Verdict(Enum):
    """What to do with a delta."""

    APPLY = "apply"
    IGNORE = "ignore"
    RESYNC = "resync"


def judge(held: Snapshot | None, delta: Delta) -> Verdict:
    """Say whether ``delta`` fits on the snapshot that is held; None stands for nothing held yet."""
    if held is None or delta.meta.epoch != held.meta.epoch:
        return Verdict.RESYNC
    if delta.meta.seq <= held.meta.seq:
        return Verdict.IGNORE
    return Verdict.APPLY if delta.meta.seq == held.meta.seq + 1 else Verdict.RESYNC


def apply_delta(held: Snapshot, delta: Delta) -> Snapshot:
    """Return the snapshot after ``delta``: equal to the one that was published with it.

    Raises
    ------
    InvalidInput
        The delta does not fit on what is held.
    """
    if judge(held, delta) is not Verdict.APPLY:
        raise InvalidInput(
            f"expected seq {held.meta.seq + 1} of epoch {held.meta.epoch}, "
            f"was seq {delta.meta.seq} of epoch {delta.meta.epoch}"
        )
    removed = set(delta.removed)
    assets = {asset.symbol: asset for asset in held.assets if asset.symbol not in removed}
    assets.update((asset.symbol, asset) for asset in delta.assets)
    return Snapshot(meta=delta.meta, counters=delta.counters, assets=_ordered(assets.values()))


def merge(before: Sequence[Asset], now: Iterable[Asset], ts_ms: int) -> tuple[list[Asset], list[Asset], list[str]]:
    """Compare the assets of two cycles.

    An asset whose content is what it was keeps its old ``last_updated``; every other gets ``ts_ms``.

    Returns
    -------
    assets : all of ``now``, ordered by symbol
    changed : those of them that are new or differ
    removed : symbols that were there before and are no more

    Raises
    ------
    InvalidInput
        One symbol twice.
    """
    known = {asset.symbol: asset for asset in before}
    assets: dict[str, Asset] = {}
    changed: list[Asset] = []
    for asset in now:
        if asset.symbol in assets:
            raise InvalidInput(f"expected each symbol once, {asset.symbol} was there twice")
        old = known.get(asset.symbol)
        if old is not None and old == msgspec.structs.replace(asset, last_updated=old.last_updated):
            assets[asset.symbol] = old
        else:
            assets[asset.symbol] = msgspec.structs.replace(asset, last_updated=ts_ms)
            changed.append(assets[asset.symbol])
    return _ordered(assets.values()), _ordered(changed), sorted(known.keys() - assets.keys())


def _ordered(assets: Iterable[Asset]) -> list[Asset]:
    return sorted(assets, key=lambda asset: asset.symbol)


__all__ = ["Verdict", "apply_delta", "judge", "merge"]
