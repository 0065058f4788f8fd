"""One validated view of every constant: defaults, then a YAML profile, then the environment.

`load_settings` is the only way in. It reads `config.config` when it is called, so a constant that a program
changed at run time (``STAGE2_CONFIG["switches"]["use_qde"] = False``) is in force from the next call.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import to_json

from config import config
from config.housekeeping_models import HousekeepingParams
from config.models import (
    AuditParams,
    Bars,
    FilterParams,
    Fraction,
    Model,
    NotNegative,
    ParamRange,
    Positive,
    PrefilterParams,
    QualityParams,
    Stage1MonitorParams,
    Stage2Config,
    TickBracket,
    UserSettings,
    VenueParams,
)
from config.notify_models import NotifyParams

Recommendation = Literal[
    "STRONG_BUY",
    "BUY_IN_DIPS",
    "HOLD",
    "RANGE_TRADE",
    "WAIT_FOR_CONFIRMATION",
    "SELL_ON_RALLIES",
    "STRONG_SELL",
    "AVOID",
    "AVOID_HIGH_RISK",
]
AssetState = Literal["init", "alert", "normal", "no_trade", "no_data", "syncing", "error"]

ENV_PREFIX = "AIONE_"
PROCESS_VARIABLES = frozenset(
    {
        "AIONE_HOME",
        "AIONE_PROFILE",
        "AIONE_PART_OF",
        "AIONE_STREAM_SHARD",
        "AIONE_DATA_DIR",
        "AIONE_EXCHANGE",
        "AIONE_REST_URL",
        "AIONE_WS_URL",
    }
)
"""Variables that say where a process runs and with what; they override no constant of their own name."""


class Settings(Model):
    """Every constant of `config.config`, validated; the engine takes this and reads no global."""

    DEFAULT_TIMEFRAME: Literal["1m"]
    DEFAULT_LOOKBACK: Bars
    SCREENING_LOOKBACK: Annotated[int, Field(ge=1, le=2000)]
    PRELOAD_1M_LOOKBACK_INIT: Annotated[int, Field(ge=1, le=2000)]
    PRELOAD_DAILY_DAYS: Annotated[int, Field(ge=1, le=200)]
    MIN_READY_PCT: Fraction
    PREFILTER_INTERVAL_SEC: Positive
    TRADE_REFRESH_INTERVAL: Positive
    SCREENING_GRACE_S: NotNegative
    STALE_RUN_S: Positive
    FLOW_RUNNER: Literal["warm", "process"]
    ARCHIVE_INTERVAL_SEC: Positive
    VERIFY_INTERVAL_SEC: Positive
    MAX_PARALLEL_STAGE2: Bars
    OI_SEMAPHORE: Bars
    KLINES_SEMAPHORE: Bars
    DEPTH_SEMAPHORE: Bars
    REDIS_CACHE_TTL: Bars
    REDIS_CHANNEL_ASSET_STATE: str
    REDIS_SNAPSHOT_KEY: str
    INTERVAL_TTL_MAP: dict[str, Bars]
    STAGE2_STATUS: dict[str, str]
    ASSET_STATE: dict[str, AssetState]
    BUY_SET: frozenset[Recommendation]
    SELL_SET: frozenset[Recommendation]
    TRIGGER_TP_SL_SWAP_LONG: str
    TRIGGER_TP_SL_SWAP_SHORT: str
    TRIGGER_SIGNAL_GENERATED: str
    TRIGGER_NAME_MAP: dict[str, str]
    UI_LOCALE: Literal["en", "uk"]
    UI_COLUMN_VOLUME: Literal["quote_volume", "volume", "relative_volume"]
    TICK_SIZE_MAP: dict[str, Positive]
    TICK_SIZE_BRACKETS: list[TickBracket]
    TICK_SIZE_DEFAULT: Positive
    ASSET_CLASS_MAPPING: dict[str, list[str]]
    MANUAL_FAST_SYMBOLS_SEED: list[str]
    FAST_SYMBOLS_TTL_MANUAL: Positive
    FAST_SYMBOLS_TTL_AUTO: Positive
    STAGE1_PREFILTER_THRESHOLDS: FilterParams
    PREFILTER_BASE_PARAMS: PrefilterParams
    STAGE1_MONITOR_PARAMS: Stage1MonitorParams
    STAGE2_CONFIG: Stage2Config
    MIN_CONFIDENCE_TRADE_PLACEHOLDER: Fraction
    USER_SETTINGS_DEFAULT: UserSettings
    VENUE: VenueParams
    AUDIT: AuditParams
    QUALITY: QualityParams
    NOTIFY: NotifyParams
    HOUSEKEEPING: HousekeepingParams
    OPTUNA_SQLITE_URI: str
    OPTUNA_PARAM_RANGES: dict[str, ParamRange]
    METRICS_HOST: str
    METRICS_PORT: Annotated[int, Field(ge=0, le=65535)]

    @cached_property
    def fingerprint(self) -> str:
        """What tells these settings from any others, the same in every process."""
        told = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in self}
        return blake2b(to_json(told), digest_size=8).hexdigest()

    @model_validator(mode="after")
    def _calibration_names_what_exists(self) -> Self:
        for key, span in self.OPTUNA_PARAM_RANGES.items():
            value: Any = self
            for part in key.split("."):
                value = getattr(value, part, None)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number:
                raise ValueError(f"OPTUNA_PARAM_RANGES: {key} names no number of the settings")
            if not span.low < span.high:
                raise ValueError(f"OPTUNA_PARAM_RANGES: {key}: low {span.low} must be below high {span.high}")
        if not self.OPTUNA_SQLITE_URI.startswith("sqlite:///"):
            raise ValueError(f"OPTUNA_SQLITE_URI: expected sqlite:///PATH, was {self.OPTUNA_SQLITE_URI!r}")
        return self


class SettingsError(ValueError):
    """A profile or an environment variable is wrong; the message names the key and where it stands."""


def load_settings(
    profile: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Merge defaults, profile, environment and a run's own overrides, in this order, and validate.

    Parameters
    ----------
    profile : path of a YAML file, optional
        Defaults to ``AIONE_PROFILE`` where set. Its keys are the constants' names.
    environ : mapping, optional
        Defaults to ``os.environ``. ``AIONE_NAME=value`` sets a constant, ``AIONE_NAME__key__key=value`` a value
        inside one; values are YAML (``3``, ``true``, ``[BTCUSDT]``).
    overrides : mapping, optional
        What the caller sets itself, by constant.

    Raises
    ------
    SettingsError
        An unknown key or a wrong value; the message names the key, what it was, and the file or variable.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {name: getattr(config, name) for name in Settings.model_fields}
    origin: dict[str, str] = {}
    path = profile or environ.get("AIONE_PROFILE")
    if path:
        for name, value in _read_profile(Path(path)).items():
            _known(name, f"profile {path}")
            values[name] = _merged(values[name], value)
            origin[name] = f"profile {path}"
    for variable, text in environ.items():
        if variable.startswith(ENV_PREFIX) and variable not in PROCESS_VARIABLES:
            name, *inner = variable.removeprefix(ENV_PREFIX).split("__")
            _known(name, f"environment variable {variable}")
            values[name] = _merged(values[name], _nested(inner, _parse(text, variable)))
            origin[name] = f"environment variable {variable}"
    for field, variable in (("rest_url", "AIONE_REST_URL"), ("ws_url", "AIONE_WS_URL")):
        if environ.get(variable):
            values["VENUE"] = _merged(values["VENUE"], {field: environ[variable].rstrip("/")})
    for name, value in (overrides or {}).items():
        _known(name, "overrides")
        values[name] = _merged(values[name], value)
        origin[name] = "overrides"
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # a rule between constants, whose message names them
            raise SettingsError(first["msg"].removeprefix("Value error, ")) from error
        name = str(first["loc"][0])
        where = origin.get(name, "config/config.py")
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{where}: {key}: {first['msg']}, was {first['input']!r}") from error


def _read_profile(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"profile {path}: no such file") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"profile {path}: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"profile {path}: expected a mapping of constants, was {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def _known(name: str, where: str) -> None:
    if name not in Settings.model_fields:
        raise SettingsError(f"{where}: unknown constant {name}")


def _parse(text: str, variable: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"environment variable {variable}: {' '.join(str(error).split())}") from error


def _nested(path: list[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}
    return over


RECOMMENDATIONS: tuple[str, ...] = get_args(Recommendation)

__all__ = ["RECOMMENDATIONS", "Recommendation", "Settings", "SettingsError", "load_settings"]
