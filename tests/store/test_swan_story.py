"""`nexus journal why swan`: the last trip from the journal alone."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest

from nexus_engine.model.facts import (
    SENTINEL,
    SWAN_LOCK,
    AnyFact,
    Filled,
    GuardTripped,
    LockSet,
    OrderChanged,
    OrderIntended,
)
from nexus_engine.model.orders import Fill, Order
from nexus_engine.model.paths import account_dir, journal_path
from nexus_engine.model.verdicts import Reading, refuse
from nexus_engine.model.words import AccountKind, Leg, OrderKind, OrderStatus, Side
from nexus_engine.store.commands import main
from nexus_engine.store.sqlite import SqliteJournal

NOW = 1_760_000_000_000_000_000
MS = 1_000_000


def trip(at_ns: int, text: str, window: float = 15.0) -> tuple[AnyFact, ...]:
    until_ns = at_ns + 3_600_000 * MS
    verdict = refuse(
        SWAN_LOCK, text, Reading("fall", 4.1, 4.0, "%"), Reading("window", window), side=Side.BUY, until_ns=until_ns
    )
    return (
        GuardTripped(at_ns=at_ns, verdict=verdict, evidence=((at_ns - 100 * MS, 96_000.0), (at_ns, 92_000.5))),
        LockSet(at_ns=at_ns, name=SWAN_LOCK, until_ns=until_ns, reason=text),
    )


def order(cid: str, at_ns: int, leg: Leg, by: str) -> OrderIntended:
    made = Order(
        client_id=cid, symbol="SOLUSDT", side=Side.SELL, kind=OrderKind.MARKET, leg=leg, intent=3, qty=Decimal("12.4"),
        by=by, created_ns=at_ns, changed_ns=at_ns,
    )  # fmt: skip
    return OrderIntended(at_ns=at_ns, order=made)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = account_dir(tmp_path, "main", AccountKind.DEMO)
    journal = SqliteJournal.open(journal_path(folder))
    journal.claim("main", AccountKind.DEMO)
    fill = Fill(
        client_id="b", trade_id="1", symbol="SOLUSDT", side=Side.SELL, qty=Decimal("12.4"), price=Decimal("139.07"),
        fee=Decimal(1), fee_asset="USDT", venue_ns=NOW, maker=False,
    )  # fmt: skip
    facts: tuple[AnyFact, ...] = (
        *trip(NOW - 9_000_000 * MS, "an older one"),
        order("a", NOW - 9_000_000 * MS, Leg.EXIT, SENTINEL),
        *trip(NOW, "BTCUSDT fell 4.1 % under its 15 min high"),
        order("b", NOW, Leg.EXIT, SENTINEL),
        order("c", NOW, Leg.STOP, "bot"),
        OrderChanged(at_ns=NOW + 9 * MS, client_id="b", status=OrderStatus.OPEN),
        Filled(at_ns=NOW + 18 * MS, fill=fill, market_ns=NOW),
        *trip(NOW + 60_000 * MS, "BTCUSDT fell 2.2 % under where the black swan tripped", window=0.0),
    )

    async def write() -> None:
        await journal.append(facts)

    asyncio.run(write())
    journal.close()
    return tmp_path


def test_the_last_trip_is_told_with_its_ticks_what_was_sent_and_when_it_was_confirmed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", "swan", "--state", str(state)]) == 0
    told = capsys.readouterr().out
    wanted = [
        "trip      swan: BTCUSDT fell 4.1 % under its 15 min high",
        "fall 4.1% (limit 4%)",
        "92000.5",
        "lock      no longs until 2025-10-09",
        "order     b exit: SELL MARKET 12.4, by sentinel",
        "order     b OPEN",
        "fill      b: SELL 12.4 at 139.07",
        "under where the black swan tripped",
    ]
    places = [told.find(line) for line in wanted]
    assert -1 not in places, wanted[places.index(-1)]
    assert places == sorted(places)
    assert "an older one" not in told
    assert "STOP" not in told


def test_for_a_script_it_is_the_facts(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "swan", "--state", str(state), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["swan"] is True
    assert [fact["type"] for fact in answer["facts"]][:3] == ["GuardTripped", "LockSet", "OrderIntended"]


def test_without_a_trip_the_answer_is_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = SqliteJournal.open(journal_path(account_dir(tmp_path, "main", AccountKind.DEMO)))
    journal.close()
    assert main(["why", "swan", "--state", str(tmp_path)]) == 1
    assert "no trip of the black swan is known" in capsys.readouterr().err
