"""The model beside the rule, bar by bar: the same as over columns, silent where it must be, and the same twice."""

import math
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from regimes import FIRST_H, SYMBOLS, model, panel

from nexus_engine.cortex.factory import Cortex
from nexus_engine.cortex.regime import odds
from nexus_engine.cortex.regime_book import HOUR_NS, RegimeBook
from nexus_engine.cortex.regime_drift import SHARE, Drift, psi
from nexus_engine.cortex.regime_features import CADENCE_H, NAMES
from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.cortex.regime_switch import DWELL, FEWEST, Switch
from nexus_engine.lab.regime_samples import samples
from nexus_engine.model.events import Bar, BarRow
from nexus_engine.model.signals import Quote, RegimeView
from nexus_engine.model.words import Regime
from nexus_engine.runtime.regime import formula_hash

WARM = 1_000
END = FIRST_H + 6_024
"""The close of the last hour that `model()` was fitted to."""
START = END - FIRST_H - WARM + 1


def row(symbol: str, at: int) -> BarRow:
    one = panel().columns[symbol]
    before = float(one.close[at - 1])
    return BarRow(
        (int(one.close_h[at]) - 1) * HOUR_NS, before, float(one.high[at]), float(one.low[at]), float(one.close[at]),
        float(one.volume[at]), 1,
    )  # fmt: skip


def bar(symbol: str, at: int) -> Bar:
    one = row(symbol, at)
    return Bar(
        at_ns=0, mono_ns=0, symbol=symbol, interval="1h", open_ns=one.open_ns, open=one.open, high=one.high,
        low=one.low, close=one.close, volume=one.volume, trades=1, closed=True, venue_ns=one.open_ns,
    )  # fmt: skip


def quote(symbol: str) -> Quote:
    return Quote(symbol=symbol, bid=1, ask=1, mark=1, last=1, funding_rate=0, age_ms=0, valid=True)


def warmed(symbols: tuple[str, ...] = SYMBOLS, told: RegimeModel | None = None, start: int = START) -> Cortex:
    cortex = Cortex({})
    cortex.use(told or model())
    for symbol in symbols:
        cortex.history(symbol, "1h", [row(symbol, at) for at in range(start, start + WARM)])
    return cortex


def played(cortex: Cortex, hours: int, symbols: tuple[str, ...] = SYMBOLS, start: int = START) -> Iterator[int]:
    for at in range(start + WARM, start + WARM + hours):
        for symbol in symbols:
            cortex.bar(bar(symbol, at), quote(symbol))
        yield at


def reading(view: RegimeView, word: str) -> float | None:
    return next((one.value for one in view.readings if word in one.name), None)


def test_it_says_live_what_it_says_over_whole_columns() -> None:
    found = samples(panel())
    rows = model().filled(found.rows)
    number = found.names.index("ETHUSDT")
    cortex, compared = warmed(), 0
    for at in played(cortex, 200):
        close_h = int(panel().close_h[at])
        view = cortex.regime("ETHUSDT")
        if close_h % CADENCE_H or (said := reading(view, "P(trend 24h)")) is None:
            continue
        place = np.flatnonzero((found.close_h == close_h) & (found.symbol == number))
        told = model().one(rows[place[0]])
        assert said == pytest.approx(told.trend, abs=1e-9)
        assert reading(view, "P(high volatility 24h)") == pytest.approx(told.volatile, abs=1e-9)
        compared += 1
    assert compared > 20


def test_its_view_has_a_name_ranks_and_calibrated_odds() -> None:
    cortex = warmed()
    seen = set()
    for _ in played(cortex, 240):
        view = cortex.regime("BTCUSDT")
        if view.source != "rule":
            seen.add(view.regime)
            assert view.source == "small"
            assert view.trend_rank is not None and 0 <= view.trend_rank <= 1
            assert view.volatile_rank is not None and 0 <= view.volatile_rank <= 1
            assert sum(share for _, share in odds(view)) == pytest.approx(1)
            assert view.regime is not Regime.UNKNOWN
    assert len(seen) >= 2


def test_the_order_of_symbols_at_one_close_changes_nothing() -> None:
    one, other = warmed(), warmed()
    for at, same in zip(played(one, 60), played(other, 60, SYMBOLS[::-1]), strict=True):
        assert at == same
        assert [one.regime(symbol) for symbol in SYMBOLS] == [other.regime(symbol) for symbol in SYMBOLS]


def test_looking_at_it_changes_nothing() -> None:
    one, other = warmed(), warmed()
    for _ in zip(played(one, 60), played(other, 60), strict=True):
        other.regime("BTCUSDT")
        other.regime("BTCUSDT")
    assert one.regime("BTCUSDT") == other.regime("BTCUSDT")


def test_a_symbol_alone_is_told_of_and_says_that_it_is_alone() -> None:
    cortex = warmed(("ETHUSDT",))
    views = [cortex.regime("ETHUSDT") for _ in played(cortex, 48, ("ETHUSDT",))]
    spoken = [view for view in views if view.source != "rule"]
    assert spoken and all(reading(view, "no market around") for view in spoken)


def aged(days: float) -> RegimeModel:
    manifest = msgspec.structs.replace(model().manifest, data_end_ns=int((END - 24 * days) * HOUR_NS))
    return RegimeModel(model().arrays, manifest, formula_hash())


@pytest.mark.parametrize(("days", "why"), [(50, "stale, days"), (-10, "days before its end")])
def test_outside_of_its_time_the_rule_speaks_and_says_why(days: float, why: str) -> None:
    cortex, plain = warmed(told=aged(days)), Cortex({})
    plain.history("BTCUSDT", "1h", [row("BTCUSDT", at) for at in range(START, START + WARM)])
    for at in played(cortex, 24):
        plain.bar(bar("BTCUSDT", at), quote("BTCUSDT"))
        view, rule = cortex.regime("BTCUSDT"), plain.regime("BTCUSDT")
        assert view.source == "rule" and reading(view, f"model silent: {why}") is not None
        assert view == msgspec.structs.replace(rule, readings=view.readings)


def test_a_short_history_is_the_rules() -> None:
    cortex = Cortex({})
    cortex.use(model())
    cortex.history("BTCUSDT", "1h", [row("BTCUSDT", at) for at in range(START + 400, START + WARM)])
    view = cortex.regime("BTCUSDT")
    assert view.source == "rule" and view.regime is not Regime.UNKNOWN and reading(view, "silent: bars") == 600


def test_a_strange_row_is_the_rules() -> None:
    cortex = warmed()
    for at in range(START + WARM, START + WARM + 6):
        wild = msgspec.structs.replace(bar("BTCUSDT", at), high=1e6, low=1e-3, volume=1e12)
        cortex.bar(wild, quote("BTCUSDT"))
    view = cortex.regime("BTCUSDT")
    assert view.source == "rule" and (reading(view, "silent: strangeness") or 0) > 1


def test_a_price_that_stood_still_for_a_day_has_no_features_and_is_the_rules() -> None:
    cortex = warmed()
    last = row("BTCUSDT", START + WARM - 1).close
    for at in range(START + WARM, START + WARM + 30):
        still = msgspec.structs.replace(bar("BTCUSDT", at), open=last, high=last, low=last, close=last)
        cortex.bar(still, quote("BTCUSDT"))
    view = cortex.regime("BTCUSDT")
    assert view.source == "rule" and (reading(view, "silent: features missing") or 0) > 0


def test_a_lost_bar_is_unknown_until_history_comes() -> None:
    cortex = warmed()
    cortex.bar(bar("BTCUSDT", START + WARM + 1), quote("BTCUSDT"))
    assert cortex.regime("BTCUSDT").regime is Regime.UNKNOWN
    assert ("BTCUSDT", "1h") in cortex.needs_history()
    cortex.history("BTCUSDT", "1h", [row("BTCUSDT", at) for at in range(START + 2, START + WARM + 2)])
    assert cortex.regime("BTCUSDT").regime is not Regime.UNKNOWN


def test_another_model_takes_over_the_bars_and_none_gives_them_back_to_the_rule() -> None:
    cortex = warmed()
    list(played(cortex, 12))
    cortex.use(RegimeModel(model().arrays, msgspec.structs.replace(model().manifest, name="next"), formula_hash()))
    assert not cortex.needs_history()
    assert cortex.regime("BTCUSDT").source == "next"
    cortex.use(None)
    assert cortex.regime("BTCUSDT").source == "rule"


def test_a_first_model_of_a_running_engine_asks_for_its_bars() -> None:
    cortex = Cortex({})
    cortex.history("BTCUSDT", "1h", [row("BTCUSDT", at) for at in range(START, START + WARM)])
    cortex.use(model())
    assert cortex.needs_history() == [("BTCUSDT", "1h")]


# ---- switch and drift ------------------------------------------------------------------------------------------------


def test_a_switch_waits_is_left_late_and_holds() -> None:
    switch = Switch()
    states = []
    for at in range(400):
        switch.hear(0.3 + 0.1 * math.sin(at / 7))
        states.append(switch.on)
        assert math.isnan(switch.rank) == (at < FEWEST - 1)
    changes = np.flatnonzero(np.diff(np.array(states, dtype=int)))
    assert len(changes) > 10 and np.diff(changes).min() >= DWELL


def test_a_switch_stays_on_between_its_two_ranks() -> None:
    switch = Switch()
    for said in np.linspace(0, 1, 100):
        switch.hear(float(said))
    assert switch.on
    for _ in range(8):
        switch.hear(0.6)
    assert switch.on and 0.5 < switch.rank < 0.67
    for _ in range(8):
        switch.hear(0.3)
    assert not switch.on and switch.rank < 0.5
    for _ in range(8):
        switch.hear(0.6)
    assert not switch.on and 0.5 < switch.rank < 0.67


def test_a_switch_does_not_flutter_where_the_bare_rank_does() -> None:
    rng = np.random.default_rng(1)
    said = 0.3 + 0.05 * rng.normal(size=2_000)
    switch, changes, last = Switch(), 0, False
    for one in said:
        switch.hear(float(one))
        changes += switch.on != last
        last = switch.on
    bare = int(np.abs(np.diff((said > np.quantile(said, 0.67)).astype(int))).sum())
    assert changes < bare * 0.7


def test_psi_is_nothing_on_the_deciles_and_large_off_them() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(5_000, len(NAMES)))
    deciles = np.quantile(rows, np.arange(1, 10) / 10, axis=0).T
    assert psi(rows, deciles).max() < 0.01
    assert psi(rows + 1, deciles).min() > 0.25


def test_a_market_that_left_what_was_learned_is_an_alert_and_the_rule_speaks() -> None:
    drift = Drift(model())
    for close_h in range(END, END + 24 * 9, CADENCE_H):
        for _ in SYMBOLS:
            drift.row(close_h, model().arrays["center"] + 6 * model().arrays["scale"])
    assert drift.beyond > SHARE and "drifted" in drift.alert


def test_probabilities_that_do_not_come_true_are_an_alert_and_good_ones_are_not() -> None:
    bad, good = Drift(model()), Drift(model())
    for number, close_h in enumerate(range(END, END + 24 * 20, CADENCE_H)):
        came = number % 4 == 0
        for drift, said in ((bad, 0.05 if came else 0.9), (good, 0.6 if came else 0.2)):
            drift.answer(close_h, 0, said, came)
            drift.row(close_h, model().arrays["center"])
    assert "log-loss" in bad.alert and "log-loss" not in good.alert


def test_an_ordinary_time_after_the_training_is_no_drift() -> None:
    cortex = warmed()
    book = cortex._book
    assert isinstance(book, RegimeBook)
    alerts = [bool(book.drift.alert) for _ in played(cortex, 24 * 40)]
    assert sum(alerts) < len(alerts) * 0.1
