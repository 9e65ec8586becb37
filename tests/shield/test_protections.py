"""What a closed trade leads to: a pause of its symbol, the stop guard, the low-profit guard. What funding forbids."""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from shield_words import MINUTE_NS, NOW_NS, entry, fill, intend, quote, signal
from swan_corpus import Desk

from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.effects import Record
from nexus_engine.model.facts import DayOpened
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.signals import Quote, Signal
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import Leg, Side

BTC = quote("BTCUSDT", 60_000.0, 60_000.1)
ROOMY = RiskConfig(day_loss_r=50, week_loss_r=100)
QUIET = {"exit_pause_min": 0, "stops_window_min": 0, "low_trades": 0}
HOUR_NS = 60 * MINUTE_NS


def desk(**shield: object) -> Desk:
    made = Desk(ShieldConfig.model_validate(QUIET | shield), ROOMY)
    made.ledger.apply(DayOpened(at_ns=NOW_NS, day=NOW_NS // (24 * HOUR_NS), equity=Decimal(1_000)))
    return made


def close(
    on: Desk, intent: int, symbol: str = "SOLUSDT", pnl: str = "-1", side: Side = Side.BUY, leg: Leg = Leg.STOP
) -> None:
    """One unit in and out again; the Shield looks at it."""
    stop = "99" if side is Side.BUY else "101"
    fill(on.ledger, intend(on.ledger, entry(intent, symbol, "1", stop=stop, side=side)), "1")
    leaving = entry(intent, symbol, "1", side=side.opposite, leg=leg)
    fill(on.ledger, intend(on.ledger, leaving), "1", Decimal(100) + Decimal(pnl) * side.sign)
    on.shield.closed(on.turn(NOW_NS), on.ledger.closed[-1:])


def judge(on: Desk, wish: Signal | None = None, seen: Quote | None = None, at_ns: int = NOW_NS) -> dict[str, Verdict]:
    wish = wish or signal()
    verdicts = on.shield.judge_signal(on.turn(at_ns), wish, seen or quote(wish.symbol), BTC, Decimal(0))
    return {verdict.guard: verdict for verdict in verdicts}


def refusals(on: Desk, wish: Signal | None = None, seen: Quote | None = None, at_ns: int = NOW_NS) -> list[str]:
    return [guard for guard, verdict in judge(on, wish, seen, at_ns).items() if verdict.refuses]


def test_a_symbol_rests_after_its_trade_closed_however_it_ended() -> None:
    on = desk(exit_pause_min=5)
    close(on, 1, pnl="3", leg=Leg.TARGET)
    verdict = judge(on)["cooldown"]
    assert verdict.refuses and verdict.reason == "SOLUSDT: P1 has just been closed"
    assert verdict.until_ns == NOW_NS + 5 * MINUTE_NS
    assert refusals(on, signal("ETHUSDT")) == []
    assert refusals(on, at_ns=NOW_NS + 5 * MINUTE_NS) == []


def test_two_stops_on_a_symbol_pause_it_for_an_hour() -> None:
    on = desk(stops_window_min=60)
    close(on, 1)
    assert refusals(on) == []
    close(on, 2)
    verdict = judge(on)["stops"]
    assert verdict.refuses and verdict.until_ns == NOW_NS + HOUR_NS
    assert verdict.reason == "2 stops of SOLUSDT within 60 min, the last was P2"
    assert [(each.name, each.value, each.limit) for each in verdict.inputs] == [
        ("stops SOLUSDT", 2.0, 2.0),
        ("stops longs", 2.0, 3.0),
        ("stops the account", 2.0, 4.0),
    ]
    assert refusals(on, signal("ETHUSDT")) == []
    assert refusals(on, at_ns=NOW_NS + HOUR_NS) == []


def test_three_stops_of_longs_pause_longs_and_not_shorts() -> None:
    on = desk(stops_window_min=60)
    for intent, symbol in enumerate(("SOLUSDT", "ETHUSDT", "ADAUSDT"), start=1):
        close(on, intent, symbol)
    assert refusals(on, signal("XRPUSDT")) == ["stops"]
    assert refusals(on, signal("XRPUSDT", Side.SELL)) == []


def test_four_stops_pause_the_account_and_the_header_says_so() -> None:
    on = desk(stops_window_min=60)
    for intent, (symbol, side) in enumerate(
        (("SOLUSDT", Side.BUY), ("ETHUSDT", Side.SELL), ("ADAUSDT", Side.BUY), ("XRPUSDT", Side.SELL)), start=1
    ):
        assert not on.shield.entries_blocked(NOW_NS, on.ledger, BTC, Decimal(0))
        close(on, intent, symbol, side=side)
    for side in Side:
        assert refusals(on, signal("LINKUSDT", side)) == ["stops"]
    assert on.shield.entries_blocked(NOW_NS, on.ledger, BTC, Decimal(0)).startswith(
        "4 stops of the account within 60 min"
    )
    assert not on.shield.entries_blocked(NOW_NS + HOUR_NS, on.ledger, BTC, Decimal(0))


@pytest.mark.parametrize(
    ("pnl", "leg"),
    [("1", Leg.STOP), ("-1", Leg.EXIT), ("-1", Leg.TARGET)],
    ids=["a stop in profit", "closed by hand", "no stop at all"],
)
def test_only_a_losing_stop_counts(pnl: str, leg: Leg) -> None:
    on = desk(stops_window_min=60)
    for intent in range(1, 6):
        close(on, intent, pnl=pnl, leg=leg)
    assert refusals(on) == []


def test_stops_of_before_the_window_do_not_count() -> None:
    on = desk(stops_window_min=60)
    close(on, 1)
    on.ledger.closed[0] = replace(on.ledger.closed[0], closed_ns=NOW_NS - HOUR_NS)
    close(on, 2)
    assert refusals(on) == []


def test_a_symbol_that_earns_nothing_pauses_for_half_a_day() -> None:
    on = desk(low_trades=4, low_r=-2.0)
    for intent, pnl in enumerate(("-1", "-1", "0.5", "-0.6"), start=1):
        assert refusals(on) == []
        close(on, intent, pnl=pnl)
    verdict = judge(on)["low profit"]
    assert verdict.refuses and verdict.until_ns == NOW_NS + 12 * HOUR_NS
    assert verdict.reason == "SOLUSDT: its last 4 trades made -2.1 R, limit -2 R"
    assert refusals(on, signal("ETHUSDT")) == []


def test_the_low_profit_guard_looks_at_the_newest_trades_only() -> None:
    on = desk(low_trades=2, low_r=-1.5)
    for intent, pnl in enumerate(("-1", "0.4", "-1", "0.4"), start=1):
        close(on, intent, pnl=pnl)
    assert refusals(on) == []


def test_what_the_protections_set_comes_back_from_the_journal() -> None:
    on = desk(exit_pause_min=5, stops_window_min=60)
    close(on, 1)
    close(on, 2)
    again = desk(exit_pause_min=5, stops_window_min=60)
    again.ledger = Ledger().fold(effect.fact for effect in on.effects if isinstance(effect, Record))
    assert again.ledger.locks == on.ledger.locks
    assert refusals(again) == ["cooldown", "stops"]


@pytest.mark.parametrize(
    ("rate", "hours", "side", "refused"),
    [
        (0.0006, 8.0, Side.BUY, True),
        (0.0005, 8.0, Side.BUY, False),
        (0.0006, 8.0, Side.SELL, False),
        (-0.0006, 8.0, Side.SELL, True),
        (-0.0006, 8.0, Side.BUY, False),
        (0.0003, 4.0, Side.BUY, True),
        (0.0001, 1.0, Side.BUY, True),
        (float("nan"), 8.0, Side.BUY, True),
    ],
)
def test_an_entry_that_would_pay_dear_funding_is_refused(rate: float, hours: float, side: Side, refused: bool) -> None:
    seen = replace(quote(), funding_rate=rate, funding_h=hours)
    assert refusals(desk(), signal(side=side), seen) == (["funding"] if refused else [])


@pytest.mark.parametrize(
    ("left_s", "says"),
    [
        (121, ""),
        (119, "funding is settled in 119 s"),
        (1, "funding is settled in 1 s"),
        (-1, "funding was settled 1 s ago"),
        (-119, "funding was settled 119 s ago"),
        (-121, ""),
        (8 * 3600 - 60, "funding was settled 60 s ago"),
    ],
)
def test_no_entry_near_to_the_settlement_of_funding(left_s: int, says: str) -> None:
    on = desk()
    seen = replace(quote(), next_funding_ns=NOW_NS + left_s * 1_000_000_000)
    verdict = judge(on, seen=seen)["funding"]
    assert verdict.reason == says
    if verdict.refuses:
        assert verdict.until_ns is not None
        assert not judge(on, seen=seen, at_ns=verdict.until_ns)["funding"].refuses
