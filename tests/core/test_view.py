"""What the picture says beyond the account: lines, marks, odds, targets, the day's curve, what a fall would do, why."""

import math
from collections import deque
from decimal import Decimal
from itertools import pairwise

import msgspec
import numpy as np
import pytest
import talib
from faulty import LOST_BEFORE, REFUSED, Fault
from msgspec.structs import replace
from virtual_loop import START_NS, run_virtual
from world import BTC, SOL, World, virtual

from nexus_engine.core import accounting
from nexus_engine.core.chart import Lines
from nexus_engine.core.curve import KEPT, STEP_NS, Curve
from nexus_engine.core.curve import steps as steps_of
from nexus_engine.core.market import SymbolMarket
from nexus_engine.core.shock import Shocks
from nexus_engine.model.commands import ClosePosition, Edit, MoveStop, Reject
from nexus_engine.model.config import DemoConfig
from nexus_engine.model.events import BarRow, History
from nexus_engine.model.facts import DayOpened, SignalSeen
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.view import View, ViewRequest, Why
from nexus_engine.model.words import AccountKind, Leg, Macro, Mode, OrderStatus, Regime, Side
from nexus_engine.sim.market import Market as PracticeMarket
from nexus_engine.sim.scenarios import aligned_start

FIVE_NS = 300_000_000_000


def look(world: World, **request: object) -> View:
    at_ns, mono_ns = world.now()
    return world.engine.view(ViewRequest(**request), at_ns=at_ns, mono_ns=mono_ns)  # type: ignore[arg-type]


def explained(world: World, wanted: str) -> Why:
    why = look(world, why=wanted).why
    assert why is not None
    return why


@virtual
async def test_an_account_that_the_venue_has_not_told_of_in_this_run_is_not_known() -> None:
    world = World()
    world.wire.faults.append(Fault(call="snapshot", kind=REFUSED, count=0))
    world.start()
    await world.run(5.0)
    assert not look(world).account.known
    world.wire.faults.clear()
    await world.ready()
    assert look(world).account.known


@virtual
async def test_how_fast_the_market_runs_is_told_of_our_own_practice_market_alone() -> None:
    for kind, demo, speed in (
        (AccountKind.DEMO, DemoConfig(speed=20), 20),
        (AccountKind.DEMO, DemoConfig(speed=20, venue="ready.json"), 1),
        (AccountKind.PAPER, DemoConfig(speed=20), 1),
    ):
        directive = World(kind=kind).directive.model_copy(update={"demo": demo})
        world = await World(kind=kind, directive=directive).start().ready()
        assert look(world).account.speed == speed


@virtual
async def test_an_open_question_hides_nothing_that_the_venue_has_told() -> None:
    world = await World().start().ready()
    await world.enter()
    world.wire.faults.append(Fault(call="submit", leg=Leg.ENTRY, kind=LOST_BEFORE, delay_s=0.3, count=0))
    world.wire.faults.append(Fault(call="query", kind=LOST_BEFORE, count=0))
    world.wish(BTC, Side.BUY)
    await world.run(1.5)
    await world.kill()
    world.start()
    world.wire.faults.append(Fault(call="query", kind=LOST_BEFORE, count=0))
    await world.run(20.0)
    assert world.blocked
    assert look(world).account.known


@virtual
async def test_a_liquidation_price_that_no_list_has_told_yet_is_not_none() -> None:
    world = await World().start().ready()
    for _ in range(2):
        world.wire.faults.append(Fault(call="snapshot", kind=REFUSED, count=0))
        await world.enter()
        assert not look(world).positions[0].liquidation_known
        world.wire.faults.clear()
        world.ask_account()
        await world.until(lambda: look(world).positions[0].liquidation_known, 3.0)
        world.command(ClosePosition(symbol=look(world).positions[0].symbol))
        await world.until(lambda: not world.ledger.positions, 5.0)


# ---- lines -----------------------------------------------------------------------------------------------------------


def charted(count: int, interval: str = "5m") -> tuple[SymbolMarket, list[BarRow]]:
    rng = np.random.default_rng(3)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, count)))
    rows = [BarRow(at * FIVE_NS, close, close, close, close, 1.0) for at, close in enumerate(map(float, closes))]
    grid = Decimal("0.01")
    state = SymbolMarket(
        Instrument(
            symbol=SOL,
            tick=grid,
            step=grid,
            min_qty=grid,
            max_qty=Decimal(9),
            market_max_qty=Decimal(9),
            min_notional=grid,
        )
    )
    state.bars[interval] = deque(rows, maxlen=500)
    return state, rows


@pytest.mark.parametrize("forming", [False, True])
def test_the_lines_are_talibs_over_the_bars_that_are_shown(forming: bool) -> None:
    state, rows = charted(400)
    if forming:
        state.bars["5m"].pop()
    lines = {line.name: line.values for line in Lines().over(state, "5m", rows[-120:])}
    closes = np.array([row.close for row in rows])
    upper, _, lower = talib.BBANDS(closes, 20, 2, 2)
    expected = {"EMA20": talib.EMA(closes, 20), "EMA50": talib.EMA(closes, 50), "BB upper": upper, "BB lower": lower}
    assert lines.keys() == expected.keys()
    for name, values in expected.items():
        assert lines[name] == pytest.approx(values[-120:].tolist(), rel=1e-9), name


def test_lines_are_worked_out_anew_when_a_bar_closes_and_bands_are_of_5m_alone() -> None:
    state, rows = charted(400, "1h")
    lines = Lines()
    first = lines.over(state, "1h", rows[-10:])
    assert [line.name for line in first] == ["EMA20", "EMA50"]
    new = replace(rows[-1], open_ns=rows[-1].open_ns + FIVE_NS, close=rows[-1].close * 1.1)
    state.bars["1h"].append(new)
    second = lines.over(state, "1h", [*rows[-9:], new])
    assert second[0].values[:-1] == first[0].values[1:]
    assert second[0].values[-1] > first[0].values[-1]


def test_a_line_that_does_not_reach_back_is_not_there() -> None:
    state, rows = charted(60)
    assert [line.name for line in Lines().over(state, "5m", rows)] == []
    assert [line.name for line in Lines().over(state, "5m", rows[-30:])] == ["EMA20", "BB upper", "BB lower"]
    assert [line.name for line in Lines().over(state, "5m", rows[-11:])] == ["EMA20", "EMA50", "BB upper", "BB lower"]
    assert Lines().over(state, "1h", rows) == ()


# ---- the generated market --------------------------------------------------------------------------------------------


def test_the_whole_picture_of_the_generated_market_holds_and_travels() -> None:
    async def story() -> None:
        tape = PracticeMarket(seed=7, scenario="range", start_ns=aligned_start(START_NS))
        world = World(7, mode=Mode.COPILOT, speed=20.0, tape=tape)
        await world.start().run(20.0)
        view = look(world, books=(SOL,), chart=(SOL, "5m"), bars=120, why="P1")
        assert len(view.chart) == 120
        assert [line.name for line in view.chart_lines] == ["EMA20", "EMA50", "BB upper", "BB lower"]
        assert all(len(line.values) == 120 and all(map(math.isfinite, line.values)) for line in view.chart_lines)
        assert {regime for regime, _ in view.odds} == set(Regime) - {Regime.UNKNOWN}
        assert sum(share for _, share in view.odds) == pytest.approx(1.0)
        assert sorted(row.symbol for row in view.targets) == sorted(set(world.engine.market.symbols) - {BTC})
        assert view.macro is Macro.UNKNOWN
        assert {row.note for row in view.targets if row.symbol != SOL} == {"macro unknown"}
        assert view.squeeze == "quiet"
        [card] = view.proposals
        proposal = card.proposal
        assert [row.note for row in view.targets if row.symbol == SOL] == [f"{proposal.handle} waiting"]
        assert card.margin == pytest.approx(float(proposal.qty * proposal.limit) / proposal.leverage)
        assert 0 < card.edge_bp < float((proposal.plan.target or 0) / proposal.limit - 1) * 1e4 - 10
        assert card.shock is not None
        assert card.shock.text.startswith("long stopped, -")
        labels = {mark.label for mark in view.chart_marks}
        assert labels == {f"{what} {proposal.handle}" for what in ("limit", "stop", "target")}
        assert view.why is not None
        assert (view.why.signal, view.why.verdicts) == (proposal.signal, proposal.verdicts)
        # over the control socket it is the same picture
        assert msgspec.json.decode(msgspec.json.encode(view), type=View) == view
        world.approve(proposal)
        await world.until(lambda: any(world.ledger.alive(leg=Leg.ENTRY)))
        view = look(world)
        assert [row.intent for row in view.entries] == [proposal.id]
        assert [row.note for row in view.targets if row.symbol == SOL] == [f"{proposal.handle} entering"]

    run_virtual(story())


@virtual
async def test_an_entry_is_told_until_it_can_no_longer_fill() -> None:
    world = await World().start().ready()
    world.tape.lots[SOL] = 40
    world.wish(target_pct=None, limit_pct=0.0)
    await world.until(lambda: any(order.status is OrderStatus.PARTIAL for order in world.ledger.alive(leg=Leg.ENTRY)))
    [entry], [row] = world.ledger.alive(leg=Leg.ENTRY), look(world).entries
    assert (row.symbol, row.intent, row.side, row.price) == (SOL, entry.intent, Side.BUY, entry.price)
    assert 0 < row.leaves == entry.qty - entry.filled
    assert 0 < row.left_ms < world.engine.directive.risk.entry_ms
    left_s = row.left_ms / 1000
    world.tape.move(SOL, 160.0)
    await world.run(left_s - 0.5)
    assert 0 < look(world).entries[0].left_ms <= 500
    await world.run(1.5)
    assert look(world).entries == ()


# ---- parts -----------------------------------------------------------------------------------------------------------


@virtual
async def test_the_engine_works_between_the_parts_and_what_is_decided_by_is_of_one_moment() -> None:
    world = await World().start().ready()
    await world.enter()
    await world.until(world.resting)
    at_ns, mono_ns = world.now()
    request = ViewRequest(chart=(SOL, "1m"), bars=20, books=(SOL,))
    drawing = world.engine.drawing(request, at_ns=at_ns, mono_ns=mono_ns)
    next(drawing)
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: world.ledger.closed)
    del world.engine.market.symbols[BTC]
    *_, view = drawing
    assert [row.symbol for row in view.positions] == [SOL]
    assert view.account.day_trades == 0
    assert "in P1" not in [mark.label for mark in view.books[0].marks]
    assert [row.symbol for row in view.watch] == [SOL]
    assert look(world).positions == ()


@virtual
async def test_a_picture_is_drawn_in_parts_of_which_none_is_most_of_it() -> None:
    world = await World().start().ready()
    at_ns, mono_ns = world.now()
    drawing = world.engine.drawing(ViewRequest(chart=(SOL, "1m"), books=(SOL, BTC)), at_ns=at_ns, mono_ns=mono_ns)
    assert len(list(drawing)) == 3


# ---- marks -----------------------------------------------------------------------------------------------------------


@virtual
async def test_the_marks_name_entry_stop_target_and_liquidation() -> None:
    world = await World().start().ready()
    await world.enter()
    await world.until(world.resting)
    world.engine.manager.liquidation[SOL] = Decimal("101.5")
    world.tell_past(SOL, world.past_minutes(150.0, 60))
    view = look(world, chart=(SOL, "1m"), bars=20, books=(SOL,))
    assert {mark.label for mark in view.chart_marks} == {"in P1", "stop P1", "target P1", "liq P1"}
    assert view.chart_marks == view.books[0].marks


# ---- the curve -------------------------------------------------------------------------------------------------------


def test_the_curve_keeps_a_point_a_minute_and_thins_itself_out() -> None:
    ledger, curve = Ledger(), Curve()
    curve.sample(ledger, {}, 0)
    assert curve.points(ledger, {}, 0) == ()
    ledger.apply(DayOpened(at_ns=0, day=3, equity=Decimal(1000)))
    step_ns = STEP_NS // 4
    for at in range(4 * 1440):
        ledger.day_realised = Decimal(at)
        curve.sample(ledger, {}, at * step_ns)
        points = curve.points(ledger, {}, at * step_ns)
        assert len(points) <= KEPT
        assert points[0].at_ns == 0
        assert points[-1].realised == at
        assert [point.at_ns for point in points] == sorted(point.at_ns for point in points)
    assert len(points) > KEPT // 3
    steps = {after.at_ns - before.at_ns for before, after in pairwise(points[:-1])}
    assert len(steps) == 1
    ledger.apply(DayOpened(at_ns=1, day=4, equity=Decimal(1000)))
    curve.sample(ledger, {}, 10**15)
    assert len(curve.points(ledger, {}, 10**15)) == 2


def test_the_worst_of_the_day_stays_wherever_it_lay_and_however_often_the_rest_is_thinned() -> None:
    ledger, curve = Ledger(), Curve()
    ledger.apply(DayOpened(at_ns=0, day=3, equity=Decimal(1000)))
    worst = 0.0
    for at in range(4 * 1440):
        result = (at % 7 - 3) * (at % 1009)
        ledger.day_realised = Decimal(result)
        curve.sample(ledger, {}, at * STEP_NS // 4)
        worst = min(worst, result)
        points = curve.points(ledger, {}, at * STEP_NS // 4)
        assert min(point.realised for point in points) == worst
        assert len(points) <= KEPT
        assert [point.at_ns for point in points] == sorted(point.at_ns for point in points)
    ledger.apply(DayOpened(at_ns=1, day=4, equity=Decimal(1000)))
    ledger.day_realised = Decimal(5)
    curve.sample(ledger, {}, 10**15)
    assert {point.realised for point in curve.points(ledger, {}, 10**15)} == {5.0}


@virtual
async def test_a_closed_trade_is_a_point_of_its_own() -> None:
    world = await World().start().ready()
    await world.run(1.0)
    await world.enter()
    before = len(look(world).curve)
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: world.ledger.closed)
    await world.run(0.5)
    curve = look(world).curve
    assert len(curve) == before + 1
    assert curve[-1].realised == float(world.ledger.closed[0].pnl)


@virtual
async def test_after_a_kill_the_curve_has_the_days_closed_trades_again_each_at_its_time() -> None:
    world = await World().start().ready()
    for side, price in ((Side.BUY, 149.7), (Side.SELL, 149.0)):
        await world.enter(side=side)
        world.tape.move(SOL, price)
        await world.run(1.0)
        world.command(ClosePosition(symbol=SOL))
        await world.until(lambda: not world.ours() and not any(world.ledger.alive()))
        await world.run(60.0)
    lost, won = world.ledger.closed
    assert lost.pnl < 0 < won.pnl
    before = look(world).curve
    await world.kill()
    await world.start().ready()
    await world.run(1.0)
    curve = look(world).curve
    steps = [(each.at_ns, each.realised) for each in curve[:2]]
    assert steps == [(lost.closed_ns, float(lost.pnl)), (won.closed_ns, float(lost.pnl + won.pnl))]
    assert curve[-1].realised == before[-1].realised
    assert [point.at_ns for point in curve] == sorted(point.at_ns for point in curve)
    assert steps_of(world.ledger) == list(curve[:2])
    del world.ledger.closed[0]
    assert steps_of(world.ledger) == []
    world.record(DayOpened(at_ns=world.now()[0], day=world.ledger.day + 1, equity=Decimal(1000)))
    await world.run(0.3)
    assert {point.realised for point in look(world).curve} == {0.0}


# ---- what a fall would do --------------------------------------------------------------------------------------------


@virtual
async def test_a_fall_stops_the_long_and_pays_the_short() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal(BTC, Side.SELL, risk_pct=0.1, target_pct=5.0)
    world.approve(card)
    await world.until(lambda: world.covered(BTC))
    long = await world.proposal(risk_pct=0.1)
    ledger, marks = world.ledger, world.engine.market.marks()
    short = ledger.positions[BTC]
    got = float(abs(short.qty) * marks[BTC]) * 0.1
    lost = float((long.limit - long.plan.stop) * long.qty)
    shock = look(world).proposals[0].shock
    assert shock is not None
    assert shock.pnl == pytest.approx(got - lost)
    equity = float(accounting.equity(ledger, marks)) + shock.pnl
    left = float(abs(short.qty) * marks[BTC]) * 0.9 / equity
    assert shock.text == f"long stopped, {shock.pnl:+.2f}; no liquidation; exposure {left:.0%}"
    shocks = Shocks(ledger, marks, {}, lambda symbol: 1.0)
    assert shocks.with_card(long) == shocks.with_card(long) == shock
    deep = Shocks(ledger, marks, {BTC: None}, lambda symbol: -1.5 if symbol == BTC else 0.01).with_card(long)
    assert deep.text.startswith("short stopped")
    near = Shocks(ledger, marks, {BTC: marks[BTC] + 1}, lambda symbol: -1.5 if symbol == BTC else 0.01).with_card(long)
    assert "no stop hit" in near.text
    assert "short liquidated" in near.text
    assert near.pnl > deep.pnl


@virtual
async def test_what_is_foreign_falls_without_a_stop() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    world.by_hand(BTC, Side.BUY, "0.01")
    await world.until(lambda: world.ledger.foreign.get(BTC), 5.0)
    card = await world.proposal(SOL, Side.SELL, risk_pct=0.1)
    shock = look(world).proposals[0].shock
    assert shock is not None
    short = float(card.qty * card.limit) * 0.1
    assert shock.pnl == pytest.approx(short - 95.0, rel=0.01)
    assert shock.text.startswith("no stop hit, ")


# ---- why -------------------------------------------------------------------------------------------------------------


@virtual
async def test_why_tells_a_trades_whole_story() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    why = explained(world, card.handle)
    assert (why.title, why.signal, why.verdicts) == (f"P{card.id} BUY {SOL} wish", card.signal, card.verdicts)
    assert {verdict.guard for verdict in why.verdicts} >= {"spread", "day loss", "open risk"}
    assert (why.outcome, why.orders) == ("PENDING", ())
    world.command(Edit(proposal=card.id, shown=card.shown, part=0.5))
    world.approve(world.ledger.proposals[card.id])
    await world.until(world.covered)
    why = explained(world, card.handle)
    assert why.outcome.startswith("open: BUY ")
    assert {order.leg for order in why.orders} >= {Leg.ENTRY, Leg.STOP}
    told = " / ".join(row.text for row in why.notes)
    assert told.index("edited") < told.index("approved") < told.index("filled") < told.index("confirmed")
    world.command(ClosePosition(symbol=SOL))
    await world.until(lambda: world.ledger.closed)
    assert explained(world, card.handle).outcome.startswith("closed: -")


@virtual
async def test_why_tells_a_refusal_by_its_moment_also_after_a_restart() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    world.by_hand(SOL, Side.BUY, "5")
    await world.until(lambda: SOL in world.ledger.foreign, 5.0)
    world.wish()
    await world.until(lambda: world.said("refused"))
    [row] = [row for row in look(world).events if "refused" in row.text]
    why = explained(world, f"@{row.at_ns}")
    assert why.title == f"BUY {SOL} wish"
    assert why.outcome == "refused: SOLUSDT: 5.00 that is not ours"
    assert [verdict.guard for verdict in why.verdicts if verdict.refuses] == ["symbol"]
    await world.kill()
    world.start()
    world.engine.recall(world.journal.facts())
    assert explained(world, f"@{row.at_ns}") == why
    assert row in look(world).events


def row_why(world: World, told: str) -> Why:
    """Why of the last row of the events that has these words."""
    row = [row for row in look(world).events if told in row.text][-1]
    return explained(world, f"@{row.at_ns} {row.subject} {row.text}")


@virtual
async def test_a_row_of_the_events_leads_to_the_trade_that_it_belongs_to() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    world.approve(card)
    await world.until(world.covered)
    for told in (f"{card.handle} BUY", f"{card.handle} approved", f"{card.handle} filled", "confirmed"):
        why = row_why(world, told)
        assert (why.title, why.signal) == (f"P{card.id} BUY {SOL} wish", card.signal), told
        assert why.outcome.startswith("open: BUY ")
    assert "no decision" in row_why(world, "reconciled").outcome


@virtual
async def test_a_refusal_that_names_a_trade_is_explained_as_the_refusal() -> None:
    world = await World().start().ready()
    await world.enter()
    world.wish()
    await world.until(lambda: world.said("refused"))
    why = row_why(world, "refused")
    assert why.outcome.startswith("refused: ")
    assert "is open" in why.outcome
    assert [verdict.guard for verdict in why.verdicts if verdict.refuses] == ["symbol"]


@virtual
async def test_what_cannot_be_explained_is_said() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    assert explained(world, "P7").outcome == "not remembered any more"
    assert "no decision" in explained(world, "@17").outcome
    for nonsense in ("P", "@", "x", "P-1", "P٣", "41", "P" + "9" * 40):
        assert look(world, why=nonsense).why is None
    card = await world.proposal()
    world.command(Reject(proposal=card.id))
    assert explained(world, card.handle).outcome == "REJECTED by you"


@virtual
async def test_only_the_last_signals_are_remembered() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    await world.proposal()
    [seen] = [fact for fact in world.journal.facts() if isinstance(fact, SignalSeen)]
    world.engine.recall(replace(seen, at_ns=at, proposal=0) for at in range(1, 301))
    assert explained(world, "@300").signal == seen.signal
    assert explained(world, "@90").signal is None
    world.engine.recall([replace(seen, at_ns=7), replace(seen, at_ns=7, proposal=0, outcome="refused: late")])
    assert explained(world, "@7").outcome == "refused: late"


@virtual
async def test_a_stop_that_is_not_at_its_price_yet_is_not_called_ok() -> None:
    world = await World().start().ready()
    position = await world.enter()
    world.wire.faults.append(Fault(call="submit", leg=Leg.STOP, kind=REFUSED, code=-1000))
    assert look(world).positions[0].stop_state == "ok"
    world.command(MoveStop(symbol=SOL, stop=position.plan.stop + Decimal("0.10")))
    assert look(world).positions[0].stop_state == "wait"
    await world.until(lambda: look(world).positions[0].stop_state == "ok", 2.0)


@virtual
async def test_after_a_start_a_stop_is_not_ok_before_the_venue_has_shown_it() -> None:
    world = await World().start().ready()
    await world.enter()
    assert look(world).positions[0].stop_state == "ok"
    await world.kill()
    world.start()
    row = look(world).positions[0]
    assert (row.stop_state, row.stop_seen_ms, row.naked_ms) == ("unseen", None, None)
    await world.until(lambda: look(world).positions[0].stop_state == "ok", 2.0)


@virtual
async def test_a_history_that_comes_again_makes_the_lines_anew() -> None:
    world = await World().start().ready()
    at_ns, mono_ns = world.now()
    world.tell_past(SOL, world.past_minutes(150.0, 60))
    first = look(world, chart=(SOL, "1m"), bars=10).chart_lines
    bars = world.past_minutes(140.0, 61)
    world.carrier.post(History(at_ns=at_ns, mono_ns=mono_ns, symbol=SOL, interval="1m", bars=bars))
    second = look(world, chart=(SOL, "1m"), bars=10).chart_lines
    assert first[0].values[0] == pytest.approx(150.0)
    assert second[0].values[0] == pytest.approx(140.0)
