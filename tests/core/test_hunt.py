"""The strategies in the whole engine, on the practice market: who speaks where, and what keeps the Shark out."""

from decimal import Decimal
from typing import Any

from msgspec import UNSET
from virtual_loop import START_NS
from world import World, virtual

from nexus_engine.core.engine import Engine
from nexus_engine.model import commands as c
from nexus_engine.model.config import Directive
from nexus_engine.model.events import MacroSample
from nexus_engine.model.facts import SignalSeen
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.macro import MacroRow
from nexus_engine.model.positions import ClosedTrade
from nexus_engine.model.turn import Turn
from nexus_engine.model.view import View, ViewRequest
from nexus_engine.model.words import Leg, Macro, Mode, ProposalStatus, Sentinel
from nexus_engine.sim.market import Market

HOUR_NS = 3_600_000_000_000
MINUTE_NS = 60_000_000_000
START = START_NS // (4 * HOUR_NS) * 4 * HOUR_NS - 45_000_000_000
"""45 seconds before a bar of four hours closes."""
BTC = "BTCUSDT"
MINUTES = 59
"""Into the sangria: the next hour closes at new lows."""


def market(scenario: str, seed: int = 7, minutes: int = 0) -> Market:
    """The practice market, so many minutes into its scenario."""
    tape = Market(seed=seed, scenario=scenario, start_ns=START)
    for _ in range(minutes * 6):
        tape.step(10_000_000_000)
    return tape


def of(world: World, strategy: str) -> list[SignalSeen]:
    facts = world.journal.facts()
    return [fact for fact in facts if isinstance(fact, SignalSeen) and fact.signal.strategy == strategy]


def look(world: World) -> View:
    at_ns, mono_ns = world.now()
    return world.engine.view(ViewRequest(), at_ns=at_ns, mono_ns=mono_ns)


def turn_of(world: World) -> Turn:
    at_ns, mono_ns = world.now()
    return Turn(world.ledger, at_ns=at_ns, mono_ns=mono_ns, market_ns=world.engine.market.now_ns)


def tell_macro(world: World, tape: Market) -> None:
    """What the macro feed would have told by now."""
    at_ns, mono_ns = world.now()
    rows = tuple(MacroRow(*row) for row in tape.macro())
    world.carrier.post(MacroSample(at_ns=at_ns, mono_ns=mono_ns, source="cmc", rows=rows))


@virtual
async def test_a_trend_makes_flow_propose_with_reasons_and_a_stop_that_rests_until_its_channel_breaks() -> None:
    world = await World(7, mode=Mode.COPILOT, speed=20.0, tape=market("trend-down")).start().ready()
    await world.until(lambda: world.open_cards())
    await world.run(2.0)
    cards = world.open_cards()
    assert {(card.strategy, str(card.side)) for card in cards} == {("flow", "SELL")}
    signal, plan = cards[0].signal, cards[0].plan
    assert signal.reasons[0] == "close under the 20-bar channel"
    assert signal.reasons[-1].startswith("regime TREND_DOWN")
    assert {"ADX14", "trend rank", "expected move by costs"} <= {reading.name for reading in signal.readings}
    assert plan.target is None
    assert plan.trail is UNSET
    # a card without a target is not taken for one whose price has run away
    world.command(c.SetMode(mode=Mode.COPILOT))
    await world.run(5.0)
    assert {card.id for card in cards} <= set(world.ledger.proposals)
    assert not any("ran away" in card.reason for card in world.ledger.proposals.values())


async def bleeding(mode: Mode = Mode.COPILOT, **directive: Any) -> World:
    """A minute before alts break down in a sangria that the Shield sees."""
    tape = market("sangria", minutes=MINUTES)
    made = World(7, mode=mode, speed=20.0, tape=tape, directive=Directive.model_validate(directive))
    world = await made.start().ready()
    tell_macro(world, tape)
    await world.until(lambda: world.ledger.macro.macro is Macro.SHARK)
    return world


@virtual
async def test_a_sangria_lets_the_shark_propose_its_ranked_targets_and_no_more_than_three() -> None:
    world = await bleeding()
    await world.until(lambda: of(world, "shark"), 120.0)
    await world.run(1.0)
    view = look(world)
    assert view.sentinel is Sentinel.SHARK
    assert [row for row in view.targets if not row.veto]
    cards = [fact.signal for fact in of(world, "shark") if fact.proposal]
    assert 1 <= len(cards) <= 3
    assert {signal.reasons[0].split(",")[0] for signal in cards} <= {f"SANGRIA; target {at} of 7" for at in (1, 2, 3)}
    signal = cards[0]
    assert signal.reasons[2] == "BTC under its EMA200 and falling; no squeeze"
    assert len(world.engine.hunt.context(turn_of(world), world.engine.market, Macro.SHARK).hunted) <= 3


@virtual
async def test_the_squeeze_ends_the_sharks_cards_and_keeps_it_out() -> None:
    world = await bleeding()
    await world.until(lambda: any(card.strategy == "shark" for card in world.open_cards()), 120.0)
    card = next(card for card in world.open_cards() if card.strategy == "shark")
    state = world.engine.market.symbols[BTC]
    squeezed = min(row.low for row in list(state.bars["5m"])[-6:]) * 1.021
    world.tick(BTC, squeezed, 1)
    # before any pulse: an approval that races it is refused
    told = world.approve(card)
    assert "not sent: squeeze: BTC +" in told
    world.tick(BTC, squeezed, 2)
    world.engine.hunt.look(turn_of(world), world.engine.market, world.engine.copilot)
    assert world.ledger.proposals[card.id].status is ProposalStatus.EXPIRED
    assert world.ledger.proposals[card.id].reason.startswith("squeeze: BTC +2.1%")
    assert not world.sent(leg=Leg.ENTRY)
    context = world.engine.hunt.context(turn_of(world), world.engine.market, Macro.SHARK)
    assert context.squeeze.startswith("BTC +2.")


@virtual
async def test_no_sangria_no_shark() -> None:
    tape = market("sangria", minutes=MINUTES)
    world = await World(7, mode=Mode.COPILOT, speed=20.0, tape=tape).start().ready()
    await world.run(15.0)
    assert not of(world, "shark")
    assert world.engine.cortex.counters["macro"] > 0


def account(**modes: str) -> Engine:
    return Engine(Directive.model_validate({"account": {"mode": "PILOT", "modes": modes}}), Ledger())


def test_the_sharks_entries_are_a_persons_unless_the_directive_says_pilot() -> None:
    assert account().mode_of("shark") is Mode.COPILOT
    assert account().mode_of("flow") is Mode.PILOT
    assert account(shark="PILOT").mode_of("shark") is Mode.PILOT


def test_scalping_is_no_pilot_before_its_own_trades_have_shown_that_it_earns() -> None:
    engine = account(scalping="PILOT")

    def traded(rs: list[float]) -> Mode:
        engine.ledger.closed[:] = [
            ClosedTrade(symbol="SOLUSDT", intent=1, strategy="scalping", by="you", pnl=Decimal(1), r=r, closed_ns=1)
            for r in rs
        ]
        return engine.mode_of("scalping")

    assert traded([]) is Mode.COPILOT
    assert traded([1.0] * 60 + [-1.0] * 39) is Mode.COPILOT  # too few
    assert traded([1.0, -0.9] * 60) is Mode.COPILOT  # may be luck
    assert traded([1.0, 1.0, -1.0] * 40) is Mode.PILOT


@virtual
async def test_a_named_set_warns_at_the_start_on_its_cards_and_in_the_log() -> None:
    world = await bleeding(strategies={"shark": {"set": "aggressive"}})
    assert any("shark set aggressive: WARNING: high leverage and a tight stop lost" in note for note in world.notes)
    await world.until(lambda: of(world, "shark"), 120.0)
    signal = of(world, "shark")[0].signal
    assert any(reason.startswith("set aggressive: WARNING") for reason in signal.reasons)
    assert signal.target is not None
    assert signal.leverage == 8


@virtual
async def test_a_strategy_that_is_switched_off_says_nothing_and_stays_off_over_a_restart() -> None:
    tape = market("trend-down")
    world = await World(7, mode=Mode.COPILOT, speed=20.0, tape=tape).start().ready()
    await world.until(lambda: world.open_cards())
    count = len(world.open_cards())
    told = world.command(c.Switch(strategy="flow", on=False))
    assert told.startswith("flow is off; ")
    assert count and not world.open_cards()
    assert world.command(c.Switch(strategy="flow", on=False)) == "flow is off already"
    assert "whale does not run here" in world.command(c.Switch(strategy="whale", on=True))
    digest = world.ledger.digest()
    await world.kill()
    await world.start().ready()
    assert "flow" in world.ledger.off
    assert digest
    assert world.command(c.Switch(strategy="flow", on=True)) == "flow is on"
    assert not world.ledger.off
