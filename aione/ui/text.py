"""Every word that the terminal shows, in English and Ukrainian. Data and one look-up."""

from __future__ import annotations

from typing import Final, Literal

from aione.errors import InvalidInput

Locale = Literal["en", "uk"]

_WORDS: Final[dict[str, tuple[str, str]]] = {
    # ── Header ──
    "live": ("LIVE", "НАЖИВО"),
    "stale": ("STALE DATA", "ЗАСТАРІЛІ ДАНІ"),
    "silent": ("NO UPDATE", "НЕМАЄ ОНОВЛЕНЬ"),
    "disconnected": ("REDIS AWAY", "REDIS НЕДОСТУПНИЙ"),
    "bar": ("bar", "бар"),
    "lag": ("lag", "затримка"),
    "for": ("for", "вже"),
    "seq": ("seq", "№"),
    "missing_bars": ("missing bars", "бракує барів"),
    "market": ("market", "ринок"),
    "universe": ("universe", "всього"),
    "screened": ("screened", "відібрано"),
    "alerts": ("alerts", "тривог"),
    "recommendations": ("signals", "сигналів"),
    "open_trades": ("trades", "угод"),
    "up_24h": ("up 24h", "ростуть 24г"),
    # ── Columns ──
    "column.mark": ("", ""),
    "column.rank": ("#", "#"),
    "column.symbol": ("Symbol", "Символ"),
    "column.price": ("Price", "Ціна"),
    "column.change": ("24h %", "24г %"),
    "column.quote_volume": ("Vol 24h", "Обсяг 24г"),
    "column.volume": ("Vol base", "Обсяг баз."),
    "column.relative_volume": ("Vol x", "Обсяг x"),
    "column.rsi": ("RSI", "RSI"),
    "column.volume_z": ("Vol z", "Обс. z"),
    "column.atr": ("ATR %", "ATR %"),
    "column.triggers": ("Triggers", "Тригери"),
    "column.scenario": ("Scenario", "Сценарій"),
    "column.recommendation": ("Action", "Дія"),
    "column.confidence": ("Confidence", "Певність"),
    "column.side": ("Side", "Бік"),
    "column.sl": ("SL", "SL"),
    "column.tp": ("TP1", "TP1"),
    "column.rr": ("RR", "RR"),
    "column.trade": ("Trade", "Угода"),
    "column.age": ("Age", "Вік"),
    # ── Footer ──
    "newest_signals": ("Newest signals", "Найновіші сигнали"),
    "no_signals": ("No signal yet: the market is being watched", "Сигналів ще немає: ринок під наглядом"),
    "entry": ("entry", "вхід"),
    "now": ("now", "зараз"),
    "ended": ("ended", "завершено"),
    "more_rows": ("more below", "ще нижче"),
    "hidden.normal": ("calm", "спокійні"),
    "hidden.alert": ("alerted", "у тривозі"),
    "hidden.no_trade": ("not traded", "не торгуються"),
    "hidden.no_data": ("no data", "без даних"),
    "hidden.syncing": ("syncing", "синхронізуються"),
    "hidden.init": ("starting", "стартують"),
    "hidden.error": ("in error", "з помилкою"),
    "keys": (
        "q quit   a all/alerts   l language   ↑↓ scroll",
        "q вихід   a всі/тривоги   l мова   ↑↓ прокрутка",
    ),
    "waiting": ("waiting for the first snapshot", "очікування першого знімка"),
    "loading": ("loading history", "завантаження історії"),
    "nothing_screened": ("no symbol is screened yet", "ще не відібрано жодного символу"),
    "nothing_alerted": ("no alert now", "зараз тривог немає"),
    # ── Sides and signals ──
    "long": ("LONG", "ЛОНГ"),
    "short": ("SHORT", "ШОРТ"),
    # ── States ──
    "state.init": ("starting", "старт"),
    "state.alert": ("alert", "тривога"),
    "state.normal": ("normal", "спокій"),
    "state.no_trade": ("not traded", "не торгується"),
    "state.no_data": ("no data", "немає даних"),
    "state.syncing": ("syncing", "синхронізація"),
    "state.error": ("error", "помилка"),
    # ── Scenarios ──
    "BULLISH_BREAKOUT": ("Bullish breakout", "Бичачий пробій"),
    "BEARISH_BREAKDOWN": ("Bearish breakdown", "Ведмежий пробій"),
    "BULLISH_REVERSAL": ("Bullish reversal", "Бичачий розворот"),
    "BEARISH_REVERSAL": ("Bearish reversal", "Ведмежий розворот"),
    "BULLISH_CONTROL": ("Bulls in control", "Бики керують"),
    "BEARISH_CONTROL": ("Bears in control", "Ведмеді керують"),
    "RANGE_BOUND": ("Range", "Діапазон"),
    "HIGH_VOLATILITY": ("High volatility", "Висока волатильність"),
    "MANIPULATED": ("Manipulated", "Маніпуляція"),
    "UNCERTAIN": ("Uncertain", "Невизначено"),
    # ── Recommendations ──
    "STRONG_BUY": ("STRONG BUY", "СИЛЬНА КУПІВЛЯ"),
    "BUY_IN_DIPS": ("BUY DIPS", "КУПУВАТИ СПАД"),
    "HOLD": ("HOLD", "ТРИМАТИ"),
    "RANGE_TRADE": ("RANGE", "ДІАПАЗОН"),
    "WAIT_FOR_CONFIRMATION": ("WAIT", "ЧЕКАТИ"),
    "SELL_ON_RALLIES": ("SELL RALLIES", "ПРОДАВАТИ РІСТ"),
    "STRONG_SELL": ("STRONG SELL", "СИЛЬНИЙ ПРОДАЖ"),
    "AVOID": ("AVOID", "УНИКАТИ"),
    "AVOID_HIGH_RISK": ("AVOID: RISK", "УНИКАТИ: РИЗИК"),
    # ── Triggers ──
    "volume_spike": ("volume", "обсяг"),
    "bull_vol_spike": ("volume↑", "обсяг↑"),
    "bear_vol_spike": ("volume↓", "обсяг↓"),
    "volatility_burst": ("burst", "сплеск"),
    "breakout_up": ("breakout↑", "пробій↑"),
    "breakout_down": ("breakout↓", "пробій↓"),
    "near_high": ("at high", "біля макс."),
    "near_low": ("at low", "біля мін."),
    "near_daily_support": ("D support", "Д підтримка"),
    "near_daily_resistance": ("D resistance", "Д опір"),
    "rsi_overbought": ("RSI high", "RSI високий"),
    "rsi_oversold": ("RSI low", "RSI низький"),
    "bullish_div": ("divergence↑", "дивергенція↑"),
    "bearish_div": ("divergence↓", "дивергенція↓"),
    "vwap_deviation": ("VWAP", "VWAP"),
    "order_imbalance": ("imbalance", "дисбаланс"),
    "liquidity_gap": ("thin book", "тонкий стакан"),
}


def word(name: str, locale: Locale) -> str:
    """Return what a person reads for ``name``; a name that is not known (a third party's trigger) reads as itself.

    Raises
    ------
    InvalidInput
        A locale that is neither ``en`` nor ``uk``.

    Examples
    --------
    >>> word("STRONG_BUY", "en"), word("alerts", "uk"), word("my_trigger", "en")
    ('STRONG BUY', 'тривог', 'my trigger')
    """
    if locale not in {"en", "uk"}:
        raise InvalidInput(f"locale must be en or uk, was {locale!r}")
    english, ukrainian = _WORDS.get(name) or (name.replace("_", " "),) * 2
    return ukrainian if locale == "uk" else english


__all__ = ["Locale", "word"]
