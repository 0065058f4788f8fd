"""Everything that ``aione doctor`` looks at."""

from __future__ import annotations

from aione.run.check_data import DataChecks
from aione.run.doctor import Check


class Checks(DataChecks):
    """The checks by the part that they look at.

    Parameters
    ----------
    settings : Settings
        Of the running system: its exchange's addresses.
    redis_url, prefect_url : str
    data_dir : Path, optional
        Where the archive is.
    shows_streams : bool
        Name every stream with its state.
    """

    def table(self) -> dict[str, Check]:
        """Return part -> check, in the order in which a person reads them."""
        return {
            "redis": self._redis_check,
            "exchange": self._exchange,
            "budget": self._budget,
            "prefect": self._prefect,
            "stream": self._stream,
            "bars": self._bars,
            "universe": self._universe,
            "quarantine": self._quarantine,
            "archive": self._archive,
            "cycle": self._cycle,
            "incidents": self._incidents,
        }


__all__ = ["Checks"]
