"""The exchange as a Prefect block."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from aione.venue.ledger import WeightLedger
from aione.venue.rest import BinanceRest


class ExchangeBlock(Block):
    """Where the exchange is. Public market data needs no key; one is kept secret where it is given."""

    _block_type_name = "AiOne Exchange"
    _block_type_slug = "aione-exchange"
    _description = "Binance USD-M futures, or the simulated exchange, by address."

    rest_url: str = Field(title="REST address", description="for example https://fapi.binance.com")
    ws_url: str = Field(title="WebSocket address", description="for example wss://fstream.binance.com")
    timeout_s: float = Field(default=10.0, title="Timeout", description="Seconds a request may take", gt=0)
    api_key: SecretStr | None = Field(default=None, title="API key", description="Not needed for market data")

    def client(self, ledger: WeightLedger) -> BinanceRest:
        """Return a REST client that spends from ``ledger``."""
        return BinanceRest(self.rest_url, ledger, timeout_s=self.timeout_s)


__all__ = ["ExchangeBlock"]
