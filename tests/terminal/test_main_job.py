"""The main job at the keys: what the screen says is compared with what the venue itself holds."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_house import SYMBOLS, House, approve, held, next_card, quit_resting, wait_until
from pty_terminal import Terminal

from nexus_engine.runtime.client import ask

pytestmark = pytest.mark.terminal
PROPOSAL_S = 60.0
EXPIRY_S = 10
HALTED_S = 40.0
SOON_EXPIRED = f"[copilot]\nexpiry_s = {EXPIRY_S}\n"


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A market without the pattern, in a terminal too small for a cockpit. It plays while the others are tested."""
    with House(tmp_path_factory.mktemp("calm"), words=("--scenario", "calm", "--seed", "7", "--speed", "20")) as house:
        house.cockpit(columns=60, lines=15)
        yield house


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, calm: House) -> Iterator[House]:
    """The demo of the README; only the cards' life is shorter, so that one can be watched to its end."""
    words = ("--scenario", "range", "--seed", "7", "--speed", "20")
    with House(tmp_path_factory.mktemp("story"), words=words, config=SOON_EXPIRED) as house:
        house.cockpit()
        yield house


def terminal_of(house: House) -> Terminal:
    return house.terminals[-1]


def seen_cards(house: House) -> int:
    """How many cards there have been: cards that a test comes too late for are nobody's."""
    return max((card["proposal"]["id"] for card in house.view()["proposals"]), default=0)


def test_an_approved_proposal_is_a_position_whose_stop_the_venue_lists(story: House) -> None:
    terminal = terminal_of(story)
    _, symbol = approve(terminal, within_s=PROPOSAL_S)
    ledger = story.ledger()
    (stop,) = ledger.stops(symbol)
    position = ledger.positions()
    shown = held(terminal.text, symbol)
    assert set(position) == {symbol}
    assert position[symbol] > 0
    assert shown[0] == "L"
    assert float(shown[2].replace(",", "")) == position[symbol]
    assert (stop["side"], float(stop["quantity"])) == ("SELL", position[symbol])
    assert stop["reduceOnly"]
    assert stop["workingType"] == "MARK_PRICE"
    assert float(shown[-2].replace(",", "")) == float(stop["triggerPrice"])
    assert "all stops at venue" in terminal.text
    (entry,) = ledger.entries(SYMBOLS)
    assert (entry["status"], float(entry["executedQty"])) == ("FILLED", position[symbol])
    assert float(shown[3].replace(",", "")) == pytest.approx(float(entry["avgPrice"]), rel=1e-4)


def test_x_rejects_and_nothing_leaves(story: House) -> None:
    terminal, ledger = terminal_of(story), story.ledger()
    before = len(ledger.entries(SYMBOLS))
    number, symbol = next_card(terminal, seen_cards(story))
    terminal.press("x")
    terminal.wait_for(f"P{number} rejected")
    terminal.wait_for("Proposals 0")
    assert ledger.orders(symbol) == []
    assert len(ledger.entries(SYMBOLS)) == before


def test_a_second_start_finds_the_account_and_its_stop(story: House) -> None:
    terminal = terminal_of(story)
    if not story.status()["positions"]:
        approve(terminal, seen_cards(story))
    ledger = story.ledger()
    ((symbol, quantity),) = ledger.positions().items()
    (stop,) = ledger.stops(symbol)
    trades = ledger.trades(symbol)
    assert quit_resting(terminal) == 0
    wait_until(lambda: not story.processes())
    kept = json.loads((story.folder / "venue" / "venue.json").read_text())["ledger"]
    assert kept["algos"][str(stop["algoId"])]["status"] == "NEW"

    again = story.cockpit()
    again.wait_for(lambda text: "ok" in held(text, symbol), 30.0)
    assert "all stops at venue" in again.text
    ledger = story.ledger()
    assert ledger.positions() == {symbol: quantity}
    assert [row["algoId"] for row in ledger.stops(symbol)] == [stop["algoId"]]
    assert ledger.trades(symbol) == trades


def test_an_untouched_proposal_expires_and_cannot_be_approved_any_more(story: House) -> None:
    terminal, ledger = terminal_of(story), story.ledger()
    number, symbol = next_card(terminal, seen_cards(story))
    entries = len(ledger.entries(SYMBOLS))
    card = next(card for card in story.view()["proposals"] if card["proposal"]["id"] == number)
    # asked of the engine: on the smallest screen the next trade's lines may push it out before a frame shows it
    told = f"P{number} expired: nobody answered"
    wait_until(lambda: any(row["text"] == told for row in story.view()["events"]), EXPIRY_S + 5.0)
    terminal.wait_for("Proposals 0")
    terminal.press("a")
    terminal.wait_for("no proposal to approve")
    late = {"type": "Approve", "proposal": number, "shown": card["shown"]}
    ask(story.folder, {"op": "send", "command": late, "by": "late"})
    wait_until(lambda: f"P{number} is already EXPIRED" in (story.view()["outcome"] or {}).get("text", ""))
    assert ledger.orders(symbol) == []
    assert len(ledger.entries(SYMBOLS)) == entries


def test_halt_lets_nothing_new_leave_and_leaves_the_stop_alone(tmp_path: Path) -> None:
    words = ("--scenario", "range", "--seed", "7", "--speed", "40")
    with House(tmp_path, words=words, config=SOON_EXPIRED) as house:
        terminal = house.cockpit()
        first, symbol = approve(terminal)
        second, other = next_card(terminal, first)
        card = next(card for card in house.view()["proposals"] if card["proposal"]["id"] == second)
        terminal.press("!")
        terminal.wait_for("HALTED")
        terminal.wait_for("HALT by you")
        halted_s = time.monotonic()
        terminal.press("a")
        ask(
            house.folder,
            {"op": "send", "command": {"type": "Approve", "proposal": second, "shown": card["shown"]}, "by": "eager"},
        )
        wait_until(lambda: f"P{second} is already EXPIRED" in (house.view()["outcome"] or {}).get("text", ""))

        ledger = house.ledger()

        def covered() -> bool:
            """What is held has its stop. The target may close it meanwhile, in parts."""
            stopped = sum(float(stop["quantity"]) for stop in ledger.stops(symbol))
            position = ledger.positions()
            assert set(position) <= {symbol}
            return position.get(symbol, stopped) == stopped

        assert ledger.stops(symbol)
        while time.monotonic() - halted_s < HALTED_S:
            wait_until(covered, 2.0)
            time.sleep(1.0)
        refused = dict(house.view()["funnel"])["refused"]
        assert refused >= 1, "the market offered nothing, so nothing was refused"
        assert [row["symbol"] for row in ledger.entries(SYMBOLS)] == [symbol]
        assert ledger.orders(other) == []
        assert "HALTED" in terminal.text
        assert quit_resting(terminal) == 0

        again = house.cockpit()
        again.wait_for("HALTED", 30.0)
        assert quit_resting(again) == 0


def test_a_terminal_too_small_says_so_and_shows_the_first_two_rows(calm: House) -> None:
    terminal = terminal_of(calm)
    terminal.wait_for("Sentinel CALM", 30.0)
    rows = terminal.text.split("\n")
    assert "DEMO main" in rows[0]
    assert "Sentinel" in rows[1]
    assert sum("smaller than 80x24" in row for row in rows) == 1
    assert not "".join(rows[3:]).strip()
    terminal.resize(80, 24)
    terminal.wait_for("Proposals 0")
    terminal.wait_for("spread")


def test_a_calm_market_proposes_nothing_in_a_minute(calm: House) -> None:
    terminal = terminal_of(calm)
    terminal.wait_for("Sentinel CALM", 30.0)
    began_ns = calm.view()["events"][0]["at_ns"]
    wait_until(lambda: time.time_ns() - began_ns > PROPOSAL_S * 1e9, PROPOSAL_S + 10)
    journal = sqlite3.connect(f"file:{calm.folder / 'journal.db'}?mode=ro", uri=True)
    try:
        # it has played for longer than that where the machine is busy, and no market stays without a signal for ever
        count = "select count(*) from journal where kind = 'SignalSeen' and at_ns < ?"
        assert journal.execute(count, (began_ns + int(PROPOSAL_S * 1e9),)).fetchone() == (0,)
        assert journal.execute("select count(*) from journal").fetchone() > (3,)
    finally:
        journal.close()
    assert quit_resting(terminal) == 0
