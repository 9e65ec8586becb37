"""Every guard that judges a signal: what it refuses, until when, and that `why` sees all of them."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec import UNSET
from msgspec.structs import replace
from shield_words import MINUTE_NS, NOW_NS, entry, fill, intend, quote, realised, signal, trade
from swan_corpus import Desk

from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.facts import SWAN_LOCK, DayOpened, ForeignSeen, LatchSet, LockSet, ProposalMade
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import Quote, Signal
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import Latch, OrderStatus, ProposalStatus, Side
from nexus_engine.shield.staleness import unseen

BTC = quote("BTCUSDT", 60_000.0, 60_000.1)
GUARDS = [
    *(
        "latch",
        "lease",
        "swan",
        "blind",
        "spread",
        "volume",
        "funding",
        "streak",
        "cooldown",
        "stops",
        "low profit",
        "symbol",
    ),
    *("proposal", "day loss", "protection", "day R", "week R", "macro", "orders"),
]


def desk() -> Desk:
    made = Desk(risk=RiskConfig(day_loss_r=50, week_loss_r=100))
    made.ledger.apply(DayOpened(at_ns=NOW_NS, day=1, equity=Decimal(1_000)))
    return made


def judge(
    on: Desk, wish: Signal | None = None, seen: Quote | None = None, swan: Quote | None = BTC
) -> dict[str, Verdict]:
    wish = wish or signal()
    verdicts = on.shield.judge_signal(on.turn(NOW_NS), wish, seen or quote(wish.symbol), swan, realised(on.ledger))
    assert [verdict.guard for verdict in verdicts] == GUARDS
    return {verdict.guard: verdict for verdict in verdicts}


def refusals(verdicts: dict[str, Verdict]) -> list[str]:
    return [guard for guard, verdict in verdicts.items() if verdict.refuses]


def lock(ledger: Ledger, name: str, until_ns: int = NOW_NS + MINUTE_NS) -> None:
    ledger.apply(LockSet(at_ns=NOW_NS, name=name, until_ns=until_ns, reason=f"{name} holds"))


def proposal(wish: Signal, status: ProposalStatus = ProposalStatus.PENDING) -> Proposal:
    return Proposal(
        id=41,
        symbol=wish.symbol,
        side=wish.side,
        strategy=wish.strategy,
        qty=Decimal(1),
        limit=Decimal(100),
        plan=ExitPlan(stop=Decimal(99)),
        leverage=1,
        worst=Decimal(1),
        worst_pct=0.1,
        r_multiple=2.0,
        signal=wish,
        status=status,
        made_ns=NOW_NS,
        expires_ns=NOW_NS,
        expires_mono_ns=0,
    )


def test_on_a_quiet_market_every_guard_looks_and_allows() -> None:
    verdicts = judge(desk())
    assert refusals(verdicts) == []
    assert {reading.name for reading in verdicts["swan"].inputs} == {"fall 5m", "fall 15m"}
    assert verdicts["spread"].inputs[0].limit == 8.0


@pytest.mark.parametrize("latch", list(Latch))
def test_any_latch_refuses_and_says_who_set_it(latch: Latch) -> None:
    on = desk()
    on.ledger.apply(LatchSet(at_ns=NOW_NS, latch=latch, on=True, by="you", reason="lunch"))
    verdicts = judge(on)
    assert refusals(verdicts) == ["latch"]
    assert verdicts["latch"].reason == f"{latch} by you: lunch"


def test_the_swan_lock_refuses_longs_until_it_ends_and_never_shorts() -> None:
    on = desk()
    lock(on.ledger, SWAN_LOCK)
    verdicts = judge(on)
    assert refusals(verdicts) == ["swan"]
    assert verdicts["swan"].until_ns == NOW_NS + MINUTE_NS
    assert verdicts["swan"].side is Side.BUY
    assert refusals(judge(on, signal(side=Side.SELL))) == []
    lock(on.ledger, SWAN_LOCK, NOW_NS)
    assert refusals(judge(on)) == []


@pytest.mark.parametrize(
    ("seen", "swan", "says"),
    [
        (quote(age_ms=3_001), BTC, "SOLUSDT: market data is 3.0 s old"),
        (quote(age_ms=None), BTC, "SOLUSDT: no market data yet"),
        (quote(valid=False), BTC, "SOLUSDT: the book is being rebuilt"),
        (quote(bid=float("nan")), BTC, "SOLUSDT: no sane bid and ask"),
        (quote(bid=100.0, ask=99.0), BTC, "SOLUSDT: no sane bid and ask"),
        (quote(), replace(BTC, age_ms=60_000), "BTCUSDT: market data is 60.0 s old"),
        (quote(), replace(BTC, valid=False), "BTCUSDT: the book is being rebuilt"),
        (quote(), None, "BTCUSDT: no market data yet"),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_guards_that_cannot_see_refuse_both_sides(seen: Quote, swan: Quote | None, says: str, side: Side) -> None:
    verdicts = judge(desk(), signal(side=side), seen, swan)
    assert verdicts["blind"].refuses
    assert says in verdicts["blind"].reason


def test_data_exactly_as_old_as_allowed_is_not_stale() -> None:
    verdicts = judge(desk(), seen=quote(age_ms=3_000), swan=replace(BTC, age_ms=3_000))
    assert refusals(verdicts) == []
    assert [(age.value, age.limit) for age in verdicts["blind"].inputs] == [(3_000, 3_000), (3_000, 3_000)]


@pytest.mark.parametrize(("bid", "seen"), [(0.16, True), (1e-6, True), (0.0, False), (-0.1, False)])
def test_a_price_of_a_few_cents_is_a_price(bid: float, seen: bool) -> None:
    assert (unseen("DOGEUSDT", quote("DOGEUSDT", bid, bid + 1e-5), 3_000) == "") is seen


@pytest.mark.parametrize("ask", [100.1, float("nan"), float("inf")])
def test_a_wide_spread_refuses_and_no_spread_at_all_too(ask: float) -> None:
    assert "spread" in refusals(judge(desk(), seen=quote(ask=ask)))


def test_a_spread_under_the_limit_is_allowed() -> None:
    assert refusals(judge(desk(), seen=quote(ask=100.07))) == []


@pytest.mark.parametrize(
    ("traded", "refused"), [(UNSET, False), (50e6, False), (49.9e6, True), (0.0, True), (float("nan"), True)]
)
def test_what_trades_little_is_refused_with_the_number_and_what_is_not_known_is_not(
    traded: float, refused: bool
) -> None:
    verdicts = judge(desk(), replace(signal(), turnover=traded))
    assert refusals(verdicts) == (["volume"] if refused else [])
    if traded is not UNSET and traded == traded:
        [reading] = verdicts["volume"].inputs
        assert (reading.value, reading.limit, reading.unit) == (pytest.approx(traded / 1e6), 50.0, "M")


def test_the_volume_guard_can_be_taken_off() -> None:
    on = Desk(ShieldConfig(min_day_volume=0), RiskConfig(day_loss_r=50, week_loss_r=100))
    on.ledger.apply(DayOpened(at_ns=NOW_NS, day=1, equity=Decimal(1_000)))
    assert refusals(judge(on, replace(signal(), turnover=1.0))) == []


def test_a_paused_strategy_is_refused_and_others_are_not() -> None:
    on = desk()
    lock(on.ledger, "streak:harpoon")
    assert refusals(judge(on)) == ["streak"]
    assert refusals(judge(on, signal(strategy="flow"))) == []


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("cooldown:SOLUSDT", True),
        ("cooldown:harpoon", True),
        ("cooldown:harpoon:SOLUSDT", True),
        ("venue", True),
        ("cooldown:ETHUSDT", False),
        ("cooldown:harpoon:ETHUSDT", False),
        ("cooldown:shark:SOLUSDT", False),
    ],
)
def test_a_lock_covers_the_scope_in_its_name(name: str, refused: bool) -> None:
    on = desk()
    lock(on.ledger, name)
    verdicts = judge(on)
    assert refusals(verdicts) == (["cooldown"] if refused else [])
    assert verdicts["cooldown"].until_ns == (NOW_NS + MINUTE_NS if refused else None)
    lock(on.ledger, name, NOW_NS)
    assert refusals(judge(on)) == []


def test_of_several_locks_the_longest_is_named() -> None:
    on = desk()
    lock(on.ledger, "cooldown:SOLUSDT")
    lock(on.ledger, "cooldown:harpoon", NOW_NS + 9 * MINUTE_NS)
    assert judge(on)["cooldown"].until_ns == NOW_NS + 9 * MINUTE_NS


ALIVE = [status for status in OrderStatus if not status.terminal]


@pytest.mark.parametrize("status", ALIVE)
def test_an_entry_that_is_not_over_keeps_its_symbol(status: OrderStatus) -> None:
    on = desk()
    intend(on.ledger, entry(7, "SOLUSDT", "1"), status)
    verdicts = judge(on)
    assert refusals(verdicts) == ["symbol"]
    assert verdicts["symbol"].reason == "SOLUSDT: P7 is on its way"
    assert refusals(judge(on, signal("ETHUSDT"))) == []


@pytest.mark.parametrize("status", [status for status in OrderStatus if status.terminal])
def test_an_entry_that_is_over_frees_its_symbol(status: OrderStatus) -> None:
    on = desk()
    intend(on.ledger, entry(7, "SOLUSDT", "1"), status)
    assert refusals(judge(on)) == []


@pytest.mark.parametrize("side", list(Side))
def test_one_position_at_a_time_on_a_symbol_whatever_the_side(side: Side) -> None:
    on = desk()
    fill(on.ledger, intend(on.ledger, entry(7, "SOLUSDT", "1")), "1")
    assert refusals(judge(on, signal(side=side))) == ["symbol"]


def test_a_symbol_that_holds_a_foreign_quantity_is_left_alone() -> None:
    on = desk()
    on.ledger.apply(ForeignSeen(at_ns=NOW_NS, symbol="SOLUSDT", qty=Decimal("-3")))
    verdicts = judge(on)
    assert refusals(verdicts) == ["symbol"]
    assert verdicts["symbol"].reason == "SOLUSDT: -3 that is not ours"


@pytest.mark.parametrize("status", list(ProposalStatus))
def test_an_open_card_keeps_its_symbol_but_not_from_itself(status: ProposalStatus) -> None:
    on = desk()
    on.ledger.apply(ProposalMade(at_ns=NOW_NS, proposal=proposal(signal(), status)))
    assert refusals(judge(on, signal())) == []
    assert refusals(judge(on, signal(price=101.0))) == (["proposal"] if status.open else [])
    assert refusals(judge(on, signal("ETHUSDT"))) == []


@pytest.mark.parametrize(("pnl", "refused"), [("-30", True), ("-29.9", False), ("50", False)])
def test_the_days_loss_refuses_at_its_limit(pnl: str, refused: bool) -> None:
    on = desk()
    trade(on.ledger, 1, "ETHUSDT", pnl)
    assert refusals(judge(on)) == (["day loss"] if refused else [])


def test_fees_are_part_of_the_days_loss() -> None:
    on = desk()
    opening = intend(on.ledger, entry(1, "ETHUSDT", "1"))
    fill(on.ledger, opening, "1", fee="30")
    assert refusals(judge(on)) == ["day loss"]


def halt(ledger: Ledger) -> None:
    ledger.apply(LatchSet(at_ns=NOW_NS, latch=Latch.HALT, on=True, by="you", reason="lunch"))


def lose(ledger: Ledger) -> None:
    trade(ledger, 1, "ETHUSDT", "-30")


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (lambda ledger: None, ""),
        (halt, "HALT by you: lunch"),
        (lose, "the day has lost 30.00, limit 30.00"),
        (lambda ledger: lock(ledger, "venue"), "venue holds"),
        (lambda ledger: lock(ledger, SWAN_LOCK), ""),
        (lambda ledger: lock(ledger, "streak:harpoon"), ""),
        (lambda ledger: lock(ledger, "cooldown:SOLUSDT"), ""),
    ],
)
def test_the_header_names_only_what_blocks_every_entry(happens: Callable[[Ledger], None], says: str) -> None:
    on = desk()
    happens(on.ledger)
    assert on.shield.entries_blocked(NOW_NS, on.ledger, BTC, realised(on.ledger)) == says


def test_the_header_says_that_the_guards_are_blind() -> None:
    on = desk()
    assert on.shield.entries_blocked(NOW_NS, on.ledger, None, Decimal(0)) == "BTCUSDT: no market data yet"
