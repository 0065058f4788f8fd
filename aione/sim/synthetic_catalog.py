"""Who is listed on the synthetic exchange: names, price levels, liquidity, trading rules, contracts that come and go.

Real names lead, in the rough order of their turnover; invented ones follow. Around them stand the rows that a client
must keep out of its universe: equities and metals, quarterlies, other quote assets, an index, dead and dying symbols.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil, floor, log10
from typing import Final

import numpy as np

from aione.sim.market import DAY_MS, Listing
from aione.sim.noise import noise_key, normal, uniform
from aione.sim.quotes import BookModel

HOUR_MS: Final = 3_600_000
FOREVER_MS: Final = 4_133_404_800_000  # 2100-12-25, what the exchange writes for a perpetual
EPOCH_MS: Final = int(datetime(2021, 1, 1, tzinfo=UTC).timestamp() * 1000)
NON_ASCII: Final = "币安人生USDT"
LIFE_DAYS: Final = 6
SETTLING_MS: Final = 3 * HOUR_MS
PENDING_MS: Final = 6 * HOUR_MS
MAX_SYMBOLS: Final = 1000

_NAMES: Final = (
    "BTC:95000 ETH:3200 SOL:160 XRP:2.2 BNB:640 DOGE:0.19 ADA:0.68 SUI:3.4 LINK:15.5 AVAX:22 LTC:92 1000PEPE:0.0112 "
    "BCH:420 TRX:0.26 DOT:4.6 NEAR:2.7 APT:5.4 UNI:6.8 FIL:2.9 ARB:0.39 OP:0.76 INJ:11.5 TIA:2.7 SEI:0.21 WIF:0.85 "
    "1000SHIB:0.0137 1000BONK:0.0181 ETC:17.9 XLM:0.28 HBAR:0.18 ATOM:4.7 AAVE:215 MKR:1650 ENA:0.36 ONDO:0.93 "
    "FET:0.72 RENDER:4.4 TAO:390 WLD:1.05 JUP:0.49 PYTH:0.14 STRK:0.15 LDO:0.95 CRV:0.66 ALGO:0.21 VET:0.026 "
    "ICP:5.1 GALA:0.017 SAND:0.29 MANA:0.31 AXS:2.6 EOS:0.77 XMR:345 KAS:0.1 ZEC:52 DASH:23 COMP:44 SNX:0.72 "
    "ENJ:0.081 CHZ:0.041 LAYER:0.84 EIGEN:1.35 PENDLE:4.2 ORDI:8.1"
)
_HEADS: Final = "ZOR KEL VAX NIM LUM QUA DRA PYX TOR FEN GLI HEX JOV MYR OXA RIL SYL UMB WEX YAR"
_TAILS: Final = "IA OX EN US AR IS ON YX UM ET AL OS IK ER UR"
_OUTSIDERS: Final = (  # symbol, base, quote, contract type, underlying type, price, daily turnover
    ("TSLAUSDT", "TSLA", "USDT", "TRADIFI_PERPETUAL", "EQUITY", 330.0, 9e7),
    ("XAUUSDT", "XAU", "USDT", "TRADIFI_PERPETUAL", "COMMODITY", 3300.0, 2e8),
    ("BTCDOMUSDT", "BTCDOM", "USDT", "PERPETUAL", "INDEX", 4500.0, 3e7),
    ("BTCUSDC", "BTC", "USDC", "PERPETUAL", "COIN", 95000.0, 1.1e9),
    ("ETHUSDC", "ETH", "USDC", "PERPETUAL", "COIN", 3200.0, 7e8),
    ("BTCUSD_PERP", "BTC", "USD", "PERPETUAL", "COIN", 95000.0, 8e8),
    ("OLDUSDT", "OLD", "USDT", "PERPETUAL", "COIN", 0.0412, 0.0),
    ("MUTEUSDT", "MUTE", "USDT", "PERPETUAL", "COIN", 1.337, 0.0),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """How one contract behaves.

    Attributes
    ----------
    symbol, base_asset, quote_asset, contract_type, underlying_type : str
    price : float
        The level around which it wanders.
    daily_turnover : float
        Quote value of an ordinary day; 0 is a dead symbol, which never trades.
    tick_size, step_size : float
    beta : float
        Share of the market factor's return in its own.
    sigma : float
        Standard deviation of its own minute returns, beside the factor.
    onboard_ms, delivery_ms : int
        Its bars have ``onboard_ms <= open_time_ms < delivery_ms``.
    """

    symbol: str
    base_asset: str
    quote_asset: str
    contract_type: str
    underlying_type: str
    price: float
    daily_turnover: float
    tick_size: float
    step_size: float
    beta: float
    sigma: float
    onboard_ms: int
    delivery_ms: int = FOREVER_MS

    def listing(self, status: str = "TRADING") -> Listing:
        """Return its row of exchangeInfo."""
        return Listing(
            symbol=self.symbol,
            base_asset=self.base_asset,
            quote_asset=self.quote_asset,
            contract_type=self.contract_type,
            underlying_type=self.underlying_type,
            status=status,
            onboard_ms=self.onboard_ms,
            delivery_ms=self.delivery_ms,
            tick_size=decimal_text(self.tick_size),
            step_size=decimal_text(self.step_size),
            min_notional="50" if self.symbol == "BTCUSDT" else "5",
        )

    def book(self, seed: int) -> BookModel:
        """Return what its quotes are drawn from."""
        key = noise_key(seed, self.symbol, "book")
        wide = 1.0 + 4.0 * float(uniform(key, np.array([1]))[0]) ** 12
        return BookModel(self.tick_size, max(self.daily_turnover, 1e4), key, wide)


def decimal_text(value: float) -> str:
    """Write a power of ten without an exponent, as the exchange does.

    Examples
    --------
    >>> decimal_text(1e-06), decimal_text(0.1), decimal_text(1.0)
    ('0.000001', '0.1', '1')
    """
    return f"{value:.12f}".rstrip("0").rstrip(".")


def tick_for(price: float) -> float:
    """Return a tick of one to ten parts in 100 000 of the price, a power of ten.

    Examples
    --------
    >>> tick_for(95000.0), tick_for(0.68)
    (0.1, 1e-05)
    """
    return float(round(10.0 ** (floor(log10(price)) - 4 if price < 1000 else floor(log10(price)) - 5), 12))


def step_for(price: float) -> float:
    """Return a quantity step worth about a dollar to ten, a power of ten between 0.001 and 1.

    Examples
    --------
    >>> step_for(95000.0), step_for(0.19)
    (0.001, 1.0)
    """
    return float(min(1.0, max(0.001, round(10.0 ** -ceil(log10(price)), 6))))


@lru_cache(maxsize=8)
def coin_profiles(symbols: int, seed: int) -> tuple[Profile, ...]:
    """Return the ordinary coin perpetuals, most traded first; one of five or more has a non-ASCII name.

    A symbol's profile depends on the seed and its name alone, not on how many others are listed.
    """
    named = [part.split(":") for part in _NAMES.split()]
    priced = [(f"{base}USDT", base, float(price)) for base, price in named]
    invented = [
        f"{head}{tail}{suffix}" for suffix in ("", "2", "X", "3") for head in _HEADS.split() for tail in _TAILS.split()
    ]
    for base in invented:
        level = 10.0 ** (-3.0 + 5.0 * float(uniform(noise_key("level", base), np.array([0]))[0]))
        priced.append((f"{base}USDT", base, level))
    chosen = [(rank, *row) for rank, row in enumerate(priced[:symbols], start=1)]
    if symbols >= 5:
        chosen[-1] = (25, NON_ASCII, NON_ASCII.removesuffix("USDT"), 0.22)
    rows = [_coin(seed, rank, symbol, base, price) for rank, symbol, base, price in chosen]
    return tuple(sorted(rows, key=lambda row: -row.daily_turnover))


def _coin(seed: int, rank: int, symbol: str, base: str, price: float) -> Profile:
    key = noise_key(seed, symbol, "profile")
    draw = normal(key, np.arange(4))
    age_days = int(float(uniform(key, np.array([99]))[0]) * 1200)
    is_btc = symbol == "BTCUSDT"
    turnover = 1.2e10 * rank**-1.25 * float(np.exp(0.0 if rank <= 2 else 0.4 * draw[0]))
    return Profile(
        symbol=symbol,
        base_asset=base,
        quote_asset="USDT",
        contract_type="PERPETUAL",
        underlying_type="COIN",
        price=price,
        daily_turnover=turnover,
        tick_size=tick_for(price),
        step_size=step_for(price),
        beta=1.0 if is_btc else float(np.clip(1.05 + 0.2 * draw[1], 0.5, 1.6)),
        sigma=5e-5 if is_btc else float(np.clip(7.5e-4 * rank**0.08 * np.exp(0.25 * draw[2]), 4.5e-4, 2.4e-3)),
        onboard_ms=EPOCH_MS + age_days * DAY_MS,
    )


# ── The rows around them ──


@lru_cache(maxsize=8)
def outsider_profiles(seed: int) -> tuple[Profile, ...]:
    """Return equities, metals, other quote assets, an index and dead symbols."""
    return tuple(_outsider(seed, *row) for row in _OUTSIDERS)


def _outsider(
    seed: int, symbol: str, base: str, quote: str, kind: str, underlying: str, price: float, turnover: float
) -> Profile:
    is_coin = underlying == "COIN"
    own = 6e-5 if is_coin else 4e-4
    return Profile(
        symbol=symbol,
        base_asset=base,
        quote_asset=quote,
        contract_type=kind,
        underlying_type=underlying,
        price=price,
        daily_turnover=turnover,
        tick_size=tick_for(price),
        step_size=step_for(price),
        beta=1.0 if is_coin else 0.15,
        sigma=own * float(1.0 + 0.2 * uniform(noise_key(seed, symbol, "profile"), np.array([0]))[0]),
        onboard_ms=EPOCH_MS + 500 * DAY_MS,
    )


def quarter_ends(now_ms: int) -> tuple[datetime, datetime]:
    """Return the delivery of the current and of the next quarterly: a quarter's last Friday, 08:00 UTC.

    Examples
    --------
    >>> [f"{day:%y%m%d}" for day in quarter_ends(1_795_000_000_000)]
    ['261225', '270326']
    """
    now = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    found = []
    for quarter in range(now.year * 4 + (now.month - 1) // 3, now.year * 4 + (now.month - 1) // 3 + 3):
        year, month = divmod(quarter * 3 + 3, 12)
        last = datetime(year, month + 1, 1, 8, tzinfo=UTC) - timedelta(days=1)
        friday = last - timedelta(days=(last.weekday() - 4) % 7)
        if friday > now:
            found.append(friday)
    return found[0], found[1]


def quarterly_profile(seed: int, symbol: str) -> Profile | None:
    """Return the profile of a symbol such as BTCUSDT_261225; None for any other name."""
    perpetual, _, date = symbol.partition("_")
    if perpetual not in {"BTCUSDT", "ETHUSDT"} or len(date) != 6 or not date.isascii() or not date.isdigit():
        return None
    try:
        day = datetime.strptime(date, "%y%m%d").replace(hour=8, tzinfo=UTC)
    except ValueError:
        return None
    end_ms = int(day.timestamp() * 1000)
    if quarter_ends(end_ms - 1)[0] != day:
        return None
    base, price, turnover = ("BTC", 96000.0, 2e8) if perpetual == "BTCUSDT" else ("ETH", 3240.0, 8e7)
    row = _outsider(seed, symbol, base, "USDT", "CURRENT_QUARTER", "COIN", price, turnover)
    return replace(row, onboard_ms=end_ms - 190 * DAY_MS, delivery_ms=end_ms)


def quarterly_profiles(seed: int, now_ms: int) -> list[tuple[Profile, str]]:
    """Return the quarterlies listed at ``now_ms`` with their contract types."""
    kinds = ("CURRENT_QUARTER", "NEXT_QUARTER")
    rows = []
    for perpetual in ("BTCUSDT", "ETHUSDT"):
        for end, kind in zip(quarter_ends(now_ms), kinds, strict=True):
            row = quarterly_profile(seed, f"{perpetual}_{end:%y%m%d}")
            if row is not None:
                rows.append((row, kind))
    return rows


# ── Contracts that come and go: one listed and one delisted every day ──


def visitor_symbol(day: int) -> str:
    """Return the name of the contract that is listed on ``day`` (since the epoch); a name returns after 26 days.

    Examples
    --------
    >>> visitor_symbol(26 * 800), visitor_symbol(26 * 801 + 1)
    ('VISITAUSDT', 'VISITBUSDT')
    """
    return f"VISIT{chr(ord('A') + day % 26)}USDT"


def visitor_profile(seed: int, day: int) -> Profile:
    """Return the contract listed on ``day``: it trades for six days to the hour and is then settled."""
    symbol = visitor_symbol(day)
    hour = int(uniform(noise_key(seed, symbol, day), np.array([0]))[0] * 24)
    start = day * DAY_MS + hour * HOUR_MS
    level = 10.0 ** (-2.0 + 3.0 * float(uniform(noise_key(seed, symbol, "level"), np.array([0]))[0]))
    row = _coin(seed, 40, symbol, symbol.removesuffix("USDT"), level)
    return replace(row, onboard_ms=start, delivery_ms=start + LIFE_DAYS * DAY_MS)


def visitors(seed: int, now_ms: int) -> list[tuple[Profile, str]]:
    """Return the contracts on their way in or out at ``now_ms``, with their status."""
    rows = []
    today = now_ms // DAY_MS
    for day in range(today - LIFE_DAYS - 1, today + 2):
        row = visitor_profile(seed, day)
        if row.onboard_ms - PENDING_MS <= now_ms < row.onboard_ms:
            rows.append((row, "PENDING_TRADING"))
        elif row.onboard_ms <= now_ms < row.delivery_ms:
            rows.append((row, "TRADING"))
        elif row.delivery_ms <= now_ms < row.delivery_ms + SETTLING_MS:
            rows.append((row, "SETTLING"))
    return rows


def visitor_lives(seed: int, symbol: str, start_ms: int, end_ms: int) -> list[Profile]:
    """Return the lives of a visitor's name that touch the time range, in order; none for any other symbol."""
    letter = symbol.removeprefix("VISIT").removesuffix("USDT")
    if visitor_symbol(ord(letter[0]) - ord("A") if letter else 0) != symbol or len(letter) != 1:
        return []
    offset = ord(letter) - ord("A")
    first = (start_ms // DAY_MS - LIFE_DAYS - 1 - offset) // 26
    last = (end_ms // DAY_MS + 1 - offset) // 26
    lives = [visitor_profile(seed, 26 * turn + offset) for turn in range(max(first, 0), last + 1)]
    return [life for life in lives if life.onboard_ms <= end_ms and start_ms < life.delivery_ms]


__all__ = [
    "FOREVER_MS",
    "LIFE_DAYS",
    "MAX_SYMBOLS",
    "NON_ASCII",
    "SETTLING_MS",
    "Profile",
    "coin_profiles",
    "decimal_text",
    "outsider_profiles",
    "quarter_ends",
    "quarterly_profile",
    "quarterly_profiles",
    "step_for",
    "tick_for",
    "visitor_lives",
    "visitor_profile",
    "visitor_symbol",
    "visitors",
]
