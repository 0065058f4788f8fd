"""The exchange's and Redis's blocks: what they refuse, and that no secret of theirs shows."""

from __future__ import annotations

import logging

import pytest
from pydantic import ValidationError

from blocks import ExchangeBlock, NotificationBlock, RedisBlock

REST, WS = "https://fapi.binance.com", "wss://fstream.binance.com"
SECRET = "s3cr3t-value"


def exchange(**fields):
    return ExchangeBlock(**{"rest_url": REST, "ws_url": WS} | fields)


@pytest.mark.parametrize("given", ["api_key", "api_secret"])
def test_half_a_pair_of_keys_is_refused_without_showing_it(given):
    with pytest.raises(ValidationError, match="both or neither") as caught:
        exchange(**{given: SECRET})
    assert SECRET not in str(caught.value)


def test_keys_never_travel_uncovered():
    pair = {"api_key": SECRET, "api_secret": SECRET}
    with pytest.raises(ValidationError, match="must begin with https://") as caught:
        exchange(rest_url="http://fapi.binance.com", **pair)
    assert SECRET not in str(caught.value)
    assert exchange(rest_url="http://127.0.0.1:1", environment="simulated", **pair).environment == "simulated"


def test_an_unknown_environment_is_refused():
    with pytest.raises(ValidationError, match="'live', 'testnet' or 'simulated'"):
        exchange(environment="paper")


BLOCKS = [
    exchange(api_key=SECRET, api_secret=SECRET),
    RedisBlock(url=f"redis://:{SECRET}@127.0.0.1/0"),
    NotificationBlock(webhook_url=f"https://hooks.example/{SECRET}", urls=f"json://127.0.0.1/{SECRET}"),
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_no_secret_shows_in_text_dumps_or_logs(block, caplog):
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r", block, block)
    for text in (str(block), repr(block), str(block.model_dump()), block.model_dump_json(), caplog.text):
        assert SECRET not in text


@pytest.mark.parametrize("kind", [ExchangeBlock, RedisBlock, NotificationBlock])
def test_prefect_is_told_what_a_block_is_and_which_fields_are_secret(kind):
    told = kind._to_block_type()
    assert told.description
    assert told.documentation_url
    assert told.logo_url
    assert "aload(BLOCK_NAME)" in told.code_example
    secrets = {name for name, field in kind.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert set(kind.model_json_schema()["secret_fields"]) == secrets
    assert all(field["title"] and field["description"] for field in kind.model_json_schema()["properties"].values())
