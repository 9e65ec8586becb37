"""What the journal holds as tables, for a spreadsheet, a script or a data frame."""

import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from nexus_engine.model.facts import AnyFact, Filled, PositionLost
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO
from nexus_engine.store.rows import decode_fact, reading, rows

_TRADE_COLUMNS: Final = (
    "intent", "symbol", "side", "strategy", "by", "qty", "entry", "opened_utc", "closed_utc", "fees", "pnl", "r",
)  # fmt: skip
_QUERIES: Final = {
    "orders": "SELECT * FROM orders",
    "fills": "SELECT * FROM fills",
    "proposals": "SELECT * FROM proposals",
    "signals": "SELECT * FROM signals",
    "verdicts": "SELECT * FROM verdicts",
    "all": "SELECT seq, turn, epoch, at_ns, kind, body, lower(hex(hash)) AS hash FROM journal ORDER BY seq",
}
TABLES: Final = ("trades", *_QUERIES)
FORMATS: Final = ("csv", "json", "parquet")
_NUMBERS: Final = (
    "qty", "entry", "fees", "pnl", "r", "price", "trigger", "filled", "fill_price", "fee", "realised", "limit", "stop",
    "target", "worst",
)  # fmt: skip
"""Money is exact text in CSV and JSON; a data frame gets floats."""


class Table(NamedTuple):
    """Column names, and rows in the same order."""

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


@contextmanager
def table(path: Path, what: str) -> Iterator[Table]:
    """One of TABLES, read as it is consumed. Raises JournalError."""
    with reading(path) as conn:
        if what == "trades":
            yield Table(_TRADE_COLUMNS, _trades(conn))
        else:
            cursor = conn.execute(_QUERIES[what])
            yield Table(tuple(column[0] for column in cursor.description), cursor)


def write(source: Table, form: str, out: BinaryIO) -> int:
    """Write a table as one of FORMATS, and return how many rows it had."""
    return {"csv": _csv, "json": _json, "parquet": _parquet}[form](source, out)


def _csv(source: Table, out: BinaryIO) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(source.columns)
    count = 0
    for row in source.rows:
        writer.writerow(row)
        count += 1
    text.detach()
    return count


def _json(source: Table, out: BinaryIO) -> int:
    count = 0
    for row in source.rows:
        out.write(b",\n" if count else b"[\n")
        out.write(msgspec.json.encode(dict(zip(source.columns, row, strict=True))))
        count += 1
    out.write(b"\n]\n" if count else b"[]\n")
    return count


def _parquet(source: Table, out: BinaryIO) -> int:
    import polars as pl

    found = [tuple(map(_plain, row)) for row in source.rows]
    frame = pl.DataFrame(found, schema=source.columns, orient="row", infer_schema_length=None)
    numbers = [name for name in frame.columns if name in _NUMBERS]
    frame = frame.with_columns(pl.col(numbers).cast(pl.Float64, strict=False))
    frame.write_parquet(out)
    return frame.height


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float) else str(value)


def _trades(conn: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Positions from first fill to flat, as the trading state counted them."""
    ledger = Ledger()
    for row in rows(conn):
        fact = decode_fact(row)
        position = ledger.positions.get(_symbol(fact))
        known = ledger.closed[-1] if ledger.closed else None
        ledger.apply(fact)
        closed = ledger.closed[-1] if ledger.closed else None
        if position is not None and closed is not None and closed is not known:
            yield (
                closed.intent,
                closed.symbol,
                position.side,
                closed.strategy,
                closed.by,
                position.peak_qty,
                position.entry,
                _utc(position.opened_ns),
                _utc(closed.closed_ns),
                position.fees + (fact.fill.fee if isinstance(fact, Filled) else ZERO),
                closed.pnl,
                closed.r,
            )


def _symbol(fact: AnyFact) -> str:
    if isinstance(fact, Filled):
        return fact.fill.symbol
    return fact.symbol if isinstance(fact, PositionLost) else ""


def _utc(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds")
