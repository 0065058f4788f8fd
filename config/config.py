"""Every constant of the system by its name, with its default.

A constant that is a dictionary has a model in `config.models` which holds its fields, bounds and meaning.
Change a value here, in a YAML profile (`AIONE_PROFILE`) or in the environment (`AIONE_<NAME>`);
`config.settings.load_settings` merges the three and validates the result.
"""

from __future__ import annotations

from typing import Any, Final

from config.housekeeping_models import HousekeepingParams
from config.models import (
    AuditParams,
    FilterParams,
    MetricResults,
    ParamRange,
    PrefilterParams,
    QualityParams,
    Stage1MonitorParams,
    Stage2Config,
    SymbolInfo,
    UserSettings,
    VenueParams,
)
from config.notify_models import NotifyParams

# ── Cadence and history ──
DEFAULT_TIMEFRAME = "1m"
DEFAULT_LOOKBACK = 500  # bars a scan of one symbol needs at the least to be scored
SCREENING_LOOKBACK = 1500  # bars the minute cycle loads
PRELOAD_1M_LOOKBACK_INIT = 1500
PRELOAD_DAILY_DAYS = 35
MIN_READY_PCT = 0.9  # fraction of the lookback that must be there
PREFILTER_INTERVAL_SEC = 600
TRADE_REFRESH_INTERVAL = 60  # seconds between bar-based refreshes of open trades by the flow
SCREENING_GRACE_S = 2.5  # how long a cycle waits for the minute's last bars
STALE_RUN_S = 45.0  # a scheduled run older than this skips itself
FLOW_RUNNER = "warm"  # flow runs are forked off a warm process; "process" starts a fresh interpreter for each
ARCHIVE_INTERVAL_SEC = 600  # how far the archive on disk may be behind the rings
VERIFY_INTERVAL_SEC = 3600  # each streamed bar is compared with REST once, within this

# ── Concurrency ──
MAX_PARALLEL_STAGE2 = 2
OI_SEMAPHORE = 8
KLINES_SEMAPHORE = 16
DEPTH_SEMAPHORE = 8

# ── Redis ──
REDIS_CHANNEL_ASSET_STATE = "asset_state_update"
REDIS_SNAPSHOT_KEY = "asset_state_snapshot"
REDIS_CACHE_TTL = 3600
INTERVAL_TTL_MAP: dict[str, int] = {"1m": 3 * 86_400, "1d": 60 * 86_400}

# ── Words ──
STAGE2_STATUS: dict[str, str] = {
    "PENDING": "pending",
    "DONE": "done",
    "SKIPPED": "skipped",
    "OFF": "off",
    "ERROR": "error",
}
ASSET_STATE: dict[str, str] = {
    "INIT": "init",
    "ALERT": "alert",
    "NORMAL": "normal",
    "NO_TRADE": "no_trade",
    "NO_DATA": "no_data",
    "SYNCING": "syncing",
    "ERROR": "error",
}
BUY_SET = frozenset({"STRONG_BUY", "BUY_IN_DIPS"})
SELL_SET = frozenset({"STRONG_SELL", "SELL_ON_RALLIES"})
TRIGGER_TP_SL_SWAP_LONG = "tp_sl_swapped_long"
TRIGGER_TP_SL_SWAP_SHORT = "tp_sl_swapped_short"
TRIGGER_SIGNAL_GENERATED = "signal_generated"
TRIGGER_NAME_MAP: dict[str, str] = {
    "volume_spike": "volume_spike",
    "bull_vol_spike": "bull_vol_spike",
    "bear_vol_spike": "bear_vol_spike",
    "volatility_burst": "volatility_burst",
    "volatility_spike": "volatility_burst",
    "breakout_up": "breakout_up",
    "breakout_down": "breakout_down",
    "near_high": "near_high",
    "near_low": "near_low",
    "near_daily_support": "near_daily_support",
    "near_daily_resistance": "near_daily_resistance",
    "rsi_overbought": "rsi_overbought",
    "rsi_oversold": "rsi_oversold",
    "bullish_div": "bullish_div",
    "bearish_div": "bearish_div",
    "vwap_deviation": "vwap_deviation",
    "order_imbalance": "order_imbalance",
    "liquidity_gap": "liquidity_gap",
}
"""Any name that a profile or a person may use -> the canonical name of the trigger's module."""

# ── User interface ──
UI_LOCALE = "en"
UI_COLUMN_VOLUME = "quote_volume"

# ── Tick sizes (the exchange's own comes first) ──
TICK_SIZE_MAP: dict[str, float] = {"BTCUSDT": 0.1, "ETHUSDT": 0.01}
TICK_SIZE_BRACKETS: list[dict[str, float]] = [
    {"below": 0.01, "tick_size": 1e-7},
    {"below": 0.1, "tick_size": 1e-6},
    {"below": 1.0, "tick_size": 1e-5},
    {"below": 10.0, "tick_size": 1e-4},
    {"below": 100.0, "tick_size": 1e-3},
    {"below": 1000.0, "tick_size": 1e-2},
]
TICK_SIZE_DEFAULT = 0.1

# ── Assets ──
ASSET_CLASS_MAPPING: dict[str, list[str]] = {
    "major": ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT"],
    "meme": ["DOGEUSDT", "1000SHIBUSDT", "1000PEPEUSDT", "WIFUSDT", "1000BONKUSDT"],
}
MANUAL_FAST_SYMBOLS_SEED: list[str] = ["BTCUSDT", "ETHUSDT"]
FAST_SYMBOLS_TTL_MANUAL = 86_400
FAST_SYMBOLS_TTL_AUTO = 7_200

# ── Stages ──
STAGE1_PREFILTER_THRESHOLDS: dict[str, Any] = FilterParams().model_dump()
PREFILTER_BASE_PARAMS: dict[str, Any] = PrefilterParams().model_dump()
STAGE1_MONITOR_PARAMS: dict[str, Any] = Stage1MonitorParams().model_dump()
STAGE2_CONFIG: dict[str, Any] = Stage2Config().model_dump()
STAGE2_CONFIG["switches"]["triggers"] = dict.fromkeys(sorted(set(TRIGGER_NAME_MAP.values())), True)
MIN_CONFIDENCE_TRADE_PLACEHOLDER = 0.35
USER_SETTINGS_DEFAULT: dict[str, Any] = UserSettings().model_dump()

# ── Exchange ──
VENUE: dict[str, Any] = VenueParams().model_dump()

# ── Audit ──
AUDIT: dict[str, Any] = AuditParams().model_dump()

# ── Notifications ──
NOTIFY: dict[str, Any] = NotifyParams().model_dump()

# ── Data quality ──
QUALITY: dict[str, Any] = QualityParams().model_dump()

# ── Housekeeping ──
HOUSEKEEPING: dict[str, Any] = HousekeepingParams().model_dump()

# ── Calibration ──
OPTUNA_SQLITE_URI = "sqlite:///optuna.db"
OPTUNA_PARAM_RANGES: dict[str, dict[str, Any]] = {
    "STAGE1_MONITOR_PARAMS.thresholds.volume_z": ParamRange(low=1.5, high=5.0).model_dump(),
    "STAGE1_MONITOR_PARAMS.thresholds.vwap_z": ParamRange(low=1.0, high=4.0).model_dump(),
    "STAGE1_MONITOR_PARAMS.alert_on": ParamRange(low=0.4, high=0.9).model_dump(),
    "STAGE2_CONFIG.risk.stop_atr": ParamRange(low=0.8, high=4.0).model_dump(),
    "STAGE2_CONFIG.thresholds.entry_confidence": ParamRange(low=0.1, high=0.8).model_dump(),
}

METRICS_HOST = "127.0.0.1"
METRICS_PORT: Final = 8001

__all__ = [
    "ARCHIVE_INTERVAL_SEC",
    "ASSET_CLASS_MAPPING",
    "ASSET_STATE",
    "AUDIT",
    "BUY_SET",
    "DEFAULT_LOOKBACK",
    "DEFAULT_TIMEFRAME",
    "DEPTH_SEMAPHORE",
    "FAST_SYMBOLS_TTL_AUTO",
    "FAST_SYMBOLS_TTL_MANUAL",
    "FLOW_RUNNER",
    "HOUSEKEEPING",
    "INTERVAL_TTL_MAP",
    "KLINES_SEMAPHORE",
    "MANUAL_FAST_SYMBOLS_SEED",
    "MAX_PARALLEL_STAGE2",
    "METRICS_HOST",
    "METRICS_PORT",
    "MIN_CONFIDENCE_TRADE_PLACEHOLDER",
    "MIN_READY_PCT",
    "NOTIFY",
    "OI_SEMAPHORE",
    "OPTUNA_PARAM_RANGES",
    "OPTUNA_SQLITE_URI",
    "PREFILTER_BASE_PARAMS",
    "PREFILTER_INTERVAL_SEC",
    "PRELOAD_1M_LOOKBACK_INIT",
    "PRELOAD_DAILY_DAYS",
    "QUALITY",
    "REDIS_CACHE_TTL",
    "REDIS_CHANNEL_ASSET_STATE",
    "REDIS_SNAPSHOT_KEY",
    "SCREENING_GRACE_S",
    "SCREENING_LOOKBACK",
    "SELL_SET",
    "STAGE1_MONITOR_PARAMS",
    "STAGE1_PREFILTER_THRESHOLDS",
    "STAGE2_CONFIG",
    "STAGE2_STATUS",
    "STALE_RUN_S",
    "TICK_SIZE_BRACKETS",
    "TICK_SIZE_DEFAULT",
    "TICK_SIZE_MAP",
    "TRADE_REFRESH_INTERVAL",
    "TRIGGER_NAME_MAP",
    "TRIGGER_SIGNAL_GENERATED",
    "TRIGGER_TP_SL_SWAP_LONG",
    "TRIGGER_TP_SL_SWAP_SHORT",
    "UI_COLUMN_VOLUME",
    "UI_LOCALE",
    "USER_SETTINGS_DEFAULT",
    "VENUE",
    "VERIFY_INTERVAL_SEC",
    "MetricResults",
    "SymbolInfo",
]
