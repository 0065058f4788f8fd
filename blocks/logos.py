"""Pictures for our blocks: Prefect's own, which its page of blocks loads anyway."""

from typing import Final

LOGOS: Final = (
    "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos"
)

__all__ = ["LOGOS"]
