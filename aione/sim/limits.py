"""What the exchange allows one address to ask: weight a minute, requests in five minutes, 429 and then 418."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from aione.sim.clock import wall_ms
from aione.sim.options import SimOptions

MINUTE_MS: Final = 60_000
FIVE_MINUTES_MS: Final = 300_000
WEIGHT: Final = "weight"
FUNDING: Final = "funding"
DATA: Final = "data"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that tells an address to stop.

    Attributes
    ----------
    status : int
        429, or 418 for an address that went on.
    retry_after_s : int
        What the ``Retry-After`` header carries.
    message : str
        The error body's text; its code is always -1003.
    """

    status: int
    retry_after_s: int
    message: str


@dataclass(slots=True)
class _Account:
    """What one address has used; a window's count starts anew when the window's number changes."""

    windows: dict[str, tuple[int, int]] = field(default_factory=dict)
    refusals: tuple[int, int] = (0, 0)
    banned_until_ms: int = 0
    bans: int = 0


class Limits:
    """Request budgets of every address, counted by UTC clock windows of the machine's own time.

    Parameters
    ----------
    options : SimOptions
        The limits.
    now_ms : callable
        UTC epoch milliseconds; the market's clock is not used, it may be frozen.

    Examples
    --------
    >>> limits = Limits(SimOptions(weight_limit=10), now_ms=lambda: 59_000)
    >>> limits.charge("10.0.0.1", WEIGHT, 10), limits.used_weight("10.0.0.1")
    (None, 10)
    >>> limits.charge("10.0.0.1", WEIGHT, 1).retry_after_s
    1
    """

    def __init__(self, options: SimOptions, now_ms: Callable[[], int] = wall_ms) -> None:
        self._options = options
        self.now_ms = now_ms
        self._accounts: dict[str, _Account] = {}
        self._budgets = {
            WEIGHT: (options.weight_limit, MINUTE_MS),
            FUNDING: (options.funding_limit, FIVE_MINUTES_MS),
            DATA: (options.data_limit, FIVE_MINUTES_MS),
        }

    def charge(self, address: str, budget: str, cost: int) -> Refusal | None:
        """Count ``cost`` against a budget of ``address``; return why it is refused, or None where it is served.

        A refused request costs as well. After ``refusals_before_ban`` refusals within a minute the address is banned.
        """
        now_ms = self.now_ms()
        account = self._accounts.setdefault(address, _Account())
        used = self._add(account, budget, cost, now_ms)
        if now_ms < account.banned_until_ms:
            return self._banned(account, address, now_ms)
        limit, window_ms = self._budgets[budget]
        if used <= limit:
            return None
        minute = now_ms // MINUTE_MS
        refusals = account.refusals[1] + 1 if account.refusals[0] == minute else 1
        account.refusals = (minute, refusals)
        if refusals > self._options.refusals_before_ban:
            return self._ban(account, address, now_ms)
        wait_s = ceil((window_ms - now_ms % window_ms) / 1000)
        what = f"{limit} request weight per 1 MINUTE" if budget == WEIGHT else f"{limit} requests per 5 MINUTE"
        text = f"Too many requests; current limit of IP({address}) is {what}. "
        return Refusal(429, wait_s, text + "Please use the websocket for live updates to avoid polling the API.")

    def used_weight(self, address: str) -> int:
        """Return the weight that ``address`` has used in the present UTC minute."""
        account = self._accounts.get(address)
        number, used = account.windows.get(WEIGHT, (-1, 0)) if account else (-1, 0)
        return used if number == self.now_ms() // MINUTE_MS else 0

    def addresses(self) -> dict[str, int]:
        """Return address -> weight used in the present minute."""
        return {address: self.used_weight(address) for address in self._accounts}

    def _add(self, account: _Account, budget: str, cost: int, now_ms: int) -> int:
        number = now_ms // self._budgets[budget][1]
        seen, used = account.windows.get(budget, (number, 0))
        used = cost + (used if seen == number else 0)
        account.windows[budget] = (number, used)
        return used

    def _ban(self, account: _Account, address: str, now_ms: int) -> Refusal:
        length_s = min(self._options.ban_s * 2**account.bans, self._options.max_ban_s)
        account.bans += 1
        account.banned_until_ms = now_ms + int(length_s * 1000)
        return self._banned(account, address, now_ms)

    def _banned(self, account: _Account, address: str, now_ms: int) -> Refusal:
        until_ms = account.banned_until_ms
        return Refusal(418, ceil((until_ms - now_ms) / 1000), ban_text(address, until_ms))


def ban_text(address: str, until_ms: int) -> str:
    """Return the text of a ban; clients read the moment out of it.

    Examples
    --------
    >>> ban_text("10.0.0.1", 5000)
    'Way too many requests; IP(10.0.0.1) banned until 5000. Please use the websocket for live updates to avoid bans.'
    """
    return (
        f"Way too many requests; IP({address}) banned until {until_ms}. "
        "Please use the websocket for live updates to avoid bans."
    )


__all__ = ["DATA", "FUNDING", "WEIGHT", "Limits", "Refusal", "ban_text"]
