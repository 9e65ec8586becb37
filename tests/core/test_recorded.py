"""A recording of the demo, run through a core of its own again, gives the same decisions."""

from pathlib import Path

from virtual_loop import START_NS
from world import SOL, World, virtual

from nexus_engine.model.commands import ClosePosition
from nexus_engine.model.words import Mode
from nexus_engine.runtime.replay import replay
from nexus_engine.sim.market import Market
from nexus_engine.sim.scenarios import aligned_start
from nexus_engine.store.recording import Header, Recorder


@virtual
async def test_a_recorded_demo_replays_to_the_identical_decisions(tmp_path: Path) -> None:
    tape = Market(seed=7, scenario="range", start_ns=aligned_start(START_NS))
    world = World(7, mode=Mode.PILOT, speed=20.0, tape=tape)
    path = tmp_path / "demo.jsonl"
    recorder = Recorder(path, Header(version="0", directive=world.directive.model_dump(mode="json")))
    world.carrier._recorder = recorder
    await world.start().run(20.0)
    assert world.held(SOL)
    world.command(ClosePosition(symbol=SOL, half=True))
    await world.run(5.0)
    await world.kill()
    recorder.close()
    found = replay(path)
    assert found.complete
    assert found.decisions == found.recorded
    assert found.state == world.ledger.digest()
    other = path.read_text().replace('"by":"you"', '"by":"ann"')
    path.write_text(other)
    assert not replay(path).ok
