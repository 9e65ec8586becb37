"""Every key of the table does what the table says."""

import pytest
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import POSITIONS, account, event, halted, view

from nexus_engine.model.commands import ClosePosition, Flatten, Halt, Release, SetMode
from nexus_engine.model.view import FeedView
from nexus_engine.model.words import Latch, Mode
from nexus_tui.bindings import EMERGENCY_KEYS, KEYS, footer
from nexus_tui.screens.cockpit import Cockpit
from nexus_tui.widgets.positions import Positions


@pytest.mark.parametrize("key", sorted(EMERGENCY_KEYS))
async def test_halt_is_one_key_away(key: str) -> None:
    async with cockpit() as driven:
        await driven.press(key)
        assert driven.sent == [Halt(reason="key")]


@pytest.mark.parametrize("opener", ["q", "m", "F", "question_mark", "colon", "r"])
@pytest.mark.parametrize("key", ["f10", "ctrl+x"])
async def test_halt_works_in_every_dialog(opener: str, key: str) -> None:
    async with cockpit(halted()) as driven:
        await driven.press(opener)
        assert not isinstance(driven.app.screen, Cockpit)
        await driven.press(key)
        assert driven.sent == [Halt(reason="key")]


async def test_an_exclamation_mark_is_halt_even_where_a_word_is_typed() -> None:
    async with cockpit() as driven:
        await driven.press("F", "f", "l", "exclamation_mark")
        assert driven.sent == [Halt(reason="key")]


async def test_flatten_needs_its_word() -> None:
    async with cockpit() as driven:
        await driven.press("F", "enter")
        await driven.press("F", "f", "l", "a", "enter")
        await driven.press("f9", "escape")
        assert driven.sent == []
        await driven.press("f9", *"flat", "enter")
        assert driven.sent == [Flatten(word="flat")]
        assert "flatten sent" in driven.row(-2)


async def test_flatten_lists_what_it_would_close() -> None:
    async with cockpit() as driven:
        await driven.press("F")
        for each in POSITIONS:
            assert each.symbol in driven.text


async def test_halt_is_released_by_typing_its_name() -> None:
    async with cockpit(halted()) as driven:
        await driven.press("r", *"yes", "enter")
        assert driven.sent == []
        await driven.press("r", *"halt", "enter")
        assert driven.sent == [Release(latch=Latch.HALT, word="halt")]


async def test_without_a_latch_there_is_nothing_to_release() -> None:
    async with cockpit() as driven:
        await driven.press("r")
        assert isinstance(driven.app.screen, Cockpit)
        assert "no latch holds" in driven.row(-2)


async def test_the_mode_goes_down_at_once_and_up_typed() -> None:
    async with cockpit() as driven:
        await driven.press("m", "w")
        assert driven.sent == [SetMode(mode=Mode.WATCHER)]
        await driven.press("m", "p", "enter")
        assert len(driven.sent) == 1
        await driven.press("m", "p", *"pilot", "enter")
        assert driven.sent[1:] == [SetMode(mode=Mode.PILOT, word="pilot")]


async def test_the_mode_picker_never_cycles_and_enter_changes_nothing() -> None:
    async with cockpit() as driven:
        await driven.press("m", "m", "enter")
        assert driven.sent == []
        await driven.press("m", "k", "k", "k", "enter")
        assert driven.sent == [SetMode(mode=Mode.WATCHER)]


async def test_close_asks_and_enter_means_no() -> None:
    async with cockpit() as driven:
        await driven.press("tab", "j", "c", "enter")
        assert driven.sent == []
        await driven.press("c", "y")
        assert driven.sent == [ClosePosition(symbol="ADAUSDT")]
        await driven.press("C", "y")
        assert driven.sent[1:] == [ClosePosition(symbol="ADAUSDT", half=True)]


async def test_close_wants_to_know_which() -> None:
    async with cockpit() as driven:
        await driven.press("c")
        assert "no position is selected" in driven.row(-2)
        await driven.show(view(positions=POSITIONS[:1]))
        await driven.press("c", "y")
        assert driven.sent == [ClosePosition(symbol="BTCUSDT")]


async def test_a_held_y_confirms_one_close_only() -> None:
    async with cockpit(view(positions=POSITIONS[:1])) as driven:
        await driven.press("c")
        await driven.press("y")
        await driven.press("y", "c", "y", apart_ms=20)
        assert driven.sent == [ClosePosition(symbol="BTCUSDT")]


@pytest.mark.parametrize(
    ("keys", "result"),
    [(["q", "d"], "detach"), (["ctrl+q", "r"], "quit"), (["ctrl+z"], "detach"), (["q", "j", "enter"], "detach")],
)
async def test_the_ways_out(keys: list[str], result: str) -> None:
    async with cockpit() as driven:
        await driven.press(*keys[:-1])
        await driven.pilot.press(keys[-1])
        await driven.pilot.pause()
        assert driven.app.return_value == result
        assert driven.sent == []


async def test_enter_in_the_quit_dialog_stays_and_it_names_what_stays_open() -> None:
    async with cockpit() as driven:
        await driven.press("q")
        assert "long      0.042 BTCUSDT      stop 95,400.0 ok" in driven.text
        await driven.press("enter")
        assert isinstance(driven.app.screen, Cockpit)
        assert driven.app.return_value is None


async def test_flatten_and_quit_is_typed_too() -> None:
    async with cockpit() as driven:
        await driven.press("q", "f", *"fla", "enter")
        assert driven.app.return_value is None
        await driven.press("q", "f", *"flat")
        await driven.pilot.press("enter")
        await driven.pilot.pause()
        assert driven.app.return_value == "flatten"
        assert driven.sent == [Flatten(word="flat")]


async def test_left_and_right_change_the_ladders_symbol() -> None:
    async with cockpit(view(proposals=())) as driven:
        assert "─ BTCUSDT 96,480.1" in driven.text
        await driven.press("right")
        assert "─ ETHUSDT 3,412.90" in driven.text
        await driven.press("left", "left")
        assert driven.cockpit.symbol == "AVAXUSDT"
        assert driven.link.requests[-1].books == ("AVAXUSDT",)


async def test_the_ladder_shows_the_selected_cards_market() -> None:
    async with cockpit() as driven:
        assert driven.cockpit.symbol == "SOLUSDT"
        await driven.press("j")
        assert driven.cockpit.symbol == "LINKUSDT"


async def test_the_outcome_row_tells_what_the_venue_said_after_what_was_sent() -> None:
    async with cockpit() as driven:
        await driven.press("x")
        assert "P41 rejection sent" in driven.row(-2)
        await driven.show(view(outcome=event(0, "P41", "you", "rejected"), proposals=()))
        assert "P41 rejected" in driven.row(-2)


async def test_rows_one_and_two_stay_alive_under_a_dialog() -> None:
    async with cockpit() as driven:
        await driven.press("q")
        picture = view(account=account(day_pnl=-99.0))
        await driven.show(picture)
        await driven.pass_ms(0)
        assert "-99.00" in driven.row(1)
        assert "Leave Nexus" in driven.text


async def test_the_keys_page_shows_every_key_of_the_table() -> None:
    async with cockpit() as driven:
        await driven.press("question_mark")
        for key in KEYS:
            assert key.help in driven.text or not key.keys
        assert "LIVE main" in driven.row(1)
        assert "HALT" in driven.row(-1)


async def test_the_menu_runs_an_action() -> None:
    async with cockpit() as driven:
        await driven.press("colon", *"mode", "enter")
        assert "w WATCHER" in driven.text


def test_the_footer_keeps_halt_at_every_width() -> None:
    for width in range(10, 201):
        words = footer(width)
        assert ("!", "HALT") in words
        assert sum(len(face) + len(word) + 3 for face, word in words) <= width


def test_no_key_means_two_things() -> None:
    names = [name for key in KEYS if key.keys for name in key.keys.split(",")]
    assert len(names) == len(set(names))
    assert len({key.id for key in KEYS}) == len(KEYS)


async def test_a_position_that_needs_help_stands_first_and_is_counted_in_row_two() -> None:
    naked = replace(POSITIONS[2], stop_state="NAKED", naked_ms=800, stop=None, stop_seen_ms=None)
    foreign = (("XRPUSDT", POSITIONS[0].qty),)
    down = (FeedView(name="BINANCE public", up=False, age_ms=9_000),)
    picture = view(positions=(*POSITIONS[:2], naked), unknown_orders=1, foreign=foreign, feeds=down)
    async with cockpit(picture) as driven:
        for alarm in ("1 NAKED 0.8s", "1 UNKNOWN", "1 FOREIGN", "public DOWN"):
            assert alarm in driven.row(2)
        text = driven.text
        assert text.index("L DOGEUSDT") < text.index("L BTCUSDT")
        assert "1 WITHOUT a stop" in text


async def test_a_halt_is_called_sent_until_the_engine_tells_what_became_of_it() -> None:
    async with cockpit() as driven:
        await driven.press("!")
        await driven.pass_ms(6_000)
        assert driven.row(-2).startswith(" HALT sent 15:03:07")
        await driven.show(view(outcome=event(0, "account", "you", "HALT: no entries; exits and stops alive")))
        assert "HALT: no entries" in driven.row(-2)


async def test_an_outcome_too_long_for_the_row_keeps_how_it_stands_now() -> None:
    text = "P2 approved  P2 filled 3261 at 0.7837  stop 0.7683 confirmed, 22 ms"
    for width, start in ((80, " ADAUSDT P2 filled 3261"), (120, " ADAUSDT P2 approved")):
        async with cockpit(view(outcome=event(5, "ADAUSDT", "you", text)), size=(width, 40)) as driven:
            assert driven.row(-2).startswith(start)
            assert "confirmed, 22 ms" in driven.row(-2)


async def test_an_outcome_of_several_positions_names_as_many_as_fit_and_says_that_there_are_more() -> None:
    closed = [f"P{number} closed: -60.10 (-1.1 R)" for number in (1, 2, 3)]
    for names, start in ((closed[:2], ""), (closed, "… ")):
        text = "  ".join(("closing 2 positions at market", *names))
        async with cockpit(view(outcome=event(5, "account", "you", text))) as driven:
            assert driven.row(-2).startswith(f" account {start}{'  '.join(names[-2:])}")


async def test_the_position_that_c_and_s_are_for_is_marked_wherever_the_moving_keys_are() -> None:
    async with cockpit(size=(120, 40)) as driven:
        await driven.press("tab", "j")
        symbol = driven.cockpit.query_one(Positions).selected
        assert f"▶{symbol}" in driven.text
        await driven.press("tab")
        assert f"▷{symbol}" in driven.text
        await driven.press("C")
        assert f"half of {symbol}" in driven.text
