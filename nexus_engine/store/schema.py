"""The journal's tables, and the views that people read it through."""

import secrets
import sqlite3
import string
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nexus_engine.model.ports import JournalError

if TYPE_CHECKING:
    from sqlite_utils import Database

SCHEMA: Final = 4
"""Kept in user_version. It goes up with every change that an older Nexus cannot read, a new kind of fact included."""
APPLICATION_ID: Final = 0x4E585553
INSTANCE_LETTERS: Final = 4

_AT: Final = "seq, strftime('%Y-%m-%d %H:%M:%f', at_ns / 1e9, 'unixepoch') AS utc"


def _fields(prefix: str, *names: str) -> str:
    return ", ".join(f"json_extract(body, '$.{prefix}{name}') AS \"{name}\"" for name in names)


VIEWS: Final = {
    "signals": f"""
        SELECT {_AT}, {_fields("signal.", "symbol", "strategy", "side", "price", "stop_distance", "target")},
            {_fields("signal.regime.", "regime")}, {_fields("", "outcome", "proposal")},
            (SELECT group_concat(value, '; ') FROM json_each(body, '$.signal.reasons')) AS reasons
        FROM journal WHERE kind = 'SignalSeen' ORDER BY seq""",
    "verdicts": f"""
        SELECT {_AT}, {_fields("signal.", "symbol", "strategy")}, {_fields("", "proposal")},
            json_extract(value, '$.guard') AS guard, json_extract(value, '$.ruling') AS ruling,
            json_extract(value, '$.reason') AS reason, json_extract(value, '$.scale') AS scale,
            json_extract(value, '$.inputs') AS inputs
        FROM journal, json_each(body, '$.verdicts') WHERE kind = 'SignalSeen' ORDER BY seq, json_each.key""",
    "proposals": f"""
        WITH made AS (
            SELECT max(seq) AS seq, at_ns, {_fields("proposal.", "id", "symbol", "side", "strategy", "qty", "limit")},
                {_fields("proposal.plan.", "stop", "target")}, {_fields("proposal.", "leverage", "worst", "status")}
            FROM journal WHERE kind = 'ProposalMade' GROUP BY id),
        decided AS (
            SELECT max(seq) AS last, {_fields("", "proposal", "status", "by", "reason")}
            FROM journal WHERE kind = 'ProposalChanged' GROUP BY proposal)
        SELECT {_AT}, id, symbol, side, strategy, qty, "limit", stop, target, leverage, worst,
            iif(last > seq, decided.status, made.status) AS status, "by", reason
        FROM made LEFT JOIN decided ON proposal = id ORDER BY seq""",
    "fills": f"""
        SELECT {_AT}, {_fields("fill.", "symbol", "side", "price", "qty", "fee", "fee_asset", "realised", "maker")},
            {_fields("fill.", "client_id", "trade_id")}
        FROM journal WHERE kind = 'Filled' GROUP BY symbol, trade_id HAVING seq = min(seq) ORDER BY seq""",
    "orders": f"""
        WITH intended AS (
            SELECT seq, at_ns, {_fields("order.", "client_id", "intent", "symbol", "side", "kind", "leg", "qty")},
                {_fields("order.", "price", "trigger", "reduce_only", "strategy", "by")}
            FROM journal WHERE journal.kind = 'OrderIntended'),
        changed AS (
            SELECT max(seq), {_fields("", "client_id", "status", "reason")}
            FROM journal WHERE kind = 'OrderChanged' GROUP BY client_id),
        filled AS (
            SELECT client_id, sum(qty) AS filled, sum(qty * price) / sum(qty) AS fill_price
            FROM fills GROUP BY client_id)
        SELECT {_AT}, client_id, intent, symbol, side, kind, leg, qty, price, "trigger", reduce_only, strategy, "by",
            coalesce(filled, 0) AS filled, fill_price,
            CASE WHEN filled > qty * (1 - 1e-9) THEN 'FILLED'
                WHEN filled > 0 AND coalesce(status, 'INTENT') IN ('INTENT', 'SUBMITTED', 'UNKNOWN', 'OPEN')
                    THEN 'PARTIAL'
                ELSE coalesce(status, 'INTENT') END AS status,
            reason
        FROM intended LEFT JOIN changed USING (client_id) LEFT JOIN filled USING (client_id) ORDER BY seq""",
    "trades": f"""
        WITH moves AS (
            SELECT intent, orders.symbol, strategy, leg = 'e' AS "entry", fills.utc, orders.side, fills.qty + 0 AS qty,
                fills.qty * fills.price AS cost, iif(fills.side = 'BUY', 1, -1) AS sign, fee
            FROM fills JOIN orders USING (client_id) WHERE leg <> 'f'
            UNION ALL
            SELECT intent, symbol, '', 1, utc, iif(qty + 0 > 0, 'BUY', 'SELL'), abs(qty), abs(qty) * entry,
                iif(qty + 0 > 0, 1, -1), 0
            FROM (SELECT {_AT}, {_fields("", "intent", "symbol", "qty", "entry")}
                FROM journal WHERE kind = 'Adopted'))
        SELECT intent, symbol, max(strategy) AS strategy, max(side) FILTER (WHERE "entry") AS side,
            min(utc) AS opened, max(utc) AS last_fill,
            sum(qty) FILTER (WHERE "entry") AS qty,
            sum(cost) FILTER (WHERE "entry") / sum(qty) FILTER (WHERE "entry") AS entry_price,
            sum(cost) FILTER (WHERE NOT "entry") / sum(qty) FILTER (WHERE NOT "entry") AS exit_price,
            round(sum(qty * sign), 9) AS open_qty, sum(fee) AS fees,
            iif(round(sum(qty * sign), 9) = 0, -sum(cost * sign) - sum(fee), NULL) AS pnl
        FROM moves GROUP BY intent ORDER BY intent""",
    "notes": f"""
        SELECT {_AT}, {_fields("", "level", "subject", "by", "text")}
        FROM journal WHERE kind = 'Noted' ORDER BY seq""",
}
"""Numbers of money are text as they were written; what a view computes (averages, sums) is floating point."""


def check_schema(conn: sqlite3.Connection, path: Path) -> int:
    """The schema of a journal. Raises JournalError for another program's database and for one of a newer Nexus."""
    (application,) = conn.execute("PRAGMA application_id").fetchone()
    (schema,) = conn.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalError(f"{path}: is not a journal of Nexus")
    if schema > SCHEMA:
        raise JournalError(f"{path}: was written by a newer Nexus (schema {schema}, this one reads {SCHEMA}); upgrade")
    return int(schema)


def prepare(conn: sqlite3.Connection, path: Path) -> None:
    """Bring a new or older journal to this schema; one that has it already costs two pragmas."""
    (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    schema = check_schema(conn, path)
    conn.execute("PRAGMA journal_mode = WAL")
    if schema < SCHEMA:
        _migrate(conn)


def _migrate(conn: sqlite3.Connection) -> None:
    # sqlite-utils costs 0.75 CPU seconds to import: paid once in a journal's life, not at every start.
    from sqlite_utils import Database, Migrations

    migrations = Migrations("journal")

    @migrations()
    def schema_1(db: "Database") -> None:
        db.table("journal").create(
            {
                "seq": int,
                "turn": int,
                "epoch": int,
                "at_ns": int,
                "kind": str,
                "body": str,
                "prev": bytes,
                "hash": bytes,
            },
            pk="seq",
            not_null={"turn", "epoch", "at_ns", "kind", "body", "prev", "hash"},
            strict=True,
        )
        db.table("meta").create({"instance": str, "epoch": int, "account": str, "kind": str}, strict=True)
        letters = string.ascii_lowercase + string.digits
        instance = "".join(secrets.choice(letters) for _ in range(INSTANCE_LETTERS))
        db.table("meta").insert({"instance": instance, "epoch": 0, "account": "", "kind": ""})
        for name, sql in VIEWS.items():
            db.create_view(name, sql)
        db.execute("PRAGMA user_version = 1")

    @migrations()
    def schema_2(db: "Database") -> None:
        # new kinds of facts: a moved stop, an adopted position, which is a trade without an entry of ours
        db.create_view("trades", VIEWS["trades"], replace=True)
        db.execute("PRAGMA user_version = 2")

    @migrations()
    def schema_3(db: "Database") -> None:
        # a new kind of fact: a position that is being left
        db.execute("PRAGMA user_version = 3")

    @migrations()
    def schema_4(db: "Database") -> None:
        # new kinds of facts: streaks that tripped, the peak of equity, dominance and cap
        db.execute("PRAGMA user_version = 4")

    migrations.apply(Database(conn, execute_plugins=False))
