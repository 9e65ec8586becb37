"""Looking closer: why, reconcile, zoom, holding still, candles, finding a symbol, a picture."""

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import POSITIONS, account, card, event, position, view

from nexus_engine.model.commands import Adopt, CloseForeign
from nexus_engine.model.config import Directive
from nexus_engine.model.orders import Order
from nexus_engine.model.signals import Leave, RegimeView
from nexus_engine.model.verdicts import Reading, Verdict
from nexus_engine.model.view import Difference, View, Why
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Regime, Ruling, Side
from nexus_tui.screens.cockpit import Cockpit
from nexus_tui.screens.eyes import TIMEFRAMES
from nexus_tui.screens.reconcile import judge
from nexus_tui.screens.stop import judge_stop
from nexus_tui.screens.why import page

D = Decimal
XRP = Difference(symbol="XRPUSDT", venue=D(50), ours=D(0), entry=D("2.4000"), price=2.4411, price_digits=4)


def explained(title: str = "P41 SELL SOLUSDT, waiting", guards: int = 6) -> Why:
    signal = replace(
        card().proposal.signal,
        readings=(Reading("ADX", 31.2, 25.0), Reading("against BTC", -2.1, -1.5, "%")),
        regime=RegimeView(
            regime=Regime.TREND_DOWN, confidence=0.71, readings=(Reading("trend rank", 0.83, 0.7),)
        ),
    )  # fmt: skip
    order = Order(
        client_id="nx", symbol="SOLUSDT", side=Side.SELL, kind=OrderKind.LIMIT, leg=Leg.ENTRY, intent=41, qty=D("12.4"),
        price=D("148.20"), status=OrderStatus.FILLED, filled=D("12.4"), created_ns=0, changed_ns=0, by="you",
    )  # fmt: skip
    verdicts = [
        Verdict(guard=f"guard{i}", ruling=Ruling.ALLOW, inputs=(Reading("spread", 1.3, 8.0, "bp"),))
        for i in range(guards)
    ]
    refused = Verdict(
        guard="exposure", ruling=Ruling.REFUSE, reason="38 of 40%", inputs=(Reading("total", 38, 40, "%"),)
    )
    return Why(
        title=title, signal=signal, verdicts=(*verdicts, refused), outcome="proposed", orders=(order,),
        notes=(event(60, "SOLUSDT", "bot", "stop confirmed"),),
    )  # fmt: skip


def test_why_shows_what_its_strategy_left_it_for_with_the_numbers() -> None:
    leave = Leave(
        reasons=("close under the 10-bar channel",), readings=(Reading("beyond the channel", 0.42, 0.0, "%"),)
    )
    rows = ["".join(text for text, _ in row) for row in page(replace(explained(), leave=leave))]
    at = rows.index(" left by its strategy")
    assert rows[at + 1].strip() == "close under the 10-bar channel"
    assert "beyond the channel" in rows[at + 2] and "0.42 vs 0 %" in rows[at + 2]
    assert " left by its strategy" not in ["".join(text for text, _ in row) for row in page(explained())]


async def answer(driven: object, picture: View) -> None:
    """What an engine gives that was asked: the second picture is surely of the new question."""
    await driven.show(picture)  # type: ignore[attr-defined]
    await driven.show(picture)  # type: ignore[attr-defined]


# ---- why -------------------------------------------------------------------------------------------------------------


async def test_why_shows_features_limits_regime_guards_and_orders_and_scrolls_on_80x24() -> None:
    async with cockpit() as driven:
        await driven.press("enter")
        assert driven.link.requests[-1].why == "P41"
        assert "asking about P41" in driven.text
        await answer(driven, view(why=explained()))
        seen = driven.text
        for _ in range(8):
            await driven.press("pagedown")
            seen += driven.text
        for part in ("ADX", "31.2 vs 25", "regime TREND_DOWN 71%", "trend rank", "guard5", "1.3 of 8 bp",
                     "refuses exposure", "38 of 40%", "entry SELL 12.4 at 148.20: filled",
                     "stop confirmed"):  # fmt: skip
            assert part in seen
        assert "LIVE main" in driven.row(1)
        assert "HALT" in driven.row(-1)
        await driven.press("enter")
        assert isinstance(driven.app.screen, Cockpit)
        await driven.pass_ms(0)
        assert driven.link.requests[-1].why == ""
        assert driven.sent == []


async def test_why_of_a_position_and_of_a_line_of_the_events() -> None:
    async with cockpit() as driven:
        await driven.press("tab", "enter")
        assert driven.link.requests[-1].why == "P38"
        await driven.press("escape", "tab", "j", "enter")
        second = sorted(view().events, key=lambda each: -each.at_ns)[1]
        assert driven.link.requests[-1].why == f"@{second.at_ns} {second.subject} {second.text}"


async def test_why_does_not_show_the_answer_to_another_question() -> None:
    async with cockpit(view(why=explained("P40 of before"))) as driven:
        await driven.press("enter")
        assert "P40 of before" not in driven.text
        await answer(driven, view(why=None))
        assert "nothing more is kept of P41" in driven.text


async def test_a_card_under_a_page_is_not_read() -> None:
    async with cockpit(view(proposals=())) as driven:
        await driven.press("question_mark")
        await driven.show(view(proposals=(card(),)))
        await driven.pass_ms(900)
        await driven.press("escape")
        await driven.press("a", apart_ms=200)
        assert driven.sent == []
        await driven.arm()
        await driven.press("a")
        assert len(driven.sent) == 1


# ---- reconcile -------------------------------------------------------------------------------------------------------


async def test_a_start_that_finds_something_foreign_asks_once() -> None:
    async with cockpit(view(differences=(XRP,))) as driven:
        assert "Venue and journal differ" in driven.text
        await driven.press("enter")
        await driven.show(view(differences=(XRP,)))
        assert isinstance(driven.app.screen, Cockpit)
        assert driven.sent == []


async def test_what_turns_up_later_only_counts() -> None:
    async with cockpit() as driven:
        await driven.pass_ms(16_000)
        await driven.show(view(differences=(XRP,)))
        assert isinstance(driven.app.screen, Cockpit)


async def test_adopting_needs_a_stop_on_the_losing_side() -> None:
    async with cockpit(view(differences=(XRP,))) as driven:
        await driven.press("a", *"2.50", "enter")
        assert "it would fill at once" in driven.text
        await driven.press(*["backspace"] * 4, *"2.30", "enter")
        assert driven.sent == [Adopt(symbol="XRPUSDT", qty=D(50), stop=D("2.30"))]
        assert isinstance(driven.app.screen, Cockpit)


async def test_adopting_shows_where_it_would_be_liquidated_and_takes_no_stop_beyond_that() -> None:
    near = replace(XRP, liquidation=D("2.2000"))
    async with cockpit(view(differences=(near,))) as driven:
        await driven.press("a", *"2.20", "enter")
        assert "liquidated at 2.2000" in driven.text
        assert "beyond its liquidation at 2.2000: it would never fill" in driven.text
        await driven.press("backspace", "1", "enter")
        assert driven.sent == [Adopt(symbol="XRPUSDT", qty=D(50), stop=D("2.21"))]


async def test_adopting_follows_the_market_while_a_stop_is_typed() -> None:
    async with cockpit(view(differences=(XRP,))) as driven:
        await driven.press("a", *"2.30")
        assert "now 2.4411" in driven.text and "stop 2.30, -7.06 from here" in driven.text
        await driven.show(view(differences=(replace(XRP, price=2.2911),)))
        assert "now 2.2911" in driven.text and "it would fill at once" in driven.text
        await driven.press("enter")
        assert driven.sent == []


async def test_closing_what_is_not_ours_needs_its_name() -> None:
    two = (XRP, replace(XRP, symbol="LINKUSDT", venue=D(-3)))
    async with cockpit(view(differences=two)) as driven:
        await driven.press("j", "c", *"flat", "enter")
        assert driven.sent == []
        await driven.press("c", *"linkusdt", "enter")
        assert driven.sent == [CloseForeign(symbol="LINKUSDT", qty=D(-3), word="linkusdt")]


async def test_what_moves_at_the_venue_moves_on_the_page_and_only_the_foreign_part_is_offered() -> None:
    two = (XRP, replace(XRP, symbol="LINKUSDT", venue=D(12), ours=D(0)))
    async with cockpit(view(differences=two)) as driven:
        await driven.press("j")
        await driven.show(view(differences=(replace(two[1], venue=D(-500), ours=D(-20)),)))
        await driven.press("c")
        assert "BUY 480 LINKUSDT at market" in driven.text
        await driven.press(*"linkusdt", "enter")
        assert driven.sent == [CloseForeign(symbol="LINKUSDT", qty=D(-480), word="linkusdt")]


# ---- zoom, holding still ---------------------------------------------------------------------------------------------


async def test_a_zoomed_pane_has_the_body_and_the_fixed_rows_stay() -> None:
    async with cockpit() as driven:
        await driven.press("tab", "z")
        assert "Positions" in driven.row(3)
        assert "Proposals" not in driven.text
        assert "LIVE main" in driven.row(1)
        assert "HALT" in driven.row(-1)
        seen = set()
        for _ in range(12):
            await driven.press("tab")
            seen.add(driven.row(3).split()[1])
        assert {"Watchlist", "Shark", "Shield", "PnL", "Events", "Proposals"} <= seen
        await driven.press("1")
        assert "Proposals" in driven.text
        assert "Positions" in driven.text


async def test_nothing_is_approved_that_is_zoomed_away() -> None:
    async with cockpit() as driven:
        await driven.arm()
        await driven.press("tab", "z", "a")
        await driven.arm()
        await driven.press("a")
        assert driven.sent == []
        await driven.press("z")
        await driven.press("a", apart_ms=100)
        assert driven.sent == []
        await driven.arm()
        await driven.press("a")
        assert len(driven.sent) == 1


async def test_a_picture_held_still_approves_nothing_and_rows_one_and_two_live() -> None:
    async with cockpit(view(proposals=(card(),))) as driven:
        await driven.arm()
        await driven.press("space")
        moved = view(proposals=(card(41, limit="147.90"),), account=account(day_pnl=-77.0))
        await driven.show(moved)
        assert "-77.00" in driven.row(1)
        assert "limit 148.20" in driven.text
        assert "held still" in driven.row(-2)
        await driven.arm()
        await driven.press("a")
        assert driven.sent == []
        await driven.press("space")
        assert "limit 147.90" in driven.text
        await driven.press("a", apart_ms=100)
        assert driven.sent == []


# ---- candles, symbols, pictures --------------------------------------------------------------------------------------


async def test_brackets_change_the_candles_interval_and_stop_at_the_ends() -> None:
    async with cockpit(size=(120, 40)) as driven:
        await driven.press("left_square_bracket")
        assert driven.link.requests[-1].chart == ("SOLUSDT", TIMEFRAMES[0])
        await driven.press(*["right_square_bracket"] * len(TIMEFRAMES))
        assert driven.link.requests[-1].chart == ("SOLUSDT", TIMEFRAMES[-1])


def test_every_interval_that_is_offered_is_streamed() -> None:
    from nexus_engine.core.engine import Engine
    from nexus_engine.model.ledger import Ledger

    assert set(TIMEFRAMES) <= set(Engine(Directive(), Ledger()).intervals)


async def test_a_symbol_is_found_by_a_part_of_its_name() -> None:
    async with cockpit() as driven:
        await driven.press("slash", *"aa")  # letters repeat in a line of text
        assert "none of that name" in driven.text
        await driven.press(*["backspace"] * 2, *"ada", "enter")
        assert driven.cockpit.symbol == "ADAUSDT"
        await driven.press("slash", "down", "enter")
        assert driven.cockpit.symbol == "ETHUSDT"
        assert driven.sent == []


async def test_a_picture_is_saved_beside_the_log(tmp_path: Path) -> None:
    async with cockpit(log_path=tmp_path / "cockpit.log") as driven:
        await driven.press("q", "ctrl+g")
        assert "picture saved" in driven.row(-2)
    found = list(tmp_path.glob("nexus-*.svg"))  # noqa: ASYNC240 the cockpit has ended
    assert len(found) == 1
    assert "<svg" in found[0].read_text()


async def test_a_picture_that_cannot_be_saved_says_why(tmp_path: Path) -> None:
    async with cockpit(log_path=tmp_path / "missing" / "cockpit.log") as driven:
        await driven.press("ctrl+g")
        assert "no picture" in driven.row(-2)


@pytest.mark.parametrize("key", ["f10", "ctrl+x"])
@pytest.mark.parametrize("opener", ["enter", "e", "slash", "s"])
async def test_halt_works_over_every_page(opener: str, key: str) -> None:
    async with cockpit(view(positions=(position(),))) as driven:
        await driven.press(opener)
        assert not isinstance(driven.app.screen, Cockpit)
        await driven.press(key)
        assert len(driven.sent) == 1


def test_a_stop_with_more_decimals_than_a_price_is_bad_while_it_is_typed() -> None:
    held = replace(POSITIONS[0], price=148.21, price_digits=2, entry=D("147.00"), stop=D("145.00"), liquidation=None)
    for stop, good in ((D("146.005"), False), (D("146.01"), True), (D("146.0100"), True)):
        assert judge_stop(held, stop)[1] is good
    assert [judge(XRP, Side.BUY, stop)[1] for stop in (D("2.30005"), D("2.3000"))] == [False, True]
