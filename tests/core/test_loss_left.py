"""What the first row calls left of the loss limits is gone exactly when a guard on losses ends entries."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from world import BTC, SOL, UNPAUSED, World, virtual

from nexus_engine.core.accounting import day_pnl, equity, loss_left
from nexus_engine.model import events as e
from nexus_engine.model.config import AccountConfig, Directive, RiskConfig
from nexus_engine.model.facts import Adopted, AnyFact, DayOpened, Filled, PeakSeen, WalletSeen
from nexus_engine.model.ledger import Ledger, Tally, week_of
from nexus_engine.model.orders import ExitPlan, Fill
from nexus_engine.model.positions import Position
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, OrderKind, Side
from nexus_engine.shield.drawdown import falls
from nexus_engine.shield.streak import day_loss, day_r, week_r

D = Decimal
DAY = 20_000
AT_NS = DAY * 86_400_000_000_000
RISK = RiskConfig(trade_risk_pct=0.5, day_loss_pct=3.0, day_loss_r=3.0, week_loss_r=6.0)


def account(result: int, today_r: float, week_total_r: float) -> Ledger:
    """One that began the day with 10,000 and has closed what it held."""
    ledger = Ledger()
    ledger.day, ledger.day_equity, ledger.wallet = DAY, D(10_000), D(10_000 + result)
    ledger.day_realised = D(result)
    ledger.day_r, ledger.week_r = Tally(DAY, today_r), Tally(week_of(DAY), week_total_r)
    return ledger


@pytest.mark.parametrize(
    ("result", "today_r", "week_total_r", "left"),
    [
        (0, 0.0, 0.0, "150.00"),
        (-100, -2.0, -2.0, "49.50"),
        (-280, -1.0, -1.0, "20.00"),
        (0, 0.0, -5.0, "50.00"),
        (100, 2.0, 2.0, "252.50"),
        (-301, -1.0, -1.0, "0"),
    ],
)
def test_the_nearest_limit_counts_in_money(result: int, today_r: float, week_total_r: float, left: str) -> None:
    assert loss_left(account(result, today_r, week_total_r), RISK, {}) == D(left)


@pytest.mark.parametrize(
    ("peak", "day_from", "left"),
    [(10_000, 0, "50"), (10_800, 10_000, "20.8"), (10_500, 10_250, "47.25"), (12_000, 10_000, "0")],
)
def test_a_drawdown_that_is_nearer_counts(peak: int, day_from: int, left: str) -> None:
    ledger = account(0, 0.0, -5.0)
    ledger.peak, ledger.day_from = D(peak), D(day_from)
    risk = RISK.model_copy(update={"day_drawdown_pct": 2.9, "peak_drawdown_pct": 7.6})
    assert loss_left(ledger, risk, {}) == D(left)
    falling = any(fall >= limit for _, fall, limit in falls(ledger, risk, D(10_000)))
    assert falling is (D(left) == 0)


@given(st.integers(-400, 400), st.floats(-9, 9), st.floats(-9, 9))
@example(-300, 0.0, 0.0)
@example(0, -3.0, -3.0)
@example(0, 0.0, -6.0)
def test_something_is_left_as_long_as_every_guard_on_losses_allows(result: int, today: float, week: float) -> None:
    ledger = account(result, today, week)
    lost = day_loss(ledger, RISK, day_pnl(ledger, {}))
    verdicts = (lost, day_r(ledger, RISK, AT_NS, AT_NS), week_r(ledger, RISK, AT_NS, AT_NS))
    assert (loss_left(ledger, RISK, {}) > 0) is not any(verdict.refuses for verdict in verdicts)


@pytest.mark.parametrize("mark", ["130", "110", "90", "80", "70", "60"])
def test_an_open_profit_gives_nothing_back_of_a_limit_in_r_and_an_open_loss_takes_of_the_days_money(mark: str) -> None:
    ledger = account(0, -2.0, -2.0)
    plan = ExitPlan(stop=D(60))
    ledger.positions["SOLUSDT"] = Position(
        symbol="SOLUSDT", qty=D(10), entry=D(100), plan=plan, intent=1, strategy="flow", by="you", opened_ns=0,
        first_stop=D(60),
    )  # fmt: skip
    at = {"SOLUSDT": D(mark)}
    equity = D(10_000) + (D(mark) - 100) * 10
    expected = min(D("0.005") * equity, D(300) + (D(mark) - 100) * 10)
    assert loss_left(ledger, RISK, at) == max(D(0), expected)


@pytest.mark.parametrize("over_night", [-400, 0, 400])
@pytest.mark.parametrize("mark", ["61", "69.99", "70", "100"])
def test_the_guard_on_the_days_loss_counts_what_the_day_has_changed_and_not_what_was_open_before(
    over_night: int, mark: str
) -> None:
    ledger = account(0, 0.0, 0.0)
    ledger.day_equity += over_night
    ledger.positions["SOLUSDT"] = Position(
        symbol="SOLUSDT", qty=D(10), entry=D(100 - over_night // 10), plan=ExitPlan(stop=D(60)), intent=1, strategy="",
        by="you", opened_ns=0, first_stop=D(60),
    )  # fmt: skip
    at = {"SOLUSDT": D(mark)}
    lost = day_loss(ledger, RISK, day_pnl(ledger, at))
    assert lost.inputs[0].value == pytest.approx((100 - float(mark)) * 10)
    assert lost.refuses is (float(mark) <= 70 - over_night * 0.003)


@pytest.mark.parametrize(("share", "says"), [("1.02", ""), ("1.04", "the day has lost ")])
@virtual
async def test_no_entry_leaves_once_equity_is_the_limit_under_the_days_first(share: str, says: str) -> None:
    world = await World().start().ready()
    equity = world.ledger.wallet
    assert equity is not None
    world.record(DayOpened(at_ns=world.now()[0], day=world.ledger.day, equity=equity * D(share)))
    assert world.blocked.startswith(says) and bool(world.blocked) is bool(says)


@virtual
async def test_a_loss_counts_from_its_execution_on_whenever_the_wallet_is_told() -> None:
    risk = RiskConfig(day_loss_pct=0.5, day_loss_r=50, week_loss_r=100)
    world = World(directive=Directive(account=AccountConfig(crash_boots=1000), shield=UNPAUSED, risk=risk))
    await world.start().ready()
    before = world.ledger.wallet
    await world.enter()
    world.engine._handlers[e.AccountUpdate] = lambda turn, event: None
    world.tape.move(SOL, 145.0)
    await world.until(lambda: SOL not in world.ledger.positions, 10.0)
    lost = world.ledger.day_fees - world.ledger.day_realised
    assert world.ledger.wallet == before
    assert lost == -day_pnl(world.ledger, {}) > 125
    assert world.blocked.startswith(f"the day has lost {lost:.2f}")
    world.wish(BTC)
    await world.run(3.0)
    assert BTC not in world.ledger.positions
    await world.until(lambda: world.ledger.wallet != before, 70.0)
    assert not world.ledger.untold
    assert lost == -day_pnl(world.ledger, {})


@pytest.mark.parametrize("wallet_first", [False, True])
def test_an_execution_counts_once_whether_it_or_its_wallet_is_told_first(*, wallet_first: bool) -> None:
    """The venue's stream has the same time on both."""
    ledger = Ledger()
    turn = Turn(ledger, at_ns=1, mono_ns=1, market_ns=1)

    def fill(leg: Leg, side: Side, price: int, venue_ns: int) -> Filled:
        order = turn.submit(
            leg=leg, symbol=SOL, side=side, kind=OrderKind.MARKET, qty=D(1), intent=1,
            plan=ExitPlan(stop=D(90)) if leg is Leg.ENTRY else None,
        )  # fmt: skip
        trade = Fill(
            symbol=SOL, trade_id=str(venue_ns), client_id=order.client_id, side=side, price=D(price), qty=D(1),
            fee=D("0.5"), venue_ns=venue_ns,
        )  # fmt: skip
        return Filled(at_ns=venue_ns, fill=trade, market_ns=venue_ns)

    told: list[AnyFact] = [fill(Leg.ENTRY, Side.BUY, 100, 10), WalletSeen(at_ns=11, wallet=D("999.5"), venue_ns=10)]
    for fact in reversed(told) if wallet_first else told:
        ledger.apply(fact)
    assert equity(ledger, {}) == D("999.5")
    told = [fill(Leg.EXIT, Side.SELL, 90, 20), WalletSeen(at_ns=21, wallet=D(989), venue_ns=20)]
    if not wallet_first:
        ledger.apply(told[0])
        assert (ledger.wallet, equity(ledger, {})) == (D("999.5"), D(989))
        ledger.apply(told[1])
    else:
        for fact in reversed(told):
            ledger.apply(fact)
    assert equity(ledger, {}) == D(989) and not ledger.untold


def test_a_journal_that_does_not_tell_what_was_carried_keeps_its_peak_and_its_day() -> None:
    ledger = Ledger()
    ledger.apply(WalletSeen(at_ns=1, wallet=D(900)))
    ledger.apply(DayOpened(at_ns=2, day=1, equity=D(1_000)))
    ledger.apply(PeakSeen(at_ns=3, equity=D(1_100)))
    before = ledger.peak, ledger.day_from, ledger.day_equity
    plan = ExitPlan(stop=D(90))
    ledger.apply(Adopted(at_ns=4, symbol=SOL, qty=D(1), entry=D(100), plan=plan, intent=1, by="you"))
    assert (ledger.peak, ledger.day_from, ledger.day_equity) == before
    assert before == (D(1_100), D(1_000), D(1_000))


@pytest.mark.parametrize("priced", [True, False])
@virtual
async def test_the_day_begins_with_the_price_of_what_is_held_and_without_one_a_minute_later(*, priced: bool) -> None:
    world = await World().start().ready()
    await world.enter()
    world.tape.move(SOL, 152.0)
    await world.run(2.0)
    await world.kill()
    day_s = 86_400
    await world.run(day_s - world.now()[0] / 1e9 % day_s + 60)
    world._build()
    handlers = world.engine._handlers
    mute = {kind: handlers[kind] for kind in (e.Mark, e.Trade, e.Bar)}
    handlers.update(dict.fromkeys(mute, lambda turn, event: None))
    yesterday = world.ledger.day
    world.start()
    await world.run(2.0)
    assert world.ledger.day == yesterday
    if priced:
        handlers.update(mute)
        await world.until(lambda: world.ledger.day == yesterday + 1, 2.0)
        assert abs(day_pnl(world.ledger, world.engine.market.marks())) < 5
    else:
        await world.until(lambda: world.ledger.day == yesterday + 1, 62.0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("mark", "stop", "left_at", "r"),
    [(80, 79, "79", -1.0), (80, 70, "85", 0.5), (180, 101, "180", 0.0), (180, 160, "170", -0.5), (100, 90, "90", -1.0)],
)
def test_what_is_adopted_has_its_multiple_of_the_risk_from_then_on(
    sign: int, mark: int, stop: int, left_at: str, r: float
) -> None:
    """Bought at 100; for a short everything is mirrored at 100."""

    def at(price: int | str) -> Decimal:
        return 100 + (D(price) - 100) * sign

    ledger = Ledger()
    ledger.apply(WalletSeen(at_ns=1, wallet=D(10_000)))
    ledger.apply(DayOpened(at_ns=AT_NS, day=DAY, equity=D(10_000)))
    qty, plan = D(2 * sign), ExitPlan(stop=at(stop))
    ledger.apply(
        Adopted(
            at_ns=AT_NS, symbol=SOL, qty=qty, entry=D(100), plan=plan, intent=7, by="you",
            carried=(at(mark) - 100) * qty, before=D(10_000),
        )
    )  # fmt: skip
    position = ledger.positions[SOL]
    assert ledger.r_of(position, position.pnl(at(left_at)), D(2)) == pytest.approx(r)
    turn = Turn(ledger, at_ns=AT_NS, mono_ns=1, market_ns=1)
    side = position.side.opposite
    for part, half in enumerate((D("0.5"), D("1.5"))):
        order = turn.submit(leg=Leg.EXIT, symbol=SOL, side=side, kind=OrderKind.MARKET, qty=half, intent=7)
        fill = Fill(
            symbol=SOL, trade_id=str(part), client_id=order.client_id, side=side, price=at(left_at), qty=half,
            venue_ns=1,
        )  # fmt: skip
        turn.record(Filled(at_ns=AT_NS, fill=fill, market_ns=1))
    assert ledger.closed[-1].r == pytest.approx(r)
    assert ledger.day_r.of(DAY) == pytest.approx(r)
    assert ledger.closed[-1].pnl == (at(left_at) - 100) * qty
