"""The exchange as a Prefect block."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, HttpUrl, SecretStr, model_validator

from aione.venue.ledger import WeightLedger
from aione.venue.rest import BinanceRest
from blocks.logos import LOGOS

Environment = Literal["live", "testnet", "simulated"]


class ExchangeBlock(Block):
    """Where the exchange is. Public market data needs no key; keys are kept secret where they are given."""

    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "AiOne Exchange"
    _block_type_slug = "aione-exchange"
    _description = "Binance USD-M futures, its test network, or the simulated exchange, by address."
    _documentation_url = HttpUrl("https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info")
    _logo_url = HttpUrl(f"{LOGOS}/webhook.png")
    _code_example = """
        from blocks import BLOCK_NAME, ExchangeBlock

        exchange = await ExchangeBlock.aload(BLOCK_NAME)
        async with exchange.client(ledger) as rest:
            bars = await rest.klines("BTCUSDT", "1m", limit=5)
    """

    environment: Environment = Field(
        default="live", title="Environment", description="What stands at the addresses: keys belong to one of these"
    )
    rest_url: str = Field(title="REST address", description="for example https://fapi.binance.com")
    ws_url: str = Field(title="WebSocket address", description="for example wss://fstream.binance.com")
    timeout_s: float = Field(default=10.0, title="Timeout", description="Seconds a request may take", gt=0)
    api_key: SecretStr | None = Field(default=None, title="API key", description="Not needed for market data")
    api_secret: SecretStr | None = Field(
        default=None, title="API secret", description="Given with the key or not at all"
    )

    @model_validator(mode="after")
    def _keys_are_whole_and_travel_covered(self) -> Self:
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("API key and API secret: give both or neither")
        if self.api_key is not None and self.environment != "simulated" and urlsplit(self.rest_url).scheme != "https":
            raise ValueError("API key: the REST address of a real exchange must begin with https://")
        return self

    def client(self, ledger: WeightLedger) -> BinanceRest:
        """Return a REST client that spends from ``ledger``; it asks for public data and sends no key."""
        return BinanceRest(self.rest_url, ledger, timeout_s=self.timeout_s)


__all__ = ["Environment", "ExchangeBlock"]
