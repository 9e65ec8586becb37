"""Editing a card, moving a stop, arming one again, snoozing: what each key sends, and what it refuses."""

import re
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import BOOKS, POSITIONS, account, card, halted, position, view

from nexus_engine.model.commands import Approve, ClosePosition, Edit, Flatten, Hold, MoveStop, Pause, Rearm, Release
from nexus_engine.model.view import LatchView, View
from nexus_engine.model.words import AccountKind, Latch, Side, TradingState
from nexus_tui.screens.cockpit import Cockpit
from nexus_tui.screens.dialogs import number
from nexus_tui.screens.stop import judge_stop
from nexus_tui.slip import slippage

D = Decimal
FIRST = card(41)


def paused() -> View:
    latch = LatchView(latch=Latch.PAUSE, by="you", reason="", since_ns=view().at_ns)
    return view(account=account(state=TradingState.REDUCING, latches=(latch,)))


# ---- e ---------------------------------------------------------------------------------------------------------------


async def test_half_the_size_is_an_edit_of_the_card_as_it_was_shown_and_sends_no_order() -> None:
    async with cockpit() as driven:
        await driven.press("e", "2")
        assert "about 6.2, worst -13.05" in driven.text
        await driven.press("enter")
        assert driven.sent == [Edit(proposal=41, shown=FIRST.shown, part=0.5)]
        assert "P41 edit sent" in driven.row(-2)


async def test_an_edited_card_must_be_looked_at_again() -> None:
    async with cockpit(view(proposals=(FIRST,))) as driven:
        await driven.arm()
        await driven.press("e", "4", "enter")
        edited = card(41, qty="3.1", worst="6.53")
        await driven.show(view(proposals=(edited,)))
        await driven.press("a", apart_ms=10)
        assert len(driven.sent) == 1
        await driven.arm()
        await driven.press("a")
        assert driven.sent[1:] == [Approve(proposal=41, shown=edited.shown)]


async def test_stop_and_market_are_edited_with_the_worst_case_in_sight() -> None:
    async with cockpit() as driven:
        await driven.press("e", "s", *"149.15", "enter")
        assert "worst -14.32" in driven.text  # 12.4 x 0.95 less, costs as they were
        await driven.press("m", "enter")
        assert driven.sent == [Edit(proposal=41, shown=FIRST.shown, stop=D("149.15"), market=True)]


@pytest.mark.parametrize(
    ("keys", "why"),
    [(("s", *"400", "enter"), "cut to the risk of a trade"), (("m",), "depend on the book"),
     (("m", "s", *"150.11", "enter"), "cut to the risk of a trade")],
)  # fmt: skip
async def test_what_only_the_engine_can_work_out_is_no_number_on_the_page(keys: tuple[str, ...], why: str) -> None:
    async with cockpit() as driven:
        await driven.press("e", *keys)
        [then] = [line for line in driven.text.splitlines() if " then " in line]
        assert "at most 12.4, worst on the new card, was -26.10" in then
        assert "% of equity" not in then
        assert why in driven.text


async def test_a_card_at_market_that_goes_back_to_its_limit_keeps_its_worst_case() -> None:
    at_market = replace(FIRST, proposal=replace(FIRST.proposal, market=True))
    async with cockpit(view(proposals=(at_market,))) as driven:
        await driven.press("e", "m")
        assert "about 12.4, worst -26.10" in driven.text


async def test_a_stop_on_the_wrong_side_of_the_entry_is_not_taken() -> None:
    async with cockpit() as driven:
        await driven.press("e", "s", *"147", "enter")
        assert "not behind the entry 148.20" in driven.text
        await driven.press("backspace", "backspace", "backspace", "enter", "enter")
        assert driven.sent == []


async def test_an_edit_that_changes_nothing_sends_nothing() -> None:
    async with cockpit() as driven:
        await driven.press("e", "enter")
        await driven.press("e", "2", "1", "enter")
        await driven.press("e", "2", "escape")
        assert driven.sent == []


async def test_numbers_that_move_under_an_edit_are_shown_and_are_what_is_edited() -> None:
    async with cockpit(view(proposals=(FIRST,))) as driven:
        await driven.press("e")
        moved = card(41, limit="147.90")
        await driven.show(view(proposals=(moved,)))
        assert "limit 147.90" in driven.text
        await driven.press("2", "enter")
        assert driven.sent == [Edit(proposal=41, shown=moved.shown, part=0.5)]


async def test_a_card_that_goes_while_it_is_edited_is_not_edited() -> None:
    async with cockpit(view(proposals=(FIRST,))) as driven:
        await driven.press("e", "2")
        await driven.show(view(proposals=()))
        assert "P41 is not open any more" in driven.text
        await driven.press("enter")
        assert driven.sent == []


# ---- . ---------------------------------------------------------------------------------------------------------------


async def test_a_snoozed_card_comes_back_after_30_s_where_it_was() -> None:
    async with cockpit() as driven:
        await driven.press("full_stop")
        assert "P41 SELL" not in driven.text
        assert "1 snoozed 0:30" in driven.text
        assert driven.cockpit.cards.selected is None
        await driven.arm()
        await driven.press("a", "x")
        assert driven.sent == []
        await driven.pass_ms(30_000)
        assert [each.proposal.id for each in driven.cockpit.cards.all] == [41, 42]


# ---- s, r, p ---------------------------------------------------------------------------------------------------------


async def test_a_stop_moves_to_a_typed_price_towards_less_risk_only() -> None:
    async with cockpit() as driven:
        await driven.press("tab", "s", *"95000", "enter")
        assert "more risk than now" in driven.text
        assert driven.sent == []
        await driven.press(*["backspace"] * 5, *"96000.5")
        assert "at the stop -8.80 before fees" in driven.text
        await driven.press("enter")
        assert driven.sent == [MoveStop(symbol="BTCUSDT", stop=D("96000.5"))]
        assert "BTCUSDT stop 96,000.5 sent" in driven.row(-2)


async def test_a_stop_is_judged_by_the_price_of_now_and_not_of_when_one_began_to_type() -> None:
    held = POSITIONS[0]
    async with cockpit(view(positions=(held,))) as driven:
        await driven.press("s", *"96400")
        assert "at the stop +7.98 before fees" in driven.text
        await driven.show(view(positions=(replace(held, price=96_390.0, qty=D("0.021")),)))
        assert "long 0.021 from 96,210.0, now 96,390.0" in driven.text
        assert "beyond the price 96,390.0" in driven.text
        await driven.press("enter")
        assert driven.sent == []


@pytest.mark.parametrize("text", ["", "abc", "-1", "nan", "1e999999", "97000"])
async def test_no_other_text_moves_a_stop(text: str) -> None:
    async with cockpit(view(positions=POSITIONS[:1])) as driven:
        await driven.press("s", *(key if key != "-" else "minus" for key in text), "enter", "escape")
        assert driven.sent == []
        assert isinstance(driven.app.screen, Cockpit)


def test_a_price_is_plain_digits_with_commas_only_between_thousands() -> None:
    good = {"96000.5": "96000.5", " 96,480 ": "96480", "1,234,567.8": "1234567.8", ".5": "0.5", "95000.": "95000"}
    assert {text: number(text) for text in good} == {text: D(value) for text, value in good.items()}
    for text in ("0,83", "1,5", "95000,5", "1_000", "1e999999", "1e5", "\u0662\u0660", "nan", "-1", "0", ".", ""):
        assert number(text) is None, text


async def test_a_stop_too_large_to_reckon_with_is_no_price_on_a_sell_card() -> None:
    async with cockpit(view(proposals=(card(41),))) as driven:
        await driven.press("e", "s", *"1e999999")
        assert "this is no price" in driven.text
        await driven.press("enter", "escape", "escape")
        assert driven.sent == []


def test_a_short_positions_stop_only_comes_down() -> None:
    short = POSITIONS[1]
    assert not judge_stop(short, D("0.8300"))[1]
    assert judge_stop(short, D("0.8200"))[1]
    assert not judge_stop(short, D("0.8050"))[1]
    near = replace(short, stop=None, liquidation=D("0.8200"))
    assert judge_stop(near, D("0.8199"))[1]
    assert judge_stop(near, D("0.8200")) == ("beyond its liquidation at 0.8200: it would never fill", False)
    assert judge_stop(replace(near, liquidation=D("0.7000")), D("0.8300"))[1]


async def test_r_arms_a_naked_position_again_and_releases_a_latch_otherwise() -> None:
    naked = replace(POSITIONS[0], stop_state="NAKED", naked_ms=900)
    async with cockpit(view(positions=(naked, POSITIONS[1]), account=halted().account)) as driven:
        await driven.press("r")
        assert "Release HALT" in driven.text
        await driven.press("escape", "tab", "r")
        assert driven.sent == [Rearm(symbol="BTCUSDT")]


async def test_h_holds_the_exit_of_a_naked_position_and_says_so_where_there_is_none() -> None:
    naked = replace(POSITIONS[0], stop_state="NAKED", naked_ms=900, exit_ms=1_100)
    async with cockpit(view(positions=(naked, POSITIONS[1])), size=(120, 40)) as driven:
        assert "NAKED out 1.1s" in driven.text
        await driven.press("h")
        assert driven.sent == [Hold(symbol="BTCUSDT")]
        await driven.show(view(positions=(replace(naked, held_by="ann", exit_ms=29_000), POSITIONS[1])))
        assert "HELD 29s" in driven.text
        await driven.show(view())
        await driven.press("h")
        assert len(driven.sent) == 1 and "no position is NAKED" in driven.text


async def test_hold_takes_the_selected_else_the_one_that_is_closed_first_and_none_twice() -> None:
    first, sound, second = (
        replace(POSITIONS[0], stop_state="NAKED", naked_ms=900, exit_ms=1_900),
        POSITIONS[1],
        replace(POSITIONS[2], stop_state="NAKED", naked_ms=900, exit_ms=1_100),
    )
    async with cockpit(view(positions=(first, sound, second)), size=(120, 40)) as driven:
        await driven.press("h")
        await driven.show(view(positions=(first, sound, replace(second, held_by="you"))))
        await driven.press("h")
        assert driven.sent == [Hold(symbol=second.symbol), Hold(symbol=first.symbol)]


async def test_p_pauses_at_once_and_resumes_typed() -> None:
    async with cockpit() as driven:
        await driven.press("p")
        assert driven.sent == [Pause()]
        await driven.show(paused())
        await driven.press("p", *"yes", "enter", "p", *"pause", "enter")
        assert driven.sent[1:] == [Release(latch=Latch.PAUSE, word="pause")]


# ---- real money, flatten ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "pct", "asks"), [("LIVE", 0.6, True), ("LIVE", 0.5, False), ("TESTNET", 0.6, False)])
async def test_a_large_risk_of_real_money_asks_twice(kind: str, pct: float, asks: bool) -> None:
    large = replace(FIRST, proposal=replace(FIRST.proposal, worst_pct=pct))
    async with cockpit(view(proposals=(large,), account=account(kind=AccountKind(kind)))) as driven:
        await driven.arm()
        await driven.press("a")
        assert ("with real money" in driven.text) is asks
        assert bool(driven.sent) is not asks
        await driven.press("y", apart_ms=100)
        assert bool(driven.sent) is not asks
        await driven.press("y", apart_ms=700)
        assert driven.sent == [Approve(proposal=41, shown=large.shown)]


async def test_enter_does_not_risk_real_money() -> None:
    large = replace(FIRST, proposal=replace(FIRST.proposal, worst_pct=2.0))
    async with cockpit(view(proposals=(large,))) as driven:
        await driven.arm()
        await driven.press("a", "enter", apart_ms=900)
        assert driven.sent == []


async def test_flatten_may_leave_the_shorts_alone() -> None:
    async with cockpit() as driven:
        await driven.press("F")
        assert "BUY       4,100 ADAUSDT" in driven.text
        await driven.press("tab")
        assert "ADAUSDT      PnL" not in driven.text
        await driven.press(*"flat", "enter")
        assert driven.sent == [Flatten(word="flat", longs_only=True)]


async def test_who_leaves_flat_closes_all_of_ours() -> None:
    async with cockpit() as driven:
        await driven.press("q", "f")
        assert "exit longs" not in driven.text
        await driven.press("tab", *"flat", "enter")
        assert driven.sent == [Flatten(word="flat", foreign=True)]
        assert driven.app.return_value == "flatten"


async def test_flatten_may_include_what_is_foreign_and_lists_it_first() -> None:
    async with cockpit(view(foreign=(("XRPUSDT", D(50)), ("BNBUSDT", D(-2))))) as driven:
        await driven.press("F")
        assert "2 foreign left alone" in driven.text
        await driven.press("tab", "tab")
        assert re.search(r"SELL +50 XRPUSDT +foreign", driven.text)
        assert re.search(r"BUY +2 BNBUSDT +foreign", driven.text)
        await driven.press(*"flat", "enter")
        assert driven.sent == [Flatten(word="flat", foreign=True)]


async def test_before_the_venue_has_told_what_is_open_nobody_says_that_nothing_is() -> None:
    async with cockpit(view(positions=(), curve=(), account=account(known=False, day_pnl=0.0))) as driven:
        assert "none open" not in driven.text and "+0.00" not in driven.text
        for scope in ("F", "tab"):
            await driven.press(scope)
            assert "is open" not in driven.text
            assert "not known yet" in driven.text
        await driven.press("escape", "q")
        assert "not known yet: what is open" in driven.text
        await driven.press("escape", "F", "tab")
        await driven.show(view(positions=()))
        assert "no long of ours is open" in driven.text


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_flatten_says_what_each_order_would_cost_whatever_books_are_shown(size: tuple[int, int]) -> None:
    large = replace(POSITIONS[0], qty=D(10**9))
    async with cockpit(view(positions=(large, *POSITIONS[1:])), size=size) as driven:
        await driven.press("F")
        await driven.pass_ms(250)
        found = re.findall(r"(?:BUY|SELL) +[\d.,]+ (\w+) +PnL +\S+ +(slip .*?)  ", driven.text)
        slips = dict(found)
        assert slips.pop("BTCUSDT") == "slip unknown"
        assert set(slips) == {"ADAUSDT", "DOGEUSDT"}
        assert all(slip.startswith("slip -") for slip in slips.values())
        await driven.press("escape")
        await driven.pass_ms(250)
        assert len(driven.link.requests[-1].books) == (1 if size[0] == 80 else 4)


async def test_a_close_says_what_it_would_cost() -> None:
    async with cockpit(view(positions=POSITIONS[1:2])) as driven:
        await driven.press("c")
        await driven.pass_ms(250)
        whole = re.search(r"slip -(\S+),", driven.text)
        await driven.press("escape", "C")
        await driven.pass_ms(250)
        half = re.search(r"slip -(\S+),", driven.text)
        assert whole and half and D(half[1]) < D(whole[1])


@pytest.mark.parametrize(
    ("half", "hindrance", "said"),
    [
        (D(2028), "", "BUY 2,028 at market, reduce-only"),
        (None, "", "BUY about 2,028.5 at market"),
        (D(0), "an exit is under way already", "nothing would be closed: an exit is under way already"),
    ],
)
async def test_half_is_what_the_engine_says_it_would_send(half: D | None, hindrance: str, said: str) -> None:
    held = position("ADAUSDT", Side.SELL, "4057", "0.8120", 0.8061, digits=4)
    held = replace(held, half=half, no_half=hindrance)
    async with cockpit(view(positions=(held,))) as driven:
        await driven.press("C")
        await driven.pass_ms(250)
        assert said in driven.text
        before = len(driven.sent)
        assert ("y yes" in driven.text) == (not hindrance)
        await driven.press("y")
        await driven.pass_ms(250)
        assert driven.sent[before:] == ([] if hindrance else [ClosePosition(symbol="ADAUSDT", half=True)])
        assert (said in driven.text) == bool(hindrance)


async def test_a_yes_on_its_way_to_a_half_that_was_none_closes_nothing_once_there_is_one() -> None:
    held = position("ADAUSDT", Side.SELL, "4057", "0.8120", 0.8061, digits=4)
    none = replace(held, half=D(0), no_half="an exit is under way already")
    async with cockpit(view(positions=(none,))) as driven:
        await driven.press("C")
        await driven.pass_ms(1_000)
        await driven.show(view(positions=(replace(held, half=D(2028)),)))
        assert "BUY 2,028 at market" in driven.text
        before = len(driven.sent)
        await driven.press("y", apart_ms=390)
        assert len(driven.sent) == before
        await driven.press("y")
        assert driven.sent[before:] == [ClosePosition(symbol="ADAUSDT", half=True)]


@pytest.mark.parametrize("key", ["c", "C"])
async def test_a_position_that_is_gone_meanwhile_is_not_offered_for_closing(key: str) -> None:
    held = position("ADAUSDT", Side.SELL, "4057", "0.8120", 0.8061, digits=4)
    async with cockpit(view(positions=(held,))) as driven:
        await driven.press(key)
        await driven.pass_ms(1_000)
        before = len(driven.sent)
        await driven.show(view(positions=()))
        assert "nothing would be closed: the position is gone" in driven.text
        await driven.press("y")
        assert len(driven.sent) == before
        assert "the position is gone" in driven.text


def test_slippage_is_measured_from_the_middle_of_the_book_down_the_levels_that_are_needed() -> None:
    book = BOOKS["SOLUSDT"]
    (best, size), (second, _) = book.bids[:2]
    middle = (best + book.asks[0][0]) / 2
    found = slippage(book, Side.SELL, D(str(size + 10)))
    assert found is not None
    assert found[0] == pytest.approx(((middle - best) * size + (middle - second) * 10) * 0.01)
    assert slippage(book, Side.SELL, D(10**9)) is None
    assert slippage(replace(book, valid=False), Side.BUY, D(1)) is None
