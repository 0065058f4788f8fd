"""Weights, budgets, 429 and 418: the account by itself with a clock in hand, then over the wire."""

from __future__ import annotations

import httpx
import pytest

from aione.errors import InvalidInput
from aione.sim.limits import DATA, FUNDING, WEIGHT, Limits
from aione.sim.options import SimOptions
from aione.sim.rest import ENDPOINTS
from aione.sim.server import SimServer

F = "/fapi/v1"
ME, OTHER = "10.0.0.1", "10.0.0.2"


class Hand:
    """A clock moved by hand, 10 s before the end of a five-minute window."""

    def __init__(self) -> None:
        self.ms = 290_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def hand() -> Hand:
    return Hand()


def limits(hand: Hand, **options) -> Limits:
    return Limits(SimOptions(**options), hand)


# ── The account ──


def test_the_limit_itself_is_allowed_and_one_more_is_not(hand: Hand):
    account = limits(hand, weight_limit=100)
    assert account.charge(ME, WEIGHT, 100) is None
    refusal = account.charge(ME, WEIGHT, 1)
    assert (refusal.status, refusal.retry_after_s) == (429, 10)


def test_the_count_starts_anew_with_the_utc_minute(hand: Hand):
    account = limits(hand, weight_limit=100)
    account.charge(ME, WEIGHT, 100)
    hand.ms = 299_999
    assert account.charge(ME, WEIGHT, 1) is not None
    hand.ms = 300_000
    assert account.used_weight(ME) == 0
    assert account.charge(ME, WEIGHT, 1) is None
    assert account.used_weight(ME) == 1


def test_addresses_have_their_own_accounts(hand: Hand):
    account = limits(hand, weight_limit=100)
    account.charge(ME, WEIGHT, 500)
    assert account.charge(OTHER, WEIGHT, 100) is None
    assert account.addresses() == {ME: 500, OTHER: 100}


def test_going_on_after_429_is_a_ban_and_the_next_ban_is_longer(hand: Hand):
    account = limits(hand, weight_limit=1, refusals_before_ban=2, ban_s=120)
    statuses = []
    for _ in range(5):
        refusal = account.charge(ME, WEIGHT, 1)
        statuses.append(refusal.status if refusal else 200)
    assert statuses == [200, 429, 429, 418, 418]
    refusal = account.charge(ME, WEIGHT, 1)
    assert refusal.retry_after_s == 120
    assert f"banned until {290_000 + 120_000}." in refusal.message
    hand.ms += 119_999
    assert account.charge(ME, WEIGHT, 1).status == 418
    hand.ms += 60_001
    answers = [account.charge(ME, WEIGHT, 1) for _ in range(4)]
    assert [a.status if a else 200 for a in answers] == [200, 429, 429, 418]
    assert answers[-1].retry_after_s == 240


def test_a_ban_has_a_longest_length(hand: Hand):
    account = limits(hand, weight_limit=1, refusals_before_ban=0, ban_s=100, max_ban_s=150)
    seen = []
    for _ in range(3):
        account.charge(ME, WEIGHT, 1)
        seen.append(account.charge(ME, WEIGHT, 1).retry_after_s)
        hand.ms += 1_000_000
    assert seen == [100, 150, 150]


def test_refusals_of_an_earlier_minute_are_forgiven(hand: Hand):
    account = limits(hand, weight_limit=1, refusals_before_ban=1)
    for _ in range(3):
        account.charge(ME, WEIGHT, 1)
        assert account.charge(ME, WEIGHT, 1).status == 429
        hand.ms += 60_000


@pytest.mark.parametrize("budget", [FUNDING, DATA])
def test_other_budgets_last_five_minutes_and_leave_the_weight_alone(hand: Hand, budget: str):
    account = limits(hand, funding_limit=2, data_limit=2)
    hand.ms = 120_000
    assert [account.charge(ME, budget, 1) for _ in range(2)] == [None, None]
    assert account.charge(ME, budget, 1).retry_after_s == 180
    assert account.used_weight(ME) == 0
    hand.ms = 300_000
    assert account.charge(ME, budget, 1) is None


@pytest.mark.parametrize("name", ["weight_limit", "ban_s", "tick_s", "kline_ms", "max_streams"])
def test_a_limit_below_one_is_refused_by_name(name: str):
    with pytest.raises(InvalidInput, match=name):
        SimOptions(**{name: 0})
    with pytest.raises(InvalidInput, match="closing_delay_s must be at least 0, was -1"):
        SimOptions(closing_delay_s=-1)


# ── What each request costs ──


@pytest.mark.parametrize(
    ("path", "params", "cost"),
    [
        ("ping", {}, 1),
        ("time", {}, 1),
        ("exchangeInfo", {}, 1),
        ("klines", {"limit": "99"}, 1),
        ("klines", {"limit": "100"}, 2),
        ("klines", {"limit": "499"}, 2),
        ("klines", {"limit": "500"}, 5),
        ("klines", {}, 5),
        ("klines", {"limit": "1000"}, 5),
        ("klines", {"limit": "1001"}, 10),
        ("klines", {"limit": "nonsense"}, 5),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 1),
        ("ticker/24hr", {}, 40),
        ("premiumIndex", {"symbol": "BTCUSDT"}, 1),
        ("premiumIndex", {}, 10),
        ("ticker/bookTicker", {"symbol": "BTCUSDT"}, 2),
        ("ticker/bookTicker", {}, 5),
        ("openInterest", {}, 1),
        ("depth", {"limit": "5"}, 2),
        ("depth", {"limit": "50"}, 2),
        ("depth", {"limit": "100"}, 5),
        ("depth", {"limit": "500"}, 10),
        ("depth", {}, 10),
        ("depth", {"limit": "1000"}, 20),
    ],
)
def test_weights_are_those_of_the_exchange(path: str, params: dict[str, str], cost: int):
    endpoint = ENDPOINTS[f"{F}/{path}"]
    assert (endpoint.budget, endpoint.cost(params)) == (WEIGHT, cost)


# ── Over the wire ──


async def test_the_header_counts_every_request_and_errors_too(rest: httpx.AsyncClient, sim: SimServer):
    sim.limits = Limits(sim.options, now_ms=lambda: 60_000)  # no minute ends within the test
    paths = ("ping", "klines?symbol=BTCUSDT&interval=1m", "klines?symbol=NO&interval=1m&limit=3", "nothing")
    used = [int((await rest.get(f"{F}/{path}")).headers["X-MBX-USED-WEIGHT-1M"]) for path in paths]
    assert used == [1, 6, 7, 8]


async def test_own_budgets_do_not_count_as_weight(start):
    server = await start(funding_limit=2, data_limit=1)
    async with httpx.AsyncClient(verify=False, base_url=server.rest_url) as client:
        funding = [await client.get(f"{F}/fundingRate?symbol=BTCUSDT") for _ in range(3)]
        data = [await client.get("/futures/data/openInterestHist?symbol=BTCUSDT&period=5m") for _ in range(2)]
    assert [r.status_code for r in funding] == [200, 200, 429]
    assert [r.status_code for r in data] == [200, 429]
    assert funding[0].headers["X-MBX-USED-WEIGHT-1M"] == "0"
    assert "X-MBX-USED-WEIGHT-1M" not in data[0].headers
    assert 0 < int(data[1].headers["Retry-After"]) <= 300


async def test_429_then_418_with_retry_after_and_the_end_of_the_ban(start):
    server = await start(weight_limit=40, refusals_before_ban=1, ban_s=60)
    async with httpx.AsyncClient(verify=False, base_url=server.rest_url) as client:
        assert (await client.get(f"{F}/ticker/24hr")).status_code == 200
        refused = await client.get(f"{F}/ticker/24hr")
        banned = await client.get(f"{F}/ticker/24hr")
        still = await client.get(f"{F}/ping")
    assert (refused.status_code, refused.json()["code"]) == (429, -1003)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert int(refused.headers["X-MBX-USED-WEIGHT-1M"]) >= 80
    assert (banned.status_code, banned.json()["code"]) == (418, -1003)
    assert "banned until" in banned.json()["msg"]
    assert banned.headers["Retry-After"] == "60"
    assert still.status_code == 418
    assert server.status()["responses_429"] == 1
    assert server.status()["responses_418"] == 2


async def test_another_address_is_served_while_the_first_is_banned(start):
    server = await start(weight_limit=1, refusals_before_ban=0)
    async with httpx.AsyncClient(verify=False, base_url=server.rest_url) as client:
        for _ in range(3):
            reply = await client.get(f"{F}/ping")
        assert reply.status_code == 418
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(verify=False, base_url=server.rest_url, transport=transport) as client:
        assert (await client.get(f"{F}/ping")).status_code == 200
