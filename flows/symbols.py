"""A symbol as a parameter of a flow."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Symbol = Annotated[str, Field(pattern=r"^[^\s{}]{2,32}$")]
"""Such as BTCUSDT. The exchange has symbols with letters of any script; the universe knows which there are."""

__all__ = ["Symbol"]
