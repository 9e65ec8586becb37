"""Who may not end the account is told so, and it is written down who tried."""

from pathlib import Path

from world import World, virtual

from nexus_engine.model.facts import Noted
from nexus_engine.model.people import People, PersonConfig
from nexus_engine.model.words import Role
from nexus_engine.runtime import Options
from nexus_engine.runtime.account import Account


@virtual
async def test_a_viewer_who_wants_the_account_ended_is_in_the_journal(tmp_path: Path) -> None:
    world = await World().start().ready()
    account = Account(Options(), tmp_path, lambda progress: None)
    account._engine, account._carrier = world.engine, world.carrier
    account._people = People({"cy": PersonConfig(role=Role.VIEWER), "ana": PersonConfig(role=Role.OWNER)})
    told = account.stop("flatten", by="cy")
    assert told == "flatten refused: cy is a viewer; it takes a trader"
    notes = [fact for fact in world.journal.facts() if isinstance(fact, Noted) and fact.by == "cy"]
    assert [note.text for note in notes] == [told]
    assert world.engine.notebook.rows[-1].text == told
    assert all(digest == folded for digest, folded in world.sealed())
