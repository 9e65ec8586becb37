"""What is remembered of a decision is what was said when it was made, and it is small."""

from world import World, virtual

from nexus_engine.core.notebook import Notebook
from nexus_engine.core.why import KEPT, Reasons
from nexus_engine.model.facts import SignalSeen
from nexus_engine.model.ledger import Ledger


@virtual
async def test_a_signal_and_its_verdicts_come_back_as_they_were_after_everything_else_is_forgotten() -> None:
    world = await World().start().ready()
    await world.enter()
    [seen] = [fact for fact in world.journal.facts() if isinstance(fact, SignalSeen)]
    assert seen.proposal and len(seen.verdicts) > 10
    reasons = Reasons()
    reasons.recall(seen)
    for wanted in (f"P{seen.proposal}", f"@{seen.at_ns}"):
        why = reasons.explain(wanted, Ledger(), Notebook())
        assert why is not None and why.signal is not None
        assert (why.signal, why.verdicts) == (seen.signal, seen.verdicts)
    assert len(reasons._seen[0].body) < 3_000
    for _ in range(2 * KEPT):
        reasons.recall(seen)
    assert len(reasons._seen) == KEPT
