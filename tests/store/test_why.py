"""`why` has every number that a decision was made of: proposed, made, refused."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from world import SOL, World, virtual

from nexus_engine.model.facts import AnyFact, GuardTripped, SignalSeen
from nexus_engine.model.paths import account_dir, journal_path
from nexus_engine.model.verdicts import Reading, refuse
from nexus_engine.model.words import AccountKind, Mode
from nexus_engine.store.commands import main
from nexus_engine.store.sqlite import SqliteJournal

Out = pytest.CaptureFixture[str]


def told(state: Path, capsys: Out, ref: str, code: int = 0) -> str:
    assert main(["why", ref, "--state", str(state)]) == code
    return capsys.readouterr().out


def lived(state: Path, story: Callable[[World], object], mode: Mode) -> list[AnyFact]:
    """A world's facts, put into a journal that the command can read."""
    facts: list[AnyFact] = []

    @virtual
    async def live() -> None:
        world = await World(mode=mode).start().ready()
        await story(world)  # type: ignore[misc]
        facts.extend(world.journal.facts())

    live()
    journal = SqliteJournal.open(journal_path(account_dir(state, "main", AccountKind.DEMO)))
    journal.claim("main", AccountKind.DEMO)

    async def write() -> None:
        for fact in facts:
            await journal.append([fact])

    asyncio.run(write())
    journal.close()
    return facts


def numbers_of(seen: SignalSeen) -> list[str]:
    """Every input, as `why` spells it."""
    signal, quote = seen.signal, seen.quote
    assert quote is not None
    readings = [*signal.readings, *signal.regime.readings, *(one for v in seen.verdicts for one in v.inputs)]
    return [
        *(f"{one.name} {one.value:g}{one.unit}" for one in readings),
        *(f"limit {one.limit:g}" for one in readings if one.limit is not None),
        *(f"guard   {verdict.guard}: {verdict.ruling}" for verdict in seen.verdicts),
        *signal.reasons,
        f"regime  {signal.regime.regime}",
        f"at {signal.price:g}",
        f"stop distance {signal.stop_distance:g}",
        f"bid {quote.bid:g}, ask {quote.ask:g}, mark {quote.mark:g}, last {quote.last:g}",
        f"equity  {seen.equity}",
        f"outcome   {seen.outcome}",
    ]


def test_a_trade_tells_both_looks_that_it_took_and_what_became_of_it(tmp_path: Path, capsys: Out) -> None:
    async def story(world: World) -> None:
        world.approve(await world.proposal())
        await world.until(lambda: world.ours() and world.protected(), 10.0)

    facts = lived(tmp_path, story, Mode.COPILOT)
    seen = [fact for fact in facts if isinstance(fact, SignalSeen) and fact.proposal == 1]
    assert [fact.outcome for fact in seen] == ["proposed", "approved by you"]
    assert all(fact.verdicts and fact.quote for fact in seen)
    text = told(tmp_path, capsys, "P1")
    for fact in seen:
        assert [one for one in numbers_of(fact) if one not in text] == []
    for word in ("proposal  P1", "decision  APPROVED by you", "entry: BUY", "fill ", "stop: SELL"):
        assert word in text


def test_a_trade_that_its_strategy_left_tells_why_it_left(tmp_path: Path, capsys: Out) -> None:
    async def story(world: World) -> None:
        world.tape.remembers = True
        await world.enter(target_pct=None)
        world.wishes.out.add(SOL)
        await world.until(lambda: not world.ours() and world.converged(), 65.0)

    lived(tmp_path, story, Mode.PILOT)
    text = told(tmp_path, capsys, "P1")
    assert "leaving   all of it at market, by its strategy" in text
    assert "reason  a test wants out" in text and "close 150 (limit 150.01)" in text
    assert text.index("leaving ") < text.index("exit: SELL MARKET")


def test_a_refusal_tells_what_it_was_refused_on(tmp_path: Path, capsys: Out) -> None:
    async def story(world: World) -> None:
        world.wish(risk_pct=0.0)
        await world.run(3.0)

    facts = lived(tmp_path, story, Mode.PILOT)
    seq, seen = next((seq, fact) for seq, fact in enumerate(facts, 1) if isinstance(fact, SignalSeen))
    assert seen.outcome.startswith("refused: ")
    listed = told(tmp_path, capsys, SOL)
    assert listed.startswith(f"S{seq} ")
    assert seen.outcome in listed
    text = told(tmp_path, capsys, f"S{seq}")
    assert [one for one in numbers_of(seen) if one not in text] == []


def test_an_approval_that_is_not_sent_tells_why_not(tmp_path: Path, capsys: Out) -> None:
    async def story(world: World) -> None:
        card = await world.proposal()
        world.engine.desk.blocked = lambda turn: "the account's stream is down"
        world.approve(card)

    lived(tmp_path, story, Mode.COPILOT)
    assert "outcome   not sent: the account's stream is down" in told(tmp_path, capsys, "P1")


def test_a_guard_that_tripped_tells_its_ticks(tmp_path: Path, capsys: Out) -> None:
    async def story(world: World) -> None:
        verdict = refuse("black_swan", "BTC fell", Reading("drop", 4.2, 4.0, "%"))
        evidence = ((1_760_000_000_000_000_000, 95_000.5),)
        world.record(GuardTripped(at_ns=world.now()[0], verdict=verdict, evidence=evidence))

    facts = lived(tmp_path, story, Mode.PILOT)
    seq = next(seq for seq, fact in enumerate(facts, 1) if isinstance(fact, GuardTripped))
    text = told(tmp_path, capsys, f"S{seq}")
    assert "trip      black_swan: BTC fell" in text
    assert "drop 4.2% (limit 4%)" in text
    assert "95000.5" in text


def test_what_is_not_known_is_said_and_json_is_one_object(tmp_path: Path, capsys: Out) -> None:
    async def story(world: World) -> None:
        world.wish()
        await world.run(3.0)

    lived(tmp_path, story, Mode.WATCHER)
    assert told(tmp_path, capsys, "S1", 1) == ""
    assert told(tmp_path, capsys, "DOGEUSDT", 1) == ""
    assert main(["why", SOL, "--state", str(tmp_path), "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert [one["fact"]["outcome"] for one in found["signals"]] == ["alert"]
