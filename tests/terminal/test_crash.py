"""kill -9 at the worst moments: between a fill and its stop, and with a cockpit looking on."""

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
from demo_house import SYMBOLS, Exchange, House, held, next_card, quit_resting, wait_until

pytestmark = pytest.mark.terminal
STOP_S = 3.0
SLOW_STOP = '[[fault]]\non = "POST /fapi/v1/algoOrder"\nkind = "delay"\ncount = 1\ndelay_ms = 60000\n'


def test_killed_between_fill_and_stop_the_next_start_protects_and_enters_nothing(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text(SLOW_STOP)
    market = ("--scenario", "range", "--seed", "7", "--speed", "60")
    with (
        closing(Exchange(tmp_path, *market, "--faults", str(faults))) as exchange,
        House(tmp_path, words=(), config=f'[demo]\nvenue = "{exchange.ready}"\n') as house,
    ):
        ledger = exchange.ledger
        terminal = house.cockpit()
        _, symbol = next_card(terminal)
        terminal.press("a")
        position = wait_until(ledger.positions, 5.0, 0.02)
        os.killpg(terminal.process.pid, signal.SIGKILL)
        assert ledger.stops(symbol) == []
        wait_until(lambda: not house.processes(), 3.0)

        began_s = time.monotonic()
        again = house.cockpit()
        (stop,) = wait_until(lambda: ledger.stops(symbol), 10.0, 0.02)
        took_s = time.monotonic() - began_s
        assert (stop["side"], float(stop["quantity"])) == ("SELL", position[symbol])
        again.wait_for(lambda text: "ok" in held(text, symbol))
        assert ledger.positions() == position
        (entry,) = ledger.entries(SYMBOLS)
        assert float(entry["executedQty"]) == position[symbol]
        assert quit_resting(again) == 0
        assert ledger.positions() == position
        assert [row["algoId"] for row in ledger.stops(symbol)] == [stop["algoId"]]
        assert took_s <= STOP_S


def test_of_two_starts_at_once_the_second_attaches_and_sees_the_first_one_die(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        both = [house.cockpit(), house.cockpit()]
        for terminal in both:
            terminal.wait_for("Sentinel CALM", 40.0)
        engine, venue = house.status()["pid"], house.venue_pid()
        sessions = {terminal.process.pid: terminal for terminal in both}
        mine = sessions.pop(os.getsid(engine))
        (other,) = sessions.values()
        assert len(house.processes()) == 5  # two cockpits, each with what waits for it, and one venue
        started_s = time.monotonic()
        os.killpg(mine.process.pid, signal.SIGKILL)
        wait_until(lambda: not {engine, venue} & set(house.processes()), 3.0)
        assert time.monotonic() - started_s < 3.0
        other.wait_for(lambda text: "the engine has ended" in text or "does not answer" in text, 10.0)
        other.press("q")
        other.wait_for("Leave Nexus")
        other.press("d")
        other.process.wait(10)
