"""What a person took over or closed by hand, as the journal tells it; and a journal from before that was possible."""

import asyncio
import sqlite3
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from journal_data import Life, a_life

from nexus_engine.model.facts import Adopted, ForeignSeen, PlanChanged
from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.words import AccountKind, Leg, OrderKind, Side
from nexus_engine.store.export import table
from nexus_engine.store.schema import SCHEMA
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.store.verify import verify
from nexus_engine.store.why import lines, story

SOL = "SOLUSDT"


def by_hand(life: Life, qty: D) -> int:
    """Adopt a quantity, move its stop, close it at 90; then close another foreign one. Returns the adopted intent."""
    intent, sign = life.ledger.next_intent, 1 if qty > 0 else -1
    side = Side.BUY if qty > 0 else Side.SELL
    life.record(ForeignSeen(at_ns=life.now_ns, symbol=SOL, qty=qty))
    plan = ExitPlan(stop=100 - D(20) * sign)
    life.record(
        Adopted(at_ns=life.now_ns, symbol=SOL, qty=qty, entry=D(100), plan=plan, intent=intent, by="you", carried=D(-7))
    )
    life.record(PlanChanged(at_ns=life.now_ns, symbol=SOL, plan=ExitPlan(stop=100 - D(10) * sign), by="you"))
    turn = life.turn()
    leave = turn.submit(
        leg=Leg.EXIT, symbol=SOL, side=side.opposite, kind=OrderKind.MARKET, qty=abs(qty), intent=intent
    )
    life.end(turn)
    life.fill(leave, abs(qty), D(90), f"{intent}9")
    turn = life.turn()
    foreign = turn.submit(
        leg=Leg.FOREIGN, symbol=SOL, side=Side.SELL, kind=OrderKind.MARKET, qty=D(7), intent=life.ledger.next_intent
    )
    life.end(turn)
    life.fill(foreign, D(7), D(90), f"{intent}10")
    return intent


async def written(path: Path, qty: D) -> tuple[Life, int]:
    journal = SqliteJournal.open(path)
    journal.claim("main", AccountKind.DEMO)
    life = a_life(journal.instance)
    intent = by_hand(life, qty)
    for turn in life.turns:
        await journal.append(turn)
    journal.close()
    return life, intent


def select(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as conn:
        conn.row_factory = sqlite3.Row
        return list(conn.execute(sql))


@pytest.mark.parametrize("qty", [D("2.5"), D("-2.5")])
async def test_an_adopted_position_is_a_trade_and_what_was_foreign_is_none(tmp_path: Path, qty: D) -> None:
    path = tmp_path / "journal.db"
    life, intent = await written(path, qty)
    assert verify(path).ok
    [trade] = [trade for trade in life.ledger.closed if trade.intent == intent]
    assert trade.pnl == -10 * qty - D("0.0004") * 90 * abs(qty)
    rows = select(path, "SELECT * FROM trades")
    assert [row["intent"] for row in rows] == [one.intent for one in life.ledger.closed]
    mine = rows[-1]
    assert mine["pnl"] == pytest.approx(float(trade.pnl))
    assert (mine["side"], mine["open_qty"], mine["entry_price"]) == ("BUY" if qty > 0 else "SELL", 0, 100)
    with table(path, "trades") as source:
        assert [row[0] for row in source.rows] == [one.intent for one in life.ledger.closed]
    told = "\n".join(lines(story(path, intent)))
    assert f"adopted   {SOL} {qty} at 100, stop" in told
    assert "by you" in told
    assert "carried -7.00 of open profit" in told
    assert f"{intent}x1" in told


def test_a_journal_of_the_first_schema_is_brought_up_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    asyncio.run(written(path, D(2)))
    before = select(path, "SELECT * FROM journal")
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("DELETE FROM _sqlite_migrations WHERE name IN ('schema_2', 'schema_3', 'schema_4')")
        conn.execute("DROP VIEW trades")
        conn.execute("CREATE VIEW trades AS SELECT 'old' AS old")
        conn.execute("PRAGMA user_version = 1")
    for _ in range(2):
        SqliteJournal.open(path).close()
        [(version,)] = select(path, "PRAGMA user_version")
        assert version == SCHEMA == 4
        assert "intent" in select(path, "SELECT * FROM trades")[0].keys()  # noqa: SIM118
    assert select(path, "SELECT * FROM journal") == before
    assert verify(path).ok
