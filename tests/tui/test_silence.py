"""A cockpit that has lost its engine, one that may only look, and what fits into little room."""

import re
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import BOOKS, POSITIONS, FakeLink, event, halted, view

from nexus_engine.model.commands import Flatten, Halt
from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.words import Latch
from nexus_tui import format as fmt
from nexus_tui.screens.cockpit import Cockpit
from nexus_tui.widgets.header import reading, reason, second
from nexus_tui.widgets.positions import Positions


async def test_a_silent_screen_does_not_look_healthy_and_recovers() -> None:
    async with cockpit(size=(120, 40)) as driven:
        assert "as of" not in driven.text
        await driven.pass_ms(3_000)
        assert "ENGINE SILENT 3.0s" in driven.row(2)
        assert "as of 15:03:07" in driven.row(1)
        assert "ok" not in driven.row(2)
        for title in ("Watchlist", "Positions", "SOLUSDT 148", "Shield"):
            (line,) = [row for row in driven.text.splitlines() if f"─ {title}" in row]
            assert "as of 15:03:07" in line
        rows = driven.cockpit.query_one(Positions)._rows
        kinds = {kind for row in rows for text, kind in row if text.strip()}
        assert kinds <= {"quiet", "warn", "line", "title"}
        await driven.show(view())
        assert "as of" not in driven.text


async def test_a_strategy_that_does_not_come_back_is_named_and_only_then() -> None:
    async with cockpit() as driven:
        driven.link.hangs = "pullback"
        await driven.show(view())
        assert "pullback" not in driven.text
        await driven.pass_ms(3_000)
        assert "strategy pullback does not come back: stops rest at the venue" in driven.text
        driven.link.hangs = ""
        await driven.show(view())
        assert "does not come back" not in driven.text


async def test_without_an_engine_nothing_but_halt_is_sent_and_what_became_of_it_stands() -> None:
    async with cockpit(view(positions=POSITIONS[:1])) as driven:
        driven.link.alive = False
        await driven.press("c", "y")
        assert driven.sent == []
        assert "not sent: there is no engine" in driven.row(-2)
        await driven.press("exclamation_mark")
        assert driven.sent == [Halt(reason="key")]
        driven.link.told = "HALT: no engine answered; left the latch"
        await driven.pass_ms(10_000)
        await driven.pass_ms(10_000)
        assert "left the latch" in driven.row(-2)


async def test_enter_twice_leaves_a_typed_dialog_once() -> None:
    async with cockpit() as driven:
        await driven.press("F")
        dialog = driven.app.screen
        word = dialog.query_one("Word")
        for _ in range(3):
            word.post_message(word.Submitted(word, "flat"))  # type: ignore[attr-defined]
        await driven.pilot.pause()
        assert isinstance(driven.app.screen, Cockpit)
        assert driven.app.is_running
        assert driven.sent == [Flatten(word="flat")]


async def test_the_word_may_be_typed_in_capitals() -> None:
    async with cockpit() as driven:
        await driven.press("F", *"FLAT", "enter")
        assert driven.sent == [Flatten(word="flat")]


async def test_a_read_only_cockpit_says_so_everywhere() -> None:
    async with cockpit(halted(), read_only=True) as driven:
        assert "READ-ONLY" in driven.row(1)
        for word in ("approve", "reject", "close", "flatten", "mode", "release"):
            assert word not in driven.row(-1)
        assert "HALT" in driven.row(-1)
        for key in ("a", "x", "c", "C", "F", "m", "r"):
            await driven.press(key)
            assert isinstance(driven.app.screen, Cockpit)
            assert "read-only" in driven.row(-2)
            await driven.pass_ms(5_000)
        await driven.press("q")
        assert "flatten and quit" not in driven.text
        assert "quit with stops resting" in driven.text
        await driven.press("escape", "exclamation_mark")
        assert driven.sent == [Halt(reason="key")]


async def test_a_read_only_cockpit_invites_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_tui.screens.hands.SocketLink", FakeLink)
    for read_only in (False, True):
        async with cockpit(replace(halted(), proposals=view().proposals), read_only=read_only) as driven:
            await driven.arm()
            assert ("READY" in driven.text) is not read_only
            assert "wait" not in next(row for row in driven.text.splitlines() if "▶P41" in row)
            assert ("r releases" in driven.row(2)) is not read_only
            assert "HALT by you" in driven.row(2)
            await driven.press("q")
            assert "detach: the engine goes on" in driven.text
            assert ("quit with stops resting" in driven.text) is not read_only


@pytest.mark.parametrize("width", range(80, 131))
def test_no_column_of_the_positions_is_cut(width: int) -> None:
    waiting = replace(POSITIONS[0], stop_state="wait", naked_ms=1_200, stop_seen_ms=None)
    room = width - 29 if width < 112 else width - 37
    _, built = Positions().build(view(positions=(*POSITIONS[1:], waiting), proposals=()), room, 8)
    head, *rows = ("".join(text for text, _ in spans).rstrip() for spans in built)
    for column, cell in (("held", r"\d(h|d)\d\d"), ("by", "(you|bot)$"), ("R", r"[+-]\d\.\d ")):
        assert (f" {column}" in f"{head} ") == all(bool(re.search(cell, row)) for row in rows), column
    assert "…" not in "".join(rows)
    assert all(len(row) <= room for row in (head, *rows))


@pytest.mark.parametrize(("size", "cell"), [((80, 24), "not seen"), ((120, 40), "95,400 unseen")])
async def test_a_stop_that_only_the_journal_tells_of_is_called_unseen(size: tuple[int, int], cell: str) -> None:
    unseen = replace(POSITIONS[0], stop_state="unseen", stop_seen_ms=None)
    async with cockpit(view(positions=(*POSITIONS[1:], unseen)), size=size) as driven:
        assert cell in driven.text
        assert "1 not seen yet" in driven.text
        assert "WITHOUT" not in driven.text and "all stops at venue" not in driven.text


async def test_the_spread_row_shows_the_middle_not_a_trade_outside_it() -> None:
    far = replace(BOOKS["SOLUSDT"], last=151.0)
    async with cockpit() as driven:
        driven.link.shown = view(books=(far,), watch=(), seq=2)
        await driven.pass_ms(0)
        await driven.pass_ms(0)
        (line,) = [row for row in driven.text.splitlines() if "spread 0.02" in row]
        assert "148.21" in line
        assert "151.00" not in line


async def test_a_symbol_is_not_said_twice() -> None:
    async with cockpit(view(outcome=event(0, "DOGEUSDT", "you", "DOGEUSDT: closing 10 at market"))) as driven:
        assert driven.row(-2).startswith(" DOGEUSDT closing 10")


def test_nothing_is_minus_nothing() -> None:
    told = (fmt.money(-0.001), fmt.price(-0.0, 1), fmt.percent(-0.04), fmt.short_money(-0.001, 5))
    assert all("-" not in text for text in (*told, fmt.plain_number(-0.01)))


def test_counts_have_no_decimals_and_shares_do() -> None:
    count = Gauge(guard="streak", label="losses in row", value=0, limit=2, unit="", used=0.0)
    assert reading(count) == "0 of 2"
    assert reading(replace(count, unit="%", limit=4.0)) == "0.0 of 4.0%"


@pytest.mark.parametrize(
    ("size", "text"),
    [("1238.6", "1.24k"), ("10000", "10000"), ("4100", "4,100"), ("0.042", "0.042"), ("123.456", "123.5")],
)
def test_a_size_is_never_shown_as_another(size: str, text: str) -> None:
    assert fmt.short_quantity(Decimal(size), 5) == text


def test_the_reason_stands_before_the_path_and_a_long_latch_is_cut_not_left_out() -> None:
    assert reason("/very/long/folder/journal.db: disk full") == "disk full: journal.db"
    assert reason("clock off by 3 s") == "clock off by 3 s"
    held = halted(12)
    latch = replace(held.account.latches[0], latch=Latch.PROTECT_ONLY, by="somebody-1")
    picture = replace(held, account=replace(held.account, latches=(latch,)), unknown_orders=3)
    row = "".join(text for text, _ in second(picture, 62, "ENGINE SILENT 12s"))
    assert "…" in row
    assert len(row) <= 62
