"""What the benchmarks run in a process of its own. argv: `exchange <stamps> ...`, `bare <report> <ready>` or
`nexus <face> <report> ...`.

`exchange` is the practice venue with each frame sent by itself, spread over the venue's tick as a real venue's symbols
are, and the moment of sending written down. `nexus` is the program itself with `Engine.on` timed and, for the faces
`table` and `rich`, another app on the same link: the same work by DataTable and by Static with rich tables.
"""

import asyncio
import atexit
import functools
import json
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from urllib.request import urlopen

TICK_S = 0.09
DEPTH_ID = re.compile(rb'"s":"(\w+)".*?"u":(\d+)')
BOOKS, DEPTH, TICK = 4, 20, 0.25


# ---- the venue -------------------------------------------------------------------------------------------------------


def exchange(stamps: Path, words: list[str]) -> int:
    from nexus_engine.runtime.priority import short_turns
    from nexus_engine.sim import hub
    from nexus_engine.sim.exchange import main

    short_turns()

    sent: list[tuple[str, int, int]] = []
    dice = random.Random(7)

    def write(connection: hub.Connection, data: bytes) -> None:
        if connection.open:
            found = DEPTH_ID.search(data) if b'"depthUpdate"' in data else None
            if found:
                sent.append((found[1].decode(), int(found[2]), time.monotonic_ns()))
            connection._transport.write(data)

    def flush(connection: hub.Connection) -> None:
        loop = asyncio.get_running_loop()
        waiting = connection._waiting[:]
        connection._waiting.clear()
        connection._waiting_bytes = 0
        for number, data in enumerate(waiting):
            loop.call_later(TICK_S * (number + 0.9 * dice.random()) / len(waiting), write, connection, data)

    hub.Connection.flush = flush  # type: ignore[method-assign]
    code = main(words)
    stamps.write_text(json.dumps(sent))
    return code


# ---- the wire --------------------------------------------------------------------------------------------------------


def bare(report: Path, ready: Path) -> int:
    """The least that a program has: a protocol that is handed the bytes, and only finds the numbers in them."""
    decided: list[tuple[str, int, int, int]] = []

    class Wire(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            names = "/".join(f"{symbol.lower()}@depth@100ms" for symbol in symbols)
            transport.write(
                f"GET /public/stream?streams={names} HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )

        def data_received(self, data: bytes) -> None:
            at_ns = time.monotonic_ns()
            decided.extend((found[1].decode(), int(found[2]), at_ns, 0) for found in DEPTH_ID.finditer(data))

    async def listen() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, over.set)
        where = urlsplit(given["ws"])
        await loop.create_connection(Wire, where.hostname, where.port)
        report.with_suffix(".threads").write_text(json.dumps({"pid": os.getpid(), "threads": {}}))
        await over.wait()

    given = json.loads(ready.read_text())
    with urlopen(f"{given['rest']}/fapi/v1/exchangeInfo") as answer:
        symbols = [each["symbol"] for each in json.load(answer)["symbols"]]
    asyncio.run(listen())
    report.write_text(json.dumps(decided))
    return 0


# ---- the program -----------------------------------------------------------------------------------------------------


def time_engine(report: Path) -> None:
    """Write down when each book update was decided on, and how long the turn took; at the end, into `report`."""
    from nexus_engine.core.engine import Engine
    from nexus_engine.model.events import BookDelta

    decided: list[tuple[str, int, int, int]] = []
    plain = Engine.on

    @functools.wraps(plain)
    def on(self: Engine, event: Any) -> Any:
        if type(event) is not BookDelta:
            return plain(self, event)
        begun = time.monotonic_ns()
        effects = plain(self, event)
        done = time.monotonic_ns()
        decided.append((event.symbol, event.update_id, done, done - begun))
        if len(decided) == 100:
            # The main thread's own number is its parent's, since the program parts from that first.
            names = {
                os.getpid() if thread is threading.main_thread() else thread.native_id: thread.name
                for thread in threading.enumerate()
            }
            report.with_suffix(".threads").write_text(json.dumps({"pid": os.getpid(), "threads": names}))
        return effects

    Engine.on = on  # type: ignore[method-assign]
    atexit.register(lambda: decided and report.write_text(json.dumps(decided)))


def other_face(face: str) -> None:
    """Put a reference app in the cockpit's place."""
    from rich.table import Table
    from rich.text import Text
    from textual.app import App, ComposeResult
    from textual.containers import Horizontal
    from textual.screen import ModalScreen
    from textual.widgets import DataTable, Static

    import nexus_tui.app
    from nexus_engine.model.view import ViewRequest

    def ladder(book: Any) -> list[tuple[str, str, str]]:
        largest = max((qty for _, qty in (*book.asks, *book.bids)), default=1.0)
        rows = [(level, "red") for level in reversed(book.asks)] + [(level, "green") for level in book.bids]
        digits = book.price_digits
        return [
            (f"{float(book.tick * ticks):,.{digits}f}", f"{qty:,.2f}", f"[{style}]{'▇' * int(qty / largest * 12)}[/]")
            for (ticks, qty), style in rows
        ]

    def lists(view: Any) -> dict[str, list[tuple[str, ...]]]:
        return {
            "watch": [(each.symbol, f"{each.last:,.2f}", f"{each.change_pct:+.2f}%") for each in view.watch],
            "positions": [(each.symbol, str(each.qty), f"{each.pnl:+.2f}", str(each.stop)) for each in view.positions],
            "events": [(str(each.at_ns), each.subject, each.by, each.text) for each in view.events],
            "gauges": [(each.label, f"{each.value:.2f}", f"{each.limit:.2f}") for each in view.gauges],
        }  # fmt: skip

    class Help(ModalScreen[None]):
        BINDINGS: ClassVar[list[Any]] = [("escape", "dismiss", "")]

        def compose(self) -> ComposeResult:
            yield Static("Keys, esc closes\n" * 20)

    class Reference(App[str]):
        BINDINGS: ClassVar[list[Any]] = [
            ("question_mark", "help", ""),
            ("q", "leave", ""),
            ("a", "answer('approve')", ""),
            ("x", "answer('reject')", ""),
        ]
        CSS = "#top, #low { height: 1fr; } #top > *, #low > * { width: 1fr; } #head { height: 2; }"

        def __init__(self, link: Any, **_: Any) -> None:
            super().__init__()
            self.animation_level = "none"
            self.link = link
            self.names: tuple[str, ...] = ()
            self.answer = ""

        def compose(self) -> ComposeResult:
            yield Static("", id="head", markup=False)
            made = DataTable if face == "table" else Static
            with Horizontal(id="top"):
                for index in range(BOOKS):
                    yield made(id=f"book-{index}")
            with Horizontal(id="low"):
                for name in ("watch", "positions", "events", "gauges"):
                    yield made(id=name)

        def on_mount(self) -> None:
            self.set_interval(TICK, self.paint)

        def paint(self) -> None:
            view = self.link.pull(ViewRequest(books=self.names, depth=DEPTH))
            if view is None:
                return
            self.names = tuple(each.symbol for each in view.watch[:BOOKS])
            seconds = view.at_ns // 1_000_000_000 % 86_400
            account = view.account
            self.query_one("#head", Static).update(
                f"{account.kind} {account.mode} {account.state} today {account.day_pnl:+.2f} "
                f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}\nspread {self.answer}"
            )
            for index, book in enumerate(view.books):
                self.fill(f"book-{index}", ladder(book))
            for name, rows in lists(view).items():
                self.fill(name, rows)

        def fill(self, name: str, rows: list[tuple[str, ...]]) -> None:
            if face == "rich":
                table = Table(*("" for _ in rows[0]) if rows else "")
                for cells in rows:
                    table.add_row(*cells)
                self.query_one(f"#{name}", Static).update(table)
                return
            table = self.query_one(f"#{name}", DataTable)
            if table.row_count != len(rows):
                table.clear(columns=True)
                for number in range(len(rows[0]) if rows else 0):
                    table.add_column(" " * 12, key=str(number))
                for number, cells in enumerate(rows):
                    table.add_row(*(Text.from_markup(each) for each in cells), key=str(number))
                return
            for number, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    table.update_cell(str(number), str(column), Text.from_markup(cell))

        def action_answer(self, word: str) -> None:
            self.answer = f"no proposal to {word}"
            self.paint()

        def action_help(self) -> None:
            self.push_screen(Help())

        def action_leave(self) -> None:
            self.exit("quit")

        def say(self, text: str) -> None: ...

        def hangup(self) -> None:
            self.exit("hangup")

        def terminate(self) -> None:
            self.exit("terminate")

    nexus_tui.app.NexusApp = Reference  # type: ignore[misc, assignment]


def nexus(face: str, report: Path, words: list[str]) -> int:
    time_engine(report)
    if face in ("table", "rich"):
        other_face(face)
    from nexus_tui.__main__ import main

    return main(words)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "exchange":
        raise SystemExit(exchange(Path(rest[0]), rest[1:]))
    if what == "bare":
        raise SystemExit(bare(Path(rest[0]), Path(rest[1])))
    raise SystemExit(nexus(rest[0], Path(rest[1]), rest[2:]))
