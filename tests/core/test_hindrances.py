"""What this machine cannot do, or must not: entries stay away, and what is held is protected."""

import pytest
from world import SOL, World, virtual

from nexus_engine.model.commands import Halt, Pause, Release
from nexus_engine.model.events import WRITER, Hindered
from nexus_engine.model.words import Latch, Leg, Mode, Side


def hinder(world: World, problem: str, name: str = "", *, latch: bool = False) -> None:
    at_ns, mono_ns = world.now()
    world.carrier.post(Hindered(at_ns=at_ns, mono_ns=mono_ns, problem=problem, name=name, latch=latch))


@virtual
async def test_a_full_disk_keeps_entries_away_until_it_has_room_and_stops_work_all_the_time() -> None:
    world = await World().start().ready()
    await world.enter()
    hinder(world, "less than 200 MB are free", "disk")
    assert world.blocked == "less than 200 MB are free"
    world.wish("BTCUSDT")
    await world.run(2.0)
    assert len(world.sent(leg=Leg.ENTRY)) == 1
    assert world.protected()
    assert Latch.PROTECT_ONLY not in world.ledger.latches
    hinder(world, "", "disk")
    assert world.blocked == ""
    assert world.said("over: less than 200 MB are free")


@virtual
async def test_another_machine_on_the_account_is_protect_only_and_no_word_opens_it_while_it_holds() -> None:
    world = await World().start().ready()
    position = await world.enter()
    hinder(world, "another machine has this account: vps-2", WRITER, latch=True)
    assert world.ledger.latches[Latch.PROTECT_ONLY].reason == "another machine has this account: vps-2"
    told = world.command(Release(latch=Latch.PROTECT_ONLY, word="protect_only"))
    assert told == "PROTECT_ONLY released; no entries: another machine has this account: vps-2"
    await world.run(2.0)
    assert Latch.PROTECT_ONLY not in world.ledger.latches
    assert world.blocked == "another machine has this account: vps-2"
    assert world.held(SOL) == position.qty
    assert world.protected()
    hinder(world, "", WRITER)
    await world.run(2.0)
    assert world.blocked == ""


@virtual
async def test_cards_that_wait_end_when_the_account_turns_out_to_be_anothers() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal()
    hinder(world, "another machine has this account", WRITER, latch=True)
    assert not world.ledger.proposals[card.id].status.open
    assert "PROTECT-ONLY" in world.ledger.proposals[card.id].reason
    world.approve(card)
    await world.run(3.0)
    assert world.sent(leg=Leg.ENTRY) == []


@virtual
async def test_orders_with_our_prefix_are_left_alone_while_another_machine_may_have_placed_them() -> None:
    """Both machines hold a copy of one journal, so both write the same prefix."""
    world = await World().start().ready()
    cid = f"nx{world.ledger.instance}-{world.ledger.epoch}-900e1"
    hinder(world, "another machine has this account, with a copy of this journal", WRITER, latch=True)
    world.by_hand("BTCUSDT", Side.BUY, "0.01", cid, price="90000")
    world.ask_account()
    await world.run(3.0)
    assert [order.client_id for order in world.resting("BTCUSDT")] == [cid]
    hinder(world, "", WRITER)
    world.ask_account()
    await world.run(3.0)
    assert world.resting("BTCUSDT") == []


@pytest.mark.parametrize("name", ["", WRITER])
def test_what_was_lost_latches_once_and_is_a_persons_to_judge(name: str) -> None:
    @virtual
    async def story() -> None:
        world = await World().start().ready()
        hinder(world, "the journal was damaged", name, latch=True)
        hinder(world, "the journal was damaged", name, latch=True)
        assert [fact.reason for fact in world.ledger.latches.values()] == ["the journal was damaged"]
        world.command(Release(latch=Latch.PROTECT_ONLY, word="protect_only"))
        await world.run(2.0)
        assert world.blocked == ("the journal was damaged" if name else "")

    story()


@virtual
async def test_one_of_two_latches_released_names_the_other() -> None:
    world = await World().start().ready()
    world.command(Pause())
    world.command(Halt(reason="key"))
    assert world.command(Release(latch=Latch.HALT, word="halt")) == "HALT released; no entries: PAUSE by you"
    assert world.command(Release(latch=Latch.PAUSE, word="pause")).startswith("PAUSE released; ")
    await world.ready()
