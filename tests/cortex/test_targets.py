"""Who would be hunted first, and who must not be."""

import math
from random import Random

import pytest

from nexus_engine.cortex.regime import ENTER, UNKNOWN, odds
from nexus_engine.cortex.targets import WEIGHTS, Targets, squeeze
from nexus_engine.model.events import BarRow
from nexus_engine.model.signals import Quote, RegimeView
from nexus_engine.model.verdicts import Reading
from nexus_engine.model.view import Target
from nexus_engine.model.words import Regime

HOUR_NS = 3_600_000_000_000
BTC = "BTCUSDT"


def moves(seed: int, count: int = 400, size: float = 0.005) -> list[float]:
    rng = Random(seed)
    return [rng.gauss(0, size) for _ in range(count)]


def bars(returns: list[float], *, volume: float = 1e7, start: int = 0) -> list[BarRow]:
    rows, price = [], 100.0
    for at, move in enumerate(returns):
        price *= math.exp(move)
        rows.append(BarRow((start + at) * HOUR_NS, price, price, price, price, volume))
    return rows


def quote(symbol: str, *, funding: float = 0.0, spread_bp: float = 1.0, valid: bool = True) -> Quote:
    return Quote(
        symbol=symbol, bid=100.0, ask=100.0 * (1 + spread_bp / 1e4), mark=100.0, last=100.0, funding_rate=funding,
        age_ms=10, valid=valid,
    )  # fmt: skip


LEAD = moves(1)


def alt(seed: int, beta: float) -> list[float]:
    return [beta * lead + own for lead, own in zip(LEAD, moves(seed, size=0.0005), strict=True)]


def table(
    rows: dict[str, list[BarRow]], quotes: dict[str, Quote] | None = None, targets: Targets | None = None
) -> dict[str, Target]:
    quotes = quotes or {symbol: quote(symbol) for symbol in rows}
    return {row.symbol: row for row in (targets or Targets(BTC, 8.0)).table(rows, quotes, 0)}


def test_beta_is_the_slope_on_bitcoin_and_one_while_unknown() -> None:
    targets = Targets(BTC, 8.0)
    assert targets.beta("AUSDT") == targets.beta(BTC) == 1.0
    table({BTC: bars(LEAD), "AUSDT": bars(alt(2, 1.7)), "BUSDT": bars(alt(3, 0.4))}, targets=targets)
    assert targets.beta("AUSDT") == pytest.approx(1.7, abs=0.03)
    assert targets.beta("BUSDT") == pytest.approx(0.4, abs=0.03)
    assert targets.beta(BTC) == 1.0


def test_the_score_is_the_weighted_ranks_and_best_comes_first() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    betas = (("A", 0.5), ("B", 1.0), ("C", 1.6))
    rows = {BTC: bars(LEAD)} | {f"{name}USDT": bars(alt(ord(name), beta)) for name, beta in betas}
    found = Targets(BTC, 8.0).table(rows, {symbol: quote(symbol) for symbol in rows}, 0)
    assert BTC not in [row.symbol for row in found]
    assert [row.score for row in found] == sorted((row.score for row in found), reverse=True)
    assert found[0].symbol == "CUSDT"
    assert all(0 <= row.score <= 1 for row in found)


def test_liquid_and_crowded_longs_rank_higher_all_else_equal() -> None:
    same = bars(alt(2, 1.0))
    rows = {BTC: bars(LEAD), "AUSDT": same, "BUSDT": [BarRow(*row) for row in tuples(same)]}
    thick = {BTC: quote(BTC), "AUSDT": quote("AUSDT", spread_bp=5.0), "BUSDT": quote("BUSDT", spread_bp=1.0)}
    got = table(rows, thick)
    assert got["BUSDT"].score == pytest.approx(got["AUSDT"].score + WEIGHTS["liquidity"] / 2 / 2)
    crowded = {BTC: quote(BTC), "AUSDT": quote("AUSDT", funding=0.0005), "BUSDT": quote("BUSDT")}
    got = table(rows, crowded)
    assert got["AUSDT"].score == pytest.approx(got["BUSDT"].score + WEIGHTS["funding"] / 2)


def tuples(rows: list[BarRow]) -> list[tuple[float, ...]]:
    return [(row.open_ns, row.open, row.high, row.low, row.close, row.volume) for row in rows]


@pytest.mark.parametrize(
    ("told", "volume", "last", "veto"),
    [
        ({}, 1e7, 0.0, ""),
        ({"funding": -0.0002}, 1e7, 0.0, ""),
        ({"funding": -0.0011}, 1e7, 0.0, "funding -0.11%"),
        ({"spread_bp": 14.0}, 1e7, 0.0, "spread 14 bp"),
        ({"valid": False}, 1e7, 0.0, "no market"),
        ({}, 1e3, 0.0, "volume "),
        ({}, 1e7, -0.08, "fell 7."),
        ({}, 1e7, 0.08, ""),
    ],
)
def test_vetoes(told: dict[str, float], volume: float, last: float, veto: str) -> None:
    returns = alt(2, 1.0)
    returns[-4:] = [0.0, 0.0, 0.0, last]
    rows = {BTC: bars(LEAD), "AUSDT": bars(returns, volume=volume), "BUSDT": bars(alt(3, 0.2))}
    quotes = {symbol: quote(symbol) for symbol in rows} | {"AUSDT": quote("AUSDT", **told)}  # type: ignore[arg-type]
    found = list(table(rows, quotes).values())
    mine = next(row for row in found if row.symbol == "AUSDT")
    assert mine.veto.startswith(veto)
    assert bool(mine.veto) == bool(veto)
    if veto:
        assert found[-1] is mine


def test_too_little_or_unequal_history_is_a_veto_and_no_number() -> None:
    rows = {
        BTC: bars(LEAD),
        "AUSDT": bars(alt(2, 2.0)[-150:], start=250),
        "BUSDT": [],
        "CUSDT": bars(LEAD[1:], start=0),
    }
    targets = Targets(BTC, 8.0)
    got = table(rows, targets=targets)
    assert {row.veto for row in got.values()} == {"too little history"}
    assert targets.beta("AUSDT") == 1.0
    assert Targets(BTC, 8.0).table({}, {}, 0) == ()


def test_an_hour_is_worked_out_once_and_a_few_symbols_at_a_time() -> None:
    names = [f"A{at}USDT" for at in range(10)]
    rows = {BTC: bars(LEAD)} | {name: bars(alt(at, 1.0)) for at, name in enumerate(names)}
    targets = Targets(BTC, 8.0)
    known = []
    for _ in range(4):
        got = table(rows, targets=targets)
        known.append(sum(not row.veto.startswith("too little") for row in got.values()))
    assert known == [4, 8, 10, 10]
    before = targets.table(rows, {symbol: quote(symbol) for symbol in rows}, 0)
    crowded = {symbol: quote(symbol, funding=-0.001) for symbol in rows}
    assert targets.table(rows, crowded, 0) is before
    assert {row.veto for row in targets.table(rows, crowded, 60_000_000_000)} == {"funding -0.10%"}


def test_a_market_that_comes_or_goes_is_ranked_at_once() -> None:
    rows, targets = {BTC: bars(LEAD), "AUSDT": bars(alt(1, 1.0))}, Targets(BTC, 8.0)
    for valid, veto in ((False, "no market"), (True, ""), (False, "no market")):
        assert table(rows, {symbol: quote(symbol, valid=valid) for symbol in rows}, targets)["AUSDT"].veto == veto


def test_one_market_that_goes_as_another_comes_is_seen_too() -> None:
    rows = {BTC: bars(LEAD), "AUSDT": bars(alt(1, 1.0)), "BUSDT": bars(alt(2, 1.0))}
    targets = Targets(BTC, 8.0)
    for gone in ("AUSDT", "BUSDT"):
        got = table(rows, {symbol: quote(symbol, valid=symbol != gone) for symbol in rows}, targets)
        assert [symbol for symbol, row in got.items() if row.veto] == [gone]


def test_four_hours_against_bitcoin() -> None:
    flat = [0.0] * 400
    fell = [0.0] * 399 + [math.log(0.97)]
    rows = {BTC: bars([0.0] * 399 + [math.log(0.99)]), "AUSDT": bars(fell), "BUSDT": bars(flat)}
    got = table(rows)
    assert got["AUSDT"].drop_pct == pytest.approx(-2.0)
    assert got["BUSDT"].drop_pct == pytest.approx(1.0)


def test_the_squeeze_rule() -> None:
    rows = [BarRow(at, 100, 101, 99.0 if at == 15 else 100, 100, 1) for at in range(20)]
    assert squeeze(rows, 100.9) == "quiet"
    assert squeeze(rows, 101.1) == "BTC +2.1% in 30 min"
    assert squeeze(rows[:14], 101.1) == "quiet"
    assert squeeze(None, 101.1) == squeeze(rows[:3], 101.1) == squeeze(rows, 0.0) == "unknown"


def view(trend: float, volatile: float, slope: float = 1.0, place: float = 0.9) -> RegimeView:
    readings = (
        Reading("straightness rank", trend),
        Reading("volatility rank 30d", volatile),
        Reading("EMA20 over EMA50", slope),
        Reading("place in Donchian20", place),
    )
    return RegimeView(regime=Regime.RANGE, readings=readings)


def test_odds_sum_to_one_and_lean_where_the_measures_do() -> None:
    assert odds(UNKNOWN) == ()
    for trend in (0.0, 0.3, ENTER, 1.0):
        for volatile in (0.0, 0.5, 1.0):
            assert sum(share for _, share in odds(view(trend, volatile))) == pytest.approx(1.0)
    at_entry = dict(odds(view(ENTER, 0.0)))
    assert at_entry[Regime.TREND_UP] + at_entry[Regime.TREND_DOWN] == pytest.approx(0.5)
    assert dict(odds(view(0.9, 0.2)))[Regime.TREND_UP] > 0.7
    assert dict(odds(view(0.9, 0.2, -1.0, 0.1)))[Regime.TREND_DOWN] > 0.7
    assert dict(odds(view(0.1, 0.9)))[Regime.VOLATILE] > 0.7
    assert dict(odds(view(0.1, 0.1)))[Regime.RANGE] > 0.7
