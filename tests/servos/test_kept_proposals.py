"""What is decided is kept small, and is the same as it was."""

import msgspec
from world import SOL, World, virtual

from nexus_engine.model.commands import Reject
from nexus_engine.model.words import Mode, ProposalStatus


@virtual
async def test_a_decided_proposal_reads_as_it_was_and_older_seals_hold() -> None:
    world = await World(mode=Mode.COPILOT).start().ready()
    card = await world.proposal(SOL)
    kept = world.ledger.proposals
    assert kept[card.id] is card
    world.command(Reject(proposal=card.id))
    assert isinstance(kept.packed[card.id], msgspec.Raw)
    rejected = msgspec.structs.replace(card, status=ProposalStatus.REJECTED, by="you", reason=kept[card.id].reason)
    assert kept[card.id] == rejected
    assert (card.id in kept, list(kept), len(kept)) == (True, [card.id], 1)
    sealed = world.ledger.digest()
    kept.packed[card.id] = rejected
    assert world.ledger.digest() == sealed
