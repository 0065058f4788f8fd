"""How the simulated exchange behaves: the real exchange's numbers as defaults, each of them adjustable."""

from __future__ import annotations

from dataclasses import dataclass, fields

from aione.errors import InvalidInput

MAY_BE_ZERO = frozenset(
    {"closing_delay_s", "closing_spread_s", "refusals_before_ban", "latency_s", "budget_by_market_clock"}
)


@dataclass(frozen=True, slots=True)
class SimOptions:
    """Limits and delays of the simulated exchange.

    Attributes
    ----------
    weight_limit : int
        Request weight for an address and UTC minute; above it 429.
    funding_limit, data_limit : int
        Requests for an address and five minutes to ``fundingRate`` and to ``/futures/data``.
    refusals_before_ban : int
        429 answers in one minute that are forgiven; the next request is a ban (418).
    ban_s, max_ban_s : float
        Length of the first ban; each further one is twice as long, up to the maximum.
    closing_delay_s, closing_spread_s : float
        ``x: true`` comes this long after the bar's end, later by up to the spread, a constant of the symbol.
    tick_s : float
        Step of the one timer that serves every connection.
    kline_ms, book_ticker_ms, trade_ms, ticker_ms : int
        How often a stream of the kind may push; only changes are pushed.
    ping_interval_s, pong_timeout_s, lifetime_s : float
        Server pings, the longest silence without a pong, and the longest life of a connection.
    max_streams, control_per_s : int
        Streams of one connection, control messages of one second.
    coin_margined : tuple of str
        Base assets whose coin-margined contract is mixed into the all-market pushes (``st`` 2).
    liquidation_every_s : int
        Mean seconds between two liquidation orders of one symbol.
    max_buffer_bytes : int
        A client that reads so slowly that this much waits for it is cut off.
    latency_s : float
        Time that passes before a REST request is looked at: the way there and back.
    budget_by_market_clock : bool
        Count the budgets by the market's clock, which may run faster, and not by the machine's.
    """

    weight_limit: int = 2400
    funding_limit: int = 500
    data_limit: int = 1000
    refusals_before_ban: int = 5
    ban_s: float = 120.0
    max_ban_s: float = 3 * 86_400.0
    closing_delay_s: float = 2.0
    closing_spread_s: float = 0.3
    tick_s: float = 0.05
    kline_ms: int = 250
    book_ticker_ms: int = 250
    trade_ms: int = 100
    ticker_ms: int = 1000
    ping_interval_s: float = 180.0
    pong_timeout_s: float = 600.0
    lifetime_s: float = 86_400.0
    max_streams: int = 1024
    control_per_s: int = 10
    coin_margined: tuple[str, ...] = ("BTC", "ETH")
    liquidation_every_s: int = 120
    max_buffer_bytes: int = 8_000_000
    latency_s: float = 0.0
    budget_by_market_clock: bool = False

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            may_be_zero = item.name in MAY_BE_ZERO
            if not isinstance(value, tuple) and (value < 0 or (value == 0 and not may_be_zero)):
                raise InvalidInput(f"{item.name} must be {'at least' if may_be_zero else 'above'} 0, was {value}")


__all__ = ["SimOptions"]
