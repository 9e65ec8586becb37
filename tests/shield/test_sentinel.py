"""The badge and the gauges: the gravest first, the tightest first."""

from decimal import Decimal

import pytest
from shield_words import MINUTE_NS, NOW_NS, quote, trade
from swan_corpus import START_NS, Desk, flat

from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK, DayOpened, LockSet, PeakSeen
from nexus_engine.model.signals import Quote
from nexus_engine.model.words import Sentinel

BTC = quote("BTCUSDT", 60_000.0, 60_000.1)
STALE = quote("BTCUSDT", 60_000.0, 60_000.1, age_ms=4_200)


def locked(desk: Desk) -> Desk:
    reason = "BTCUSDT fell 4.3 % under its 5 min high"
    desk.ledger.apply(LockSet(at_ns=NOW_NS, name=SWAN_LOCK, until_ns=NOW_NS + 51 * MINUTE_NS + 1, reason=reason))
    return desk


@pytest.mark.parametrize(
    ("swan", "age_ms", "badge", "reason"),
    [
        (BTC, 100, Sentinel.CALM, "every guard sees"),
        (BTC, 3_000, Sentinel.CALM, "every guard sees"),
        (STALE, 100, Sentinel.BLIND, "BTCUSDT: market data is 4.2 s old, limit 3.0 s"),
        (None, 100, Sentinel.BLIND, "BTCUSDT: no market data yet"),
        (BTC, 7_000, Sentinel.BLIND, "market data is 7.0 s old, limit 3.0 s"),
        (BTC, None, Sentinel.BLIND, "a market feed has not spoken yet"),
    ],
)
def test_the_badge_says_what_holds_and_why(
    swan: Quote | None, age_ms: int | None, badge: Sentinel, reason: str
) -> None:
    desk = Desk()
    assert desk.shield.sentinel(desk.ledger, NOW_NS, swan, age_ms) == (badge, reason)


@pytest.mark.parametrize(("swan", "age_ms"), [(BTC, 100), (STALE, None), (None, 9_000)])
def test_the_black_swan_goes_before_blindness_and_counts_down(swan: Quote | None, age_ms: int | None) -> None:
    desk = locked(Desk())
    badge, reason = desk.shield.sentinel(desk.ledger, NOW_NS, swan, age_ms)
    assert badge is Sentinel.BLACK_SWAN
    assert reason == "no longs 52 min; BTCUSDT fell 4.3 % under its 5 min high"
    later = desk.shield.sentinel(desk.ledger, NOW_NS + 52 * MINUTE_NS, BTC, 100)
    assert later[0] is Sentinel.CALM


def test_gauges_come_tightest_first_with_value_limit_and_share() -> None:
    desk = Desk()
    desk.ledger.apply(DayOpened(at_ns=NOW_NS, day=1, equity=Decimal(20_000)))
    trade(desk.ledger, 1, "SOLUSDT", "-1")
    flat(desk, "mark", lambda _: 100.0, 60)
    flat(desk, "trade", lambda _: 100.0, 60)
    flat(desk, "mark", lambda _: 99.1, 60, since=60)
    flat(desk, "trade", lambda _: 99.1, 60, since=60)
    desk.ledger.apply(PeakSeen(at_ns=NOW_NS, equity=Decimal(21_000)))
    gauges = desk.shield.gauges(desk.ledger, START_NS, equity=19_500.0, exposure_pct=38.0, day_pnl=-60.0, strategies=())
    assert [gauge.label for gauge in gauges] == [
        "drawdown",
        "day drawdown",
        "BTC alert 5m",
        "exposure",
        "BTC alert 15m",
        "BTC extreme 30m",
        "BTC extreme 60m",
        "losses in row",
        "day loss",
        "day loss R",
        "week loss R",
    ]
    rows = {
        gauge.label: (round(gauge.value, 6), round(gauge.limit, 6), gauge.unit, round(gauge.used, 6))
        for gauge in gauges
    }
    assert rows == {
        "exposure": (38.0, 100.0, "%", 0.38),
        "BTC alert 5m": (0.9, 2.0, "%", 0.45),
        "BTC alert 15m": (0.9, 2.5, "%", 0.36),
        "BTC extreme 30m": (0.9, 7.0, "%", 0.128571),
        "BTC extreme 60m": (0.9, 10.0, "%", 0.09),
        "losses in row": (1.0, 8.0, "", 0.125),
        "day loss": (60.0, 600.0, "", 0.1),
        "day drawdown": (2.5, 5.0, "%", 0.5),
        "drawdown": (7.142857, 10.0, "%", 0.714286),
        # the trade was of another day than the ledger's
        "day loss R": (0.0, 3.0, "R", 0.0),
        "week loss R": (0.0, 6.0, "R", 0.0),
    }


def swan_gauges(desk: Desk, market_ns: int = START_NS) -> dict[str, float]:
    gauges = desk.shield.gauges(desk.ledger, market_ns, equity=1.0, exposure_pct=0.0, day_pnl=0.0, strategies=())
    return {gauge.label: round(gauge.limit, 6) for gauge in gauges if gauge.guard == "swan"}


@pytest.mark.parametrize("lock", [SWAN_ALERT, SWAN_LOCK])
def test_a_window_shows_what_the_fall_does_next_and_the_trip_once_longs_are_kept_out(lock: str) -> None:
    desk = Desk()
    far = {"BTC extreme 30m": 7.0, "BTC extreme 60m": 10.0}
    assert swan_gauges(desk) == {"BTC alert 5m": 2.0, "BTC alert 15m": 2.5} | far
    desk.ledger.apply(LockSet(at_ns=NOW_NS, name=lock, until_ns=START_NS + MINUTE_NS, reason="a fall"))
    assert swan_gauges(desk) == {"BTC trip 5m": 4.0, "BTC trip 15m": 4.0} | far
    assert "BTC alert 5m" in swan_gauges(desk, START_NS + MINUTE_NS)


def test_losses_in_a_row_are_those_nearest_to_a_pause_and_before_the_first_the_smallest_limit() -> None:
    def shown(*strategies: str) -> tuple[float, float]:
        gauges = desk.shield.gauges(
            desk.ledger, START_NS, equity=1.0, exposure_pct=0.0, day_pnl=0.0, strategies=strategies
        )
        return next((gauge.value, gauge.limit) for gauge in gauges if gauge.guard == "streak")

    desk = Desk()
    assert shown("shark", "harpoon", "flow") == (0, 8)
    assert shown("flow") == (0, 19)
    trade(desk.ledger, 1, "SOLUSDT", "-1", strategy="flow")
    assert shown("shark", "harpoon", "flow") == (1, 19)


def test_at_rest_every_gauge_is_at_zero_and_none_passes_one() -> None:
    desk = Desk()
    assert {
        gauge.used
        for gauge in desk.shield.gauges(desk.ledger, NOW_NS, equity=0.0, exposure_pct=0.0, day_pnl=9.0, strategies=())
    } == {0.0}
    full = desk.shield.gauges(desk.ledger, NOW_NS, equity=100.0, exposure_pct=250.0, day_pnl=-90.0, strategies=())
    assert [(gauge.label, gauge.used) for gauge in full[:2]] == [("exposure", 1.0), ("day loss", 1.0)]
