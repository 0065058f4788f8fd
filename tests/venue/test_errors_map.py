"""What each refusal means: the status first, then the code, and a length of hold that makes sense."""

import json

import pytest

from aione.errors import ClockSkewed, RateLimited, RequestRejected, SymbolRejected, VenueUnavailable
from aione.venue.errors_map import reply_error

NOW_MS = 1_779_278_400_000
DAYS_3 = 3 * 86_400


def error_of(status, code=None, text="said so", **headers):
    body = b"<html>" if code is None else json.dumps({"code": code, "msg": text}).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply_error(status, sent, body, what="GET /x", now_ms=NOW_MS)


@pytest.mark.parametrize("status", [429, 418, 403, 503])
@pytest.mark.parametrize("code", [None, -1121, -4141, -1021, -1102, -1001, 0])
def test_a_status_that_holds_everybody_holds_whatever_the_body_says(status, code):
    assert type(error_of(status, code)) is RateLimited


@pytest.mark.parametrize("code", [None, -1121, -1021, -1003, 0])
def test_a_barred_region_is_never_waited_for_and_costs_no_symbol(code):
    error = error_of(451, code)
    assert type(error) is RequestRejected
    assert error.code == code


@pytest.mark.parametrize("status", [500, 502, 504, 408])
@pytest.mark.parametrize("code", [None, -1121, -1021, -1102])
def test_a_server_in_trouble_may_pass_and_drops_no_symbol(status, code):
    assert type(error_of(status, code)) is VenueUnavailable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-1121, SymbolRejected),
        (-4141, SymbolRejected),
        (-1021, ClockSkewed),
        (-1102, RequestRejected),
        (-1003, RateLimited),
        (-1016, VenueUnavailable),
    ],
)
def test_the_code_of_a_plain_refusal_counts(code, kind):
    assert type(error_of(400, code)) is kind


@pytest.mark.parametrize(
    ("said", "held_s"),
    [
        ("17", 17),
        (" 30 ", 30),
        ("1.5", 1.5),
        ("0", 1),
        ("0.2", 1),
        ("259200", DAYS_3),
        ("99999999999", DAYS_3),
        ("9" * 400, DAYS_3),
        ("9" * 6000, DAYS_3),
        # not readable: the status's usual time
        ("", 60),
        ("nan", 60),
        ("inf", 60),
        ("-inf", 60),
        ("-5", 60),
        ("1e30", 60),
        ("1e400", 60),
        ("3_0", 60),
        ("0x10", 60),
        ("٣٠", 60),
        ("soon", 60),
        ("5, 7", 60),
    ],
)
def test_retry_after_is_seconds_from_one_to_three_days(said, held_s):
    assert error_of(429, -1003, retry_after=said).retry_after_s == held_s


@pytest.mark.parametrize(
    ("said", "held_s"),
    [
        ("Wed, 20 May 2026 12:01:30 GMT", 90),
        ("Wed, 20 May 2026 11:59:00 GMT", 60),  # over: the usual time
        ("Fri, 31 Dec 9999 23:59:59 -2359", DAYS_3),
        ("Wed, 99 May 2026 12:01:30 GMT", 60),
        ("Wed, 20 May 2026 12:01:30 +9999999999999999999", 60),
    ],
)
def test_retry_after_may_be_a_date(said, held_s):
    assert error_of(429, -1003, retry_after=said).retry_after_s == held_s


def test_a_date_counts_from_the_replys_own_date_whatever_our_clock_shows():
    said = {"retry_after": "Mon, 03 Mar 2025 10:00:40 GMT", "date": "Mon, 03 Mar 2025 10:00:00 GMT"}
    assert error_of(418, -1003, **said).retry_after_s == 40


@pytest.mark.parametrize(
    ("until", "held_s"),
    [
        (NOW_MS + 600_000, 600),
        (NOW_MS + 200, 1),
        (NOW_MS - 1, 120),
        (99_999_999_999_999_999, DAYS_3),
        ("9" * 5000, DAYS_3),
        ("٩" * 13, 120),
    ],
)
def test_a_ban_until_a_moment_is_at_most_three_days(until, held_s):
    error = error_of(418, -1003, f"Way too many requests; IP banned until {until}.")
    assert error.retry_after_s == held_s


def test_an_unreadable_retry_after_leaves_the_moment_in_the_text():
    assert error_of(418, -1003, f"banned until {NOW_MS + 300_000}", retry_after="nan").retry_after_s == 300
