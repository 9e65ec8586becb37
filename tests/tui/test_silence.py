"""A cockpit that has lost its engine, one that may only look, and what fits into little room."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import BOOKS, POSITIONS, FakeLink, card, event, halted, position, view

from nexus_engine.model.commands import Flatten, Halt
from nexus_engine.model.paths import latch_path
from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.words import Latch
from nexus_tui import format as fmt
from nexus_tui.link import _Halting
from nexus_tui.screens.cockpit import Cockpit
from nexus_tui.widgets.header import reading, reason, second, short
from nexus_tui.widgets.positions import Positions
from nexus_tui.widgets.rows import Pane, length, spread


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


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
@pytest.mark.parametrize("alive", [True, False])
async def test_a_card_of_a_silent_engine_is_not_ready_and_its_time_is_not_known(
    alive: bool, size: tuple[int, int]
) -> None:
    async with cockpit(size=size) as driven:
        await driven.arm()
        assert "0:38" in driven.text and "1:52" in driven.text and "READY" in driven.text
        driven.link.alive = alive
        await driven.pass_ms(3_000)
        for gone in ("0:38", "1:52", "READY", "STALE"):
            assert gone not in driven.text
        await driven.press("a", "question_mark")
        assert driven.sent == []
        assert "P41 is not known as it stands now" in driven.row(-2) or not alive
        assert "worst -26.10  ?" in driven.text
        await driven.press("escape")
        driven.link.alive = True
        await driven.show(view())
        await driven.arm()
        await driven.show(view())
        assert "READY" in driven.text and "0:38" in driven.text


async def test_a_card_that_comes_back_from_silence_must_be_seen_anew() -> None:
    async with cockpit() as driven:
        await driven.arm()
        assert "READY" in driven.text
        await driven.pass_ms(3_000)
        await driven.show(view())
        assert "READY" not in driven.text
        await driven.press("a", apart_ms=100)
        assert driven.sent == []
        await driven.arm()
        await driven.press("a")
        assert len(driven.sent) == 1


async def test_what_was_not_answered_stands_until_another_command_is() -> None:
    earlier = event(0, "account", "you", "HALT released")
    async with cockpit(view(outcome=earlier)) as driven:
        await driven.pass_ms(2_000)
        driven.link.told = "1 not answered: look before you send it again"
        await driven.pass_ms(9_000)
        assert "1 not answered: look before you send it again 15:03:18" in driven.row(-2)
        later = replace(earlier, text="HALT released  the process stood still for 10.1 s")
        await driven.show(view(outcome=later))
        assert "1 not answered" in driven.row(-2)
        await driven.show(view(outcome=replace(later, at_ns=later.at_ns + 1)))
        assert "stood still" in driven.row(-2)


async def test_what_decides_does_not_open_without_an_engine_and_says_so_where_it_is_open() -> None:
    async with cockpit(view(positions=POSITIONS[:1])) as driven:
        await driven.press("c")
        driven.link.alive = False
        await driven.pass_ms(300)
        assert "Close BTCUSDT   no engine: nothing is sent" in driven.text
        assert "nothing would be closed: there is no engine" in driven.text and "y yes" not in driven.text
        await driven.press("y", "escape")
        for key in ("a", "x", "e", "c", "C", "s", "r", "p", "m", "F"):
            await driven.press(key)
            assert isinstance(driven.app.screen, Cockpit), key
            assert "nothing is sent: there is no engine (HALT works)" in driven.row(-2)
            await driven.pass_ms(5_000)
        assert driven.sent == []
        driven.link.alive = True
        await driven.show(view(positions=POSITIONS[:1]))
        await driven.press("c")
        assert "no engine" not in driven.text and "y yes" in driven.text


async def test_the_second_yes_to_a_card_is_refused_while_the_engine_is_silent() -> None:
    risky = replace(card(), proposal=replace(card().proposal, worst_pct=2.0))
    async with cockpit(view(proposals=(risky,))) as driven:
        await driven.arm()
        await driven.press("a")
        assert "with real money" in driven.text
        await driven.pass_ms(30_000)
        await driven.press("y")
        assert driven.sent == []
        assert "P41 is not known as it stands now: the engine is silent" in driven.row(-2)


async def test_a_yes_just_as_the_engine_comes_back_was_meant_for_nothing() -> None:
    picture = view(positions=POSITIONS[:1])
    async with cockpit(picture) as driven:
        await driven.press("c")
        driven.link.alive = False
        await driven.pass_ms(300)
        driven.link.alive = True
        await driven.press("y", apart_ms=1)
        await driven.show(picture)
        await driven.press("y", apart_ms=100)
        assert driven.sent == []
        await driven.press("y")
        assert [type(each).__name__ for each in driven.sent] == ["ClosePosition"]


@pytest.mark.parametrize("width", [*range(80, 131, 5), 150, 190, 200])
async def test_no_title_of_a_silent_screen_is_cut_in_a_word_or_a_number(width: int) -> None:
    async with cockpit(size=(width, 40)) as driven:
        live = {each: [text for text, _ in each._rows[0]] for each in driven.cockpit.query(Pane) if each.region.height}
        await driven.pass_ms(3_000)
        for pane, before in live.items():
            *title, since = (text for text, _ in pane._rows[0])
            assert since == " as of 15:03:07 "
            told = "".join(title).rstrip("─┬┴┼┤├ ")
            assert set(told.split()) <= {"─", "risk", *"".join(before).split()} and "…" not in told
            assert not told.endswith((" open", " risk"))


async def test_a_silent_screen_still_says_that_a_stop_is_missing() -> None:
    bare = replace(POSITIONS[0], stop=None, stop_state="NAKED", naked_ms=800)
    async with cockpit(view(positions=(bare, *POSITIONS[1:]))) as driven:
        await driven.pass_ms(3_000)
        assert any("1 WITHOUT a stop" in row and "as of 15:03:07" in row for row in driven.text.splitlines())


def test_the_left_end_of_a_row_gives_way_by_whole_words() -> None:
    left = (("▶P41 ", ""), ("12.4 SOLUSDT", ""), ("  Harpoon", ""))
    shown = {
        width: "".join(text for text, _ in spread(left, (("0:38", ""),), width)).replace("0:38", "").rstrip()
        for width in range(8, 31)
    }
    assert set(shown.values()) == {"▶P4…", "▶P41", "▶P41 12.4…", "▶P41 12.4 SOLUSDT", "▶P41 12.4 SOLUSDT  Harpoon"}
    assert all(length(spread(left, (("0:38", ""),), width)) == width for width in shown)


async def test_who_leaves_a_silent_engine_is_told_what_was_seen_and_when() -> None:
    async with cockpit() as driven:
        await driven.pass_ms(3_000)
        await driven.press("q")
        assert "last seen at 15:03:07 UTC; how it stands now is not known:" in driven.text
        assert "stop 95,400.0 was ok" in driven.text
        assert "detach: the engine, silent now, is left as it is  " in driven.text
        await driven.press("escape")
        driven.link.alive = False
        await driven.pass_ms(0)
        await driven.press("q")
        assert "stop 95,400.0 was ok" in driven.text
        for untrue in ("goes on", "flatten and quit", "quit with stops resting"):
            assert untrue not in driven.text
        assert "d leave: no engine runs; what rests at the venue stays there" in driven.text
        await driven.pilot.press("d")
        await driven.pilot.pause()
        assert driven.app.return_value == "detach"


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
        assert "nothing is sent: there is no engine" in driven.row(-2)
        await driven.press("exclamation_mark")
        assert driven.sent == [Halt(reason="key")]
        driven.link.told = "HALT: latch left"
        await driven.pass_ms(10_000)
        await driven.pass_ms(10_000)
        assert "latch left" in driven.row(-2)


def no_engine(folder: Path) -> None: ...


def no_latch(folder: Path) -> None:
    latch_path(folder).mkdir()


def no_folder(folder: Path) -> None:
    folder.rmdir()


LEFT = "latch left: halts now if it runs, else at its start; no answer"


@pytest.mark.parametrize(
    ("spoil", "begins"),
    [
        (no_engine, LEFT),
        (no_latch, "may not halt: no latch can be left, "),
        (no_folder, "may not halt: no latch can be left, "),
    ],
)
async def test_what_became_of_a_halt_stands_whole_at_eighty_columns(
    spoil: Callable[[Path], None], begins: str, tmp_path: Path
) -> None:
    folder = tmp_path / "main-demo"
    folder.mkdir()
    spoil(folder)
    halting = _Halting(folder, "you")
    halting.send()
    halting.close()
    async with cockpit() as driven:
        driven.link.told = halting.heard()
        await driven.pass_ms(0)
        assert driven.row(-2).startswith(f" HALT: {begins}")
        assert driven.row(-2).rstrip().endswith(" 15:03:07") and "…" not in driven.row(-2)


@pytest.mark.parametrize(
    "told",
    [
        "HALT: halted; the journal has not recorded it",
        "HALT: refused: a line is at most 64 KiB",
        "HALT: refused: not answered: MsgspecError; see the log",
        "HALT: may not halt: no latch can be left, No space left on device",
    ],
)
async def test_whatever_else_is_told_of_a_halt_stands_whole_too(told: str) -> None:
    async with cockpit() as driven:
        driven.link.told = told
        await driven.pass_ms(0)
        assert driven.row(-2).rstrip() == f" {told} 15:03:07"


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
    told = (fmt.money(-0.001), fmt.price(-0.0, 1), fmt.percent(-0.04), fmt.short_money(-0.001, 5), short(-0.01))
    assert all("-" not in text for text in told)


def test_counts_have_no_decimals_and_shares_do() -> None:
    count = Gauge(guard="streak", label="losses in row", value=0, limit=2, unit="", used=0.0)
    assert reading(count) == "0 of 2"
    assert reading(replace(count, unit="%", limit=4.0)) == "0.0 of 4.0%"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ("1238.6", "~1239"),
        ("10000", "10000"),
        ("4100", "4,100"),
        ("0.042", "0.042"),
        ("123.456", "~123"),
        ("12.345", "~12.3"),
        ("123456", "~123k"),
        ("123456789", "~123M"),
    ],
)
def test_a_size_is_never_shown_as_another(size: str, text: str) -> None:
    assert fmt.short_quantity(Decimal(size), 5) == text


@pytest.mark.parametrize("width", (51, 52, 60, 63, 75, 82, 83, 100, 139))
def test_a_size_has_all_its_digits_where_there_are_cells_for_them(width: int) -> None:
    held = (
        position("XRPUSDT", qty="1688.3", entry="2.0973", price=2.1012, digits=4, stop="2.0501"),
        position("AVAXUSDT", qty="242.25", entry="31.442", price=31.501, digits=3, stop="30.117"),
    )
    rows = Positions().build(view(positions=held, proposals=()), width, 8)[1]
    texts = ["".join(text for text, _ in each) for each in rows]
    assert all(len(text) == width for text in texts[1:3])
    assert {text.split()[2].replace(",", "") for text in texts[1:3]} == {"1688.3", "242.25"}
    assert [text.split()[3] for text in texts[1:3]] == [str(each.entry) for each in held]


def test_the_reason_stands_before_the_path_and_a_long_latch_is_cut_not_left_out() -> None:
    assert reason("/very/long/folder/journal.db: disk full") == "disk full: journal.db"
    assert reason("clock off by 3 s") == "clock off by 3 s"
    held = halted(12)
    latch = replace(held.account.latches[0], latch=Latch.PROTECT_ONLY, by="somebody-1")
    picture = replace(held, account=replace(held.account, latches=(latch,)), unknown_orders=3)
    row = "".join(text for text, _ in second(picture, 62, "ENGINE SILENT 12s"))
    assert "…" in row
    assert len(row) <= 62
