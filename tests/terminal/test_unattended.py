"""A terminal that stalls and goes away: the engine handles its market as before, and can be halted and seen again."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from demo_house import SYMBOLS, House, approve, held, nexus, wait_until

from nexus_engine.model.events import BookDelta
from nexus_engine.store.recording import read_recording

pytestmark = pytest.mark.terminal
STALL_S = 20.0
HANDLED = 0.9
LATE_NS = 1_000_000_000


class Listener(threading.Thread):
    """Another client of the venue's depth streams: `sent` is (symbol, update id) -> when it came, in ns UTC."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        names = "/".join(f"{symbol.lower()}@depth@100ms" for symbol in SYMBOLS)
        self._url = f"ws://127.0.0.1:{port}/public/stream?streams={names}"
        self._over = threading.Event()
        self.sent: dict[tuple[str, int], int] = {}

    def run(self) -> None:
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(self._url) as socket:
            async for message in socket:
                body: dict[str, Any] = json.loads(message.data)["data"]
                self.sent[body["s"], body["u"]] = time.time_ns()
                if self._over.is_set():
                    return

    def stop(self) -> None:
        self._over.set()
        self.join(5)


def test_a_stalled_and_closed_terminal_costs_no_market_and_kill_halts_meanwhile(tmp_path: Path) -> None:
    tape = tmp_path / "tape"
    words = ("--scenario", "range", "--seed", "7", "--speed", "40", "--record", str(tape))
    with House(tmp_path, words=words) as house:
        terminal = house.cockpit()
        _, symbol = approve(terminal)
        engine, ledger = house.status()["pid"], house.ledger()
        listener = Listener(int(ledger.rest_url.rpartition(":")[2]))
        listener.start()
        wait_until(lambda: listener.sent)

        terminal.stalled = True
        began_s = time.monotonic()
        time.sleep(STALL_S / 2)  # the stall itself
        assert house.status()["state"] == "ACTIVE"
        killed = nexus("kill", "--state", house.state)
        assert (killed.returncode, killed.stderr) == (0, "")
        assert "halted" in killed.stdout
        assert house.status()["state"] == "HALTED"
        time.sleep(max(0.0, began_s + STALL_S - time.monotonic()))
        entries = ledger.entries(SYMBOLS)
        terminal.hang_up()
        listener.stop()
        assert terminal.process.wait(10) == 0

        assert house.status()["pid"] == engine
        again = house.attach()
        again.wait_for("HALT by nexus kill")
        position = ledger.positions()
        if position:
            again.wait_for(lambda text: "ok" in held(text, symbol))
            shown = held(again.text, symbol)
            assert float(shown[2].replace(",", "")) == position[symbol]
        else:
            again.wait_for("P1 closed")
        refused = dict(house.view()["funnel"])["refused"]
        wait_until(lambda: dict(house.view()["funnel"])["refused"] > refused, 45.0, 0.5)
        assert [row["orderId"] for row in ledger.entries(SYMBOLS)] == [row["orderId"] for row in entries]
        again.press("\x1a")
        assert again.process.wait(10) == 0
        assert house.status()["pid"] == engine
        house.end()

    _, events, end = read_recording(tape)
    handled = {(each.symbol, each.update_id): each.at_ns for each in events if isinstance(each, BookDelta)}
    assert end is not None
    assert len(listener.sent) > STALL_S * 10 * len(SYMBOLS) * 0.5
    in_time = sum(abs(handled.get(key, 0) - at_ns) < LATE_NS for key, at_ns in listener.sent.items())
    assert in_time >= HANDLED * len(listener.sent), f"{in_time} of {len(listener.sent)}"
