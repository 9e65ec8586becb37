"""Roles where commands enter the engine: whatever is tried in whatever order, nobody does more than their role."""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from world import SOL, World, virtual

from nexus_engine.core.engine import Engine
from nexus_engine.model import commands as c
from nexus_engine.model.config import Directive
from nexus_engine.model.effects import Notify, Record
from nexus_engine.model.events import Checked, Commanded, Started
from nexus_engine.model.facts import Leased, Noted
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.people import HERE
from nexus_engine.model.words import AccountKind, Latch, Leg, Level, Mode, Role

PEOPLE: Final = {"ana": {"role": "owner"}, "bo": {"role": "trader"}, "cy": {"role": "viewer"}}
DIRECTIVE: Final = Directive.model_validate({"account": {"kind": "LIVE"}, "people": PEOPLE})
NOBODY: Final = ("root", "", "ANA", "ana\n", "bot", "carrier", HERE, "nexus kill", "sentinel")

words = st.sampled_from(["", "flat", SOL.lower()])
symbols = st.sampled_from([SOL, "BTCUSDT", "NOPE"])
commands = st.one_of(
    st.builds(c.Halt, reason=st.just("try")),
    st.builds(c.Approve, proposal=st.integers(0, 3), shown=words),
    st.builds(c.Reject, proposal=st.integers(0, 3)),
    st.builds(c.Edit, proposal=st.integers(0, 3), shown=words),
    st.sampled_from(Latch).map(lambda latch: c.Release(latch=latch, word=latch.lower())),
    st.sampled_from(Mode).map(lambda mode: c.SetMode(mode=mode, word=mode.lower())),
    st.builds(c.ClosePosition, symbol=symbols, half=st.booleans()),
    st.builds(c.Flatten, word=words, longs_only=st.booleans(), foreign=st.booleans()),
    st.builds(c.MoveStop, symbol=symbols, stop=st.decimals(1, 200, places=2)),
    st.builds(c.Rearm, symbol=symbols),
    st.just(c.Pause()),
    st.builds(c.Adopt, symbol=symbols, stop=st.decimals(1, 200, places=2)),
    st.builds(c.CloseForeign, symbol=symbols, word=words),
    st.just(c.Unlock(word="live main")),
)


def engine(mode: Mode = Mode.COPILOT) -> Engine:
    made = Engine(DIRECTIVE, Ledger())
    made.on(
        Started(
            at_ns=1, mono_ns=1, account="main", kind=AccountKind.LIVE, instance="t", epoch=1, version="0", mode=mode
        )
    )
    made.on(Checked(at_ns=1, mono_ns=1, problem=""))
    return made


def tried(made: Engine, command: c.AnyCommand, by: str, at_ns: int) -> list[Any]:
    return made.on(Commanded(at_ns=at_ns, mono_ns=at_ns, command=command, by=by))


@given(st.lists(st.tuples(commands, st.sampled_from(("cy", *NOBODY))), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_a_viewer_and_an_unknown_do_nothing_but_halt_and_every_try_is_recorded(
    tries: list[tuple[c.AnyCommand, str]],
) -> None:
    made, ledger = engine(), Ledger()
    halted = False
    before = made.ledger.digest()
    for at_ns, (command, by) in enumerate(tries, start=2):
        effects = tried(made, command, by, at_ns)
        if isinstance(command, c.Halt):
            halted = True
            before = made.ledger.digest()
            continue
        assert made.ledger.digest() == before
        noted = [one.fact for one in effects if isinstance(one, Record)]
        assert [type(fact) for fact in noted] == [Noted] and isinstance(noted[0], Noted)
        assert (noted[0].by, noted[0].level) == (by, Level.WARN) and " refused: " in noted[0].text
        assert all(isinstance(one, Record | Notify) for one in effects)
        told = made.notebook.outcome_of(by)
        assert told is not None and told.text == noted[0].text
        others = made.notebook.outcome_of("ana")
        assert (others is not None) == halted and " refused: " not in str(others)
    assert set(made.ledger.latches) == ({Latch.HALT} if halted else set())
    assert made.mode is Mode.COPILOT and not ledger.lease_until_ns


@given(
    st.lists(st.tuples(commands, st.just("bo") | st.sampled_from(("cy", *NOBODY))), min_size=1, max_size=40),
    st.sampled_from(Mode),
)
@settings(max_examples=150, deadline=None)
def test_no_sequence_of_a_traders_and_viewers_commands_loosens_anything(
    tries: list[tuple[c.AnyCommand, str]], mode: Mode
) -> None:
    made = engine(mode)
    tried(made, c.Halt(), "ana", 1)
    rank, latched = mode.rank, {Latch.HALT}
    for at_ns, (command, by) in enumerate(tries, start=2):
        facts = [one.fact for one in tried(made, command, by, at_ns) if isinstance(one, Record)]
        assert made.mode.rank <= rank and set(made.ledger.latches) >= latched
        assert not any(isinstance(fact, Leased) for fact in facts) and not made.ledger.lease_until_ns
        rank, latched = made.mode.rank, set(made.ledger.latches)
        # a role is what the directive says, however often it is asked
        assert [made.people.role(name) for name in ("ana", "bo", "cy", *NOBODY)] == [
            Role.OWNER,
            Role.TRADER,
            *[Role.VIEWER] * (1 + len(NOBODY)),
        ]


def test_an_owner_resumes_unlocks_and_goes_up() -> None:
    made = engine(Mode.WATCHER)
    for command in (
        c.Halt(),
        c.Release(latch=Latch.HALT, word="halt"),
        c.SetMode(mode=Mode.PILOT, word="pilot"),
        c.Unlock(word="live main"),
    ):
        tried(made, command, "ana", 2)
    assert not made.ledger.latches and made.mode is Mode.PILOT and made.ledger.lease_until_ns


@virtual
async def test_a_viewer_moves_no_order_of_a_trader_who_approves_and_closes() -> None:
    directive = Directive.model_validate({"people": PEOPLE})
    world = await World(mode=Mode.COPILOT, directive=directive).start().ready()
    card = await world.proposal()
    for by in ("cy", "root"):
        assert "approve refused" in world.command(c.Approve(proposal=card.id, shown=card.shown), by)
        assert "reject refused" in world.command(c.Reject(proposal=card.id), by)
    assert world.open_cards() and not world.sent()
    world.command(c.Approve(proposal=card.id, shown=card.shown), "bo")
    await world.until(lambda: world.covered(SOL))
    stop = world.ledger.positions[SOL].plan.stop
    world.by_hand("BTCUSDT", card.side, "0.010")
    await world.until(lambda: world.ledger.foreign)
    foreign = world.ledger.foreign["BTCUSDT"]
    exits = len(world.sent())
    for command in (
        c.ClosePosition(symbol=SOL),
        c.Flatten(word="flat"),
        c.MoveStop(symbol=SOL, stop=stop),
        c.CloseForeign(symbol="BTCUSDT", qty=foreign, word="btcusdt"),
    ):
        assert " refused: cy is a viewer" in world.command(command, "cy")
    assert "it takes an owner" in world.command(c.CloseForeign(symbol="BTCUSDT", qty=foreign, word="btcusdt"), "bo")
    assert "it takes an owner" in world.command(c.Flatten(word="flat", foreign=True), "bo")
    await world.run(2.0)
    assert len(world.sent()) == exits and world.covered(SOL)
    world.command(c.ClosePosition(symbol=SOL), "bo")
    await world.until(lambda: not world.held())
    assert world.ledger.foreign
    world.command(c.CloseForeign(symbol="BTCUSDT", qty=foreign, word="btcusdt"), "ana")
    await world.until(lambda: not world.ledger.foreign)
    said = [fact for fact in world.journal.facts() if isinstance(fact, Noted) and " refused: " in fact.text]
    assert {fact.by for fact in said} == {"cy", "root", "bo"}


# ---- a mode for each strategy ----------------------------------------------------------------------------------------


@virtual
async def test_a_strategy_never_does_more_than_its_own_mode_whatever_the_accounts_is() -> None:
    directive = Directive.model_validate({"account": {"modes": {"wish": "COPILOT", "other": "PILOT"}}})
    world = await World(mode=Mode.PILOT, directive=directive).start().ready()
    world.wish()
    strategy = (await _card(world)).strategy
    assert world.engine.mode_of(strategy) is Mode.COPILOT
    await world.run(2.0)
    assert not world.sent(leg=Leg.ENTRY)
    assert world.engine.mode_of("other") is Mode.PILOT and world.engine.mode_of("third") is Mode.PILOT
    assert world.command(c.SetMode(mode=Mode.WATCHER)) == "mode WATCHER"
    assert world.engine.mode_of("other") is Mode.WATCHER
    told = world.command(c.SetMode(mode=Mode.PILOT, word="pilot"))
    assert told == f"mode PILOT; {strategy} stays COPILOT"


async def _card(world: World) -> Any:
    await world.until(lambda: world.open_cards())
    return world.open_cards()[-1]


@virtual
async def test_a_strategy_that_may_only_watch_alerts_and_makes_no_card() -> None:
    directive = Directive.model_validate({"account": {"modes": {"wish": "WATCHER"}}})
    world = await World(mode=Mode.PILOT, directive=directive).start().ready()
    world.wish()
    await world.until(lambda: world.said("wish: BUY"))
    await world.run(2.0)
    assert not world.ledger.proposals and not world.sent()
