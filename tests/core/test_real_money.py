"""Real money in a whole world: without the phrase nothing is entered, and what is held is protected all the same."""

from world import BTC, SOL, World, leg_of, virtual

from nexus_engine.model.commands import Approve, Unlock
from nexus_engine.model.config import Directive
from nexus_engine.model.events import Checked
from nexus_engine.model.facts import SignalSeen
from nexus_engine.model.words import AccountKind, Leg, Mode

FIT = ""


def live(mode: Mode = Mode.PILOT, lease_h: float = 8.0) -> World:
    directive = Directive.model_validate({"account": {"kind": "LIVE", "lease_h": lease_h}, "shield": {"min_depth": 0}})
    return World(kind=AccountKind.LIVE, mode=mode, directive=directive)


def check(world: World, problem: str = FIT) -> None:
    at_ns, mono_ns = world.now()
    world.carrier.post(Checked(at_ns=at_ns, mono_ns=mono_ns, problem=problem))


def refusals(world: World) -> list[str]:
    """What the lease said of each signal that it refused."""
    return [
        verdict.reason
        for fact in world.journal.facts()
        if isinstance(fact, SignalSeen)
        for verdict in fact.verdicts
        if verdict.guard == "lease" and verdict.refuses
    ]


def entries(world: World) -> list[str]:
    """Ids of the entries that the venue ever had."""
    ids = [order.client_id for order in world.venue.account.ledger.orders.values()]
    return [client_id for client_id in ids if leg_of(client_id) is Leg.ENTRY]


@virtual
async def test_the_pilot_enters_nothing_until_the_account_is_fit_and_the_phrase_is_typed() -> None:
    world = await live().start().ready()
    world.wish()
    await world.run(2.0)
    assert not world.venue.account.ledger.orders
    assert refusals(world) == ["LIVE entries are locked: the account has not been checked yet"]
    check(world)
    world.wish()
    await world.run(2.0)
    assert world.command(Unlock(word="live")) == "entries stay locked: type live main"
    world.wish()
    await world.run(2.0)
    assert not world.venue.account.ledger.orders
    assert refusals(world)[1:] == ["LIVE entries are locked; `unlock` in the menu opens them"] * 2
    assert world.command(Unlock(word="live main")) == "entries unlocked for 8 h"
    await world.enter()
    assert world.held()


@virtual
async def test_a_start_without_the_phrase_protects_what_is_held_and_enters_nothing() -> None:
    world = await live().start().ready()
    check(world)
    world.command(Unlock(word="live main"))
    await world.enter()
    await world.kill()
    account = world.venue.account
    for algo in list(account.conditionals.open.values()):
        account.conditionals.cancel(algo.algo_id, None, 1)
    entered = entries(world)
    await world.start().ready()
    await world.until(lambda: world.covered(SOL), 3.0)
    check(world)
    world.wish(BTC)
    await world.run(5.0)
    assert entries(world) == entered and len(entered) == 1 and world.held()
    assert refusals(world)[-1].endswith("`unlock` in the menu opens them")


@virtual
async def test_a_card_that_was_made_in_the_lease_is_not_sent_after_it() -> None:
    world = await live(Mode.COPILOT, lease_h=20 / 3600).start().ready()
    check(world)
    world.command(Unlock(word="live main"))
    card = await world.proposal()
    await world.until(lambda: world.ledger.lease_until_ns == 0, 40.0)
    assert any("the lease has ended" in note for note in world.notes)
    told = world.command(Approve(proposal=card.id, shown=card.shown))
    assert told.startswith(f"{card.handle} not sent: LIVE entries are locked")
    await world.run(1.0)
    assert not world.venue.account.ledger.orders


@virtual
async def test_what_still_works_of_an_entry_when_the_lease_ends_is_cancelled_at_that_moment() -> None:
    world = await live(lease_h=60 / 3600).start().ready()
    check(world)
    world.command(Unlock(word="live main"))
    await world.until(lambda: world.ledger.lease_until_ns - world.now()[0] < 3e9, 90.0)
    world.tape.lots[SOL] = 40
    world.wish(target_pct=None, limit_pct=0.0)
    await world.until(lambda: world.held() and any(not order.reduce_only for order in world.resting()), 3.0)
    await world.until(lambda: world.ledger.lease_until_ns == 0, 4.0)
    assert "the lease has ended: LIVE entries are locked again; cancelling 1 working" in world.notes[-1]
    await world.until(lambda: not [order for order in world.resting() if not order.reduce_only], 0.5)
    await world.until(lambda: world.covered(SOL), 1.0)
    assert world.held() and not list(world.ledger.alive(leg=Leg.ENTRY))


@virtual
async def test_a_check_that_turns_bad_locks_entries_and_leaves_the_stop_alone() -> None:
    world = await live().start().ready()
    check(world)
    world.command(Unlock(word="live main"))
    await world.enter()
    check(world, "withdrawals: the key permits withdrawals")
    world.wish(BTC)
    await world.run(2.0)
    assert refusals(world) == ["LIVE entries are locked: withdrawals: the key permits withdrawals"]
    assert world.covered(SOL) and any(order.leg is Leg.STOP for order in world.ledger.alive())
    check(world)
    await world.enter(BTC)
