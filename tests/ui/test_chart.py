"""The chart of a symbol: a picture of what was published, readable, on the tick, the same every time."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from aione.indicators.profile import volume_profile
from aione.panel import DAY_MS, MINUTE_MS, BarPanel
from aione.publish.payload import asset_of
from aione.ui.chart import TIER_COLOURS, ChartInput, chart_figure, draw_chart
from aione.ui.chart_parts import set_apart, volume_at_prices

END_MS = 1_747_742_400_000 + 16 * MINUTE_MS


def bars_of(count: int, interval_ms: int = MINUTE_MS, end_ms: int = END_MS, seed: int = 1) -> BarPanel:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(2e-3 * rng.standard_normal((1, count)), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    spread = 1e-3 * rng.random((2, 1, count))
    volume = rng.lognormal(3.0, 0.8, (1, count))
    return BarPanel(
        ("AUSDT",),
        end_ms - interval_ms * np.arange(count - 1, -1, -1),
        open=opened,
        high=np.maximum(opened, close) * (1 + spread[0]),
        low=np.minimum(opened, close) * (1 - spread[1]),
        close=close,
        volume=volume,
        quote_volume=volume * close,
        taker_buy_volume=0.5 * volume,
        trade_count=np.full((1, count), 9.0),
        valid=np.ones((1, count), dtype=bool),
        interval_ms=interval_ms,
    )


def asset_at(price: float, **more):
    """An analysed asset with crowded levels, some out of the picture, and a plan."""
    kinds = ["micro_pivot_high", "micro_pivot_low", "hour_pivot_high", "poc", "prev_day_high", "prev_week_low"]
    tiers = ["micro", "micro", "meso", "meso", "macro", "macro"]
    levels = [
        {"price": round(price * (1 + step), 2), "kind": kinds[n % 6], "tier": tiers[n % 6],
         "touches": n, "breaks": n % 3, "age_bars": 97 * n, "strength": 0.2 + 0.06 * n}
        for n, step in enumerate([-0.3, -0.01, -0.002, -0.001, 0.0005, 0.001, 0.0012, 0.0014, 0.002, 0.01, 0.2, 0.4])
    ]  # fmt: skip
    parts = {
        "symbol": "AUSDT",
        "state": "alert",
        "price": price,
        "price_str": f"{price:.2f}",
        "signal": "ALERT_BUY",
        "trigger_reasons": ["breakout_up", "volume_spike"],
        "stats": {"atr_frac": 0.002, "rsi": 61.2, "volume_z": None, "evidence": 0.74},
        "market_context": {"scenario": "BULLISH_BREAKOUT", "key_levels_meta": levels},
        "recommendation": "WAIT_FOR_CONFIRMATION",
        "reco_original": "STRONG_BUY",
        "reco_gate_reason": "insufficient_rr",
        "confidence_metrics": {"raw": 0.41},
        "risk_parameters": {
            "side": "long", "entry": round(price, 2), "sl": round(price * 0.995, 2),
            "tp": [round(price * (1 + k), 2) for k in (0.004, 0.008, 0.012)], "rr": 1.1,
        },
    }  # fmt: skip
    return asset_of(parts | more)


@pytest.fixture(scope="module")
def shown() -> ChartInput:
    minutes = bars_of(1500)
    return ChartInput(
        asset_at(float(minutes.close[0, -1])), minutes, bars_of(30, DAY_MS, END_MS // DAY_MS * DAY_MS - DAY_MS)
    )


def texts_of(figure):
    figure.canvas.draw()
    return [
        (axes, text)
        for axes in figure.axes
        for text in axes.texts
        if text.get_visible() and text.get_text() and not axes.axison
    ]


@pytest.mark.parametrize("locale", ["en", "uk"])
def test_no_label_covers_another(shown, locale) -> None:
    """Seventeen labels in the margin of the minutes, with five levels within 0.2 % of the price."""
    figure = chart_figure(shown, locale)
    labels = texts_of(figure)
    assert len(labels) >= 17
    for (axes, one), (other_axes, other) in combinations(labels, 2):
        if axes is other_axes:
            a, b = one.get_window_extent(), other.get_window_extent()
            assert not a.shrunk(1, 0.9).overlaps(b.shrunk(1, 0.9)), (one.get_text(), other.get_text())


@pytest.mark.parametrize("locale", ["en", "uk"])
def test_every_text_is_inside_of_the_picture(shown, locale) -> None:
    figure = chart_figure(shown, locale)
    whole = figure.bbox
    for text in [text for _, text in texts_of(figure)] + list(figure.texts):
        extent = text.get_window_extent()
        assert whole.x0 <= extent.x0
        assert extent.x1 <= whole.x1, text.get_text()


def test_a_level_in_view_is_a_line_of_its_tiers_colour_the_stronger_the_thicker(shown) -> None:
    axes = chart_figure(shown).axes[0]
    lowest, highest = axes.get_ylim()
    levels = [level for level in shown.asset.market_context.key_levels_meta if lowest <= level.price <= highest]
    assert 6 <= len(levels) < 12
    for level in levels:
        (line,) = [
            line
            for line in axes.lines
            if line.get_color() == TIER_COLOURS[level.tier] and set(line.get_ydata()) == {level.price}
        ]
        assert line.get_linewidth() == pytest.approx(0.6 + 3.0 * level.strength)


def test_a_level_out_of_view_is_told_at_the_edge_with_an_arrow(shown) -> None:
    notes = [text.get_text() for _, text in texts_of(chart_figure(shown))]
    far = max(level.price for level in shown.asset.market_context.key_levels_meta)
    assert any(note.startswith("▲ ") and f"{far:.2f}" in note for note in notes)
    assert any(note.startswith("▼ ") for note in notes)


def test_title_and_triggers_say_what_was_published(shown) -> None:
    texts = [text.get_text() for text in chart_figure(shown).texts]
    assert "Bullish breakout" in texts[0]
    assert "WAIT ‹ STRONG BUY: reward to risk" in texts[0]
    assert "Confidence ~0.41" in texts[0]
    assert texts[1] == "2025-05-20 12:17 UTC", "the moment at which the last bar closed"
    assert "breakout↑, volume" in texts[2]
    assert "volume z –" in texts[2], "unknown is not zero"


def test_prices_are_written_with_the_decimals_of_the_tick(shown) -> None:
    figure = chart_figure(shown)
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    assert labels
    assert all(len(label.partition(".")[2]) == 2 for label in labels)


def test_the_same_input_gives_the_same_bytes_of_a_png(shown, tmp_path) -> None:
    draw_chart(shown, tmp_path / "a.png")
    draw_chart(shown, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = imread(tmp_path / "a.png")
    assert picture.shape[:2] == (1210, 1870)
    assert picture[..., :3].mean() > 0.85, "dark on light"
    assert picture[..., :3].min() < 0.2


def gaps(panel: BarPanel, places) -> BarPanel:
    for name in ("open", "high", "low", "close", "volume"):
        getattr(panel, name)[0, places] = np.nan
    panel.valid[0, places] = False
    return panel


@pytest.mark.parametrize(
    "minutes",
    [
        bars_of(1),
        bars_of(30),
        gaps(bars_of(600), slice(400, 480)),
        gaps(bars_of(300), -1),
        gaps(bars_of(9), slice(None)),
    ],
    ids=["one bar", "half an hour", "a hole", "last bar missing", "nothing known"],
)
@pytest.mark.parametrize("is_analysed", [True, False])
def test_what_is_not_there_is_not_drawn_and_is_no_error(minutes, is_analysed, tmp_path) -> None:
    asset = asset_at(100.0) if is_analysed else asset_of({"symbol": "AUSDT", "state": "syncing"})
    draw_chart(ChartInput(asset, minutes), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


# ── Pieces ──


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=12),
    st.floats(0.01, 8.0),
)
def test_places_are_apart_in_order_and_inside(wanted, gap) -> None:
    found = set_apart(wanted, gap, 0.0, 100.0)
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in found)
    ordered = [found[index] for index in sorted(range(len(wanted)), key=lambda index: wanted[index])]
    assert (np.diff(ordered) >= gap - 1e-9).all()


def test_what_is_far_apart_stays_where_it_is() -> None:
    assert set_apart([1.0, 50.0, 9.0], 2.0, 0.0, 100.0) == [1.0, 50.0, 9.0]


def test_the_drawn_profile_holds_all_volume_and_peaks_at_the_engines_poc() -> None:
    panel = bars_of(1440, seed=5)
    edges, volumes = volume_at_prices(panel.high[0], panel.low[0], panel.volume[0], 48)
    assert volumes.sum() == pytest.approx(panel.volume.sum())
    poc = volume_profile(panel)[0][0]
    at = np.searchsorted(edges, poc) - 1
    assert volumes[at] > 0.99 * volumes.max()
    assert poc == pytest.approx((edges[at] + edges[at + 1]) / 2)


def test_a_bar_of_one_price_puts_its_volume_into_one_bin() -> None:
    edges, volumes = volume_at_prices(
        np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]), np.array([8.0, 5.0, 2.0]), 4
    )
    assert volumes.tolist() == [7.0, 2.0, 4.0, 2.0]
    assert edges.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert volume_at_prices(np.array([2.0]), np.array([2.0]), np.array([1.0]), 4)[1].size == 0
