"""What the journal holds reads well in a shell and comes out whole as tables."""

import csv
import io
import json
import sqlite3
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from journal_data import Life, flat

from nexus_engine.store.export import TABLES, table, write

Written = tuple[Path, Life]


def exported(path: Path, what: str, form: str) -> bytes:
    out = io.BytesIO()
    with table(path, what) as source:
        write(source, form, out)
    return out.getvalue()


def select(path: Path, sql: str) -> list[dict[str, Any]]:
    conn = sqlite3.connect(path)
    conn.row_factory = sqlite3.Row
    found = [dict(row) for row in conn.execute(sql)]
    conn.close()
    return found


def test_trades_are_those_that_the_trading_state_counted_to_the_last_digit(written: Written) -> None:
    path, life = written
    rows = list(csv.DictReader(io.StringIO(exported(path, "trades", "csv").decode())))
    assert [(row["symbol"], D(row["pnl"]), float(row["r"])) for row in rows] == [
        (trade.symbol, trade.pnl, trade.r) for trade in life.ledger.closed
    ]
    assert (rows[0]["side"], rows[0]["qty"], rows[0]["strategy"], rows[0]["by"]) == ("BUY", "0.030", "harpoon", "you")
    assert D(rows[0]["fees"]) == D("0.0004") * (640 + D("1280.2") + D("1935.015"))
    assert rows[0]["opened_utc"] == "2025-10-09T08:53:25.000+00:00"


@pytest.mark.parametrize("what", TABLES)
def test_every_table_is_the_same_in_every_format(written: Written, what: str) -> None:
    rows = json.loads(exported(written[0], what, "json"))
    table_csv = list(csv.DictReader(io.StringIO(exported(written[0], what, "csv").decode(), newline="")))
    frame = pl.read_parquet(io.BytesIO(exported(written[0], what, "parquet")))
    assert rows
    assert list(rows[0]) == list(table_csv[0]) == frame.columns
    for left, middle, right in zip(rows, table_csv, frame.to_dicts(), strict=True):
        for name, value in left.items():
            if isinstance(right[name], float):
                assert right[name] == pytest.approx(float(value)) == pytest.approx(float(middle[name]))
            else:
                assert (value, middle[name]) == (right[name], "" if value is None else str(value))


@pytest.mark.parametrize("what", TABLES)
def test_an_empty_journal_gives_tables_with_columns_and_no_rows(written: Written, tmp_path: Path, what: str) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(written[0].read_bytes())
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("DELETE FROM journal")
    conn.close()
    assert exported(path, what, "csv").decode().split("\r\n", 1)[1] == ""
    assert json.loads(exported(path, what, "json")) == []
    frame = pl.read_parquet(io.BytesIO(exported(path, what, "parquet")))
    assert (frame.height, len(frame.columns)) == (0, exported(path, what, "csv").count(b",") + 1)


def test_all_is_every_fact(written: Written) -> None:
    rows = json.loads(exported(written[0], "all", "json"))
    assert [row["kind"] for row in rows] == [type(fact).__name__ for fact in flat(written[1].turns)]


def test_the_orders_view_says_what_became_of_each(written: Written) -> None:
    path, life = written
    rows = {row["client_id"]: row for row in select(path, "SELECT * FROM orders")}
    assert {cid: (row["status"], row["leg"]) for cid, row in rows.items()} == {
        cid: (order.status.value, order.leg.value) for cid, order in life.ledger.orders.items()
    }
    assert {row["filled"] for row in rows.values()} == {0, 0.03}
    assert {row["reason"] for row in rows.values() if row["status"] == "CANCELED"} == {"flat"}


def test_the_trades_view_agrees_with_the_trading_state(written: Written) -> None:
    path, life = written
    rows = select(path, "SELECT * FROM trades")
    assert [row["pnl"] for row in rows] == [pytest.approx(float(trade.pnl)) for trade in life.ledger.closed]
    assert [(row["side"], row["open_qty"]) for row in rows] == [("BUY", 0), ("BUY", 0)]
    assert rows[0]["entry_price"] == pytest.approx((640 + 1280.2) / 0.03)
    assert rows[0]["exit_price"] == pytest.approx(64500.5)


def test_a_fill_that_was_told_twice_is_one_row(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(written[0].read_bytes())
    before = select(path, "SELECT * FROM fills")
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute(
        "INSERT INTO journal SELECT 9000, turn, epoch, at_ns, kind, body, prev, hash FROM journal WHERE kind = 'Filled'"
        " LIMIT 1"
    )
    conn.close()
    assert len(before) == 6
    assert select(path, "SELECT * FROM fills") == before


def test_the_views_of_decisions_read_well(written: Written) -> None:
    path, _ = written
    signal = select(path, "SELECT * FROM signals")[0]
    assert (signal["symbol"], signal["side"], signal["regime"]) == ("BTCUSDT", "BUY", "RANGE")
    assert signal["reasons"] == "washed out; turning up"
    verdicts = select(path, "SELECT guard, ruling, proposal FROM verdicts WHERE proposal = 1")
    assert [tuple(row.values()) for row in verdicts] == [("black_swan", "allow", 1), ("spread", "refuse", 1)]
    proposal = select(path, "SELECT * FROM proposals")[0]
    assert (proposal["id"], proposal["status"], proposal["by"], proposal["limit"]) == (1, "APPROVED", "you", "64050.0")
    assert select(path, "SELECT text, utc FROM notes")[0] == {"text": "P1", "utc": "2025-10-09 08:53:23.000"}
