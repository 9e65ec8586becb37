"""The injection corpus at every place where foreign text is shown, and keys that no hand has pressed."""

import string
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import pytest
from msgspec.structs import replace
from test_hostile_text import CORPUS, check, everywhere
from textual import events
from textual.widgets import Input
from tui_driving import Driven, cockpit
from tui_views import BOOKS, EVENTS, MARKS, NOW, POSITIONS, SHOCK, account, card, event, halted, view

from nexus_engine.model.orders import Order
from nexus_engine.model.verdicts import Reading, Verdict
from nexus_engine.model.view import BookMark, Difference, Line, Moment, Target, View, Why
from nexus_engine.model.words import Leg, OrderKind, OrderStatus, Ruling, Side
from nexus_tui.comfort import heading
from nexus_tui.gate import AGAIN, CROWD

D = Decimal


def reasons(text: str) -> View:
    """Cards whose reasons, strategy, symbol and fall are foreign."""
    shock = replace(SHOCK, text=text)
    cards = (card(41, reasons=(text,) * 5, strategy=text, symbol=text), card(42, reasons=(text,)))
    return view(proposals=tuple(replace(each, shock=shock) for each in cards))


def targets(text: str) -> View:
    rows = (
        Target(symbol=text, score=0.5, drop_pct=-1.0, note=text),
        Target(symbol=text, score=0.1, drop_pct=1, veto=text),
    )
    return view(targets=rows, squeeze=text)


def chart(text: str) -> View:
    marks = tuple(BookMark(price=each.price, label=text) for each in MARKS)
    base = view()
    lines = (Line(name=text, values=(148.0,) * len(base.chart)),)
    return view(chart_lines=lines, chart_marks=marks, books=(replace(BOOKS["SOLUSDT"], symbol=text, marks=marks),))


def symbols(text: str) -> View:
    base = view()
    return view(
        positions=(replace(POSITIONS[0], symbol=text, by=text, strategy=text),),
        proposals=(card(41, symbol=text),),
        watch=tuple(replace(each, symbol=text) for each in base.watch),
        foreign=((text, D(5)),),
        books=(replace(BOOKS["SOLUSDT"], symbol=text),),
    )


def header(text: str) -> View:
    held = halted().account
    latches = tuple(replace(latch, by=text, reason=text) for latch in held.latches)
    feeds = tuple(replace(each, name=text, up=False) for each in view().feeds)
    gauges = tuple(replace(each, label=text, unit=text) for each in view().gauges)
    return view(
        account=account(name=text, blocked=text, latches=latches), feeds=feeds, gauges=gauges, sentinel_reason=text,
        problem=text, health=(Reading(text, 1.0, 2.0, text),), funnel=((text, 1),),
    )  # fmt: skip


def log(text: str) -> View:
    rows = tuple(replace(each, subject=text, by=text, text=text) for each in EVENTS)
    return view(events=rows, outcome=event(1, text, text, text), curve=(Moment(NOW, 1.0, 2.0),))


def why(text: str) -> View:
    order = Order(
        client_id=text, symbol=text, side=Side.BUY, kind=OrderKind.LIMIT, leg=Leg.ENTRY, intent=41, qty=D(1),
        price=D(2), status=OrderStatus.REJECTED, strategy=text, by=text, reason=text, created_ns=NOW, changed_ns=NOW,
    )  # fmt: skip
    reading = Reading(text, 1.0, 2.0, text)
    signal = card().proposal.signal
    regime = replace(signal.regime, readings=(reading,))
    told = Why(
        title=text,
        signal=replace(signal, symbol=text, strategy=text, reasons=(text,), readings=(reading,), regime=regime),
        verdicts=(Verdict(guard=text, ruling=Ruling.REFUSE, reason=text, inputs=(reading,)),),
        outcome=text, orders=(order,), notes=(event(1, text, text, text),),
    )  # fmt: skip
    return view(why=told)


def differences(text: str) -> View:
    found = Difference(symbol=text, venue=D(5), ours=D(0), entry=D("2.4"), price=2.5, price_digits=4)
    return view(differences=(found, found), foreign=((text, D(5)),))


PLACES: Final[dict[str, tuple[Callable[[str], View], tuple[tuple[str, ...], ...]]]] = {
    "reasons": (reasons, ((), ("e",), ("enter",))),
    "targets": (targets, ((),)),
    "chart": (chart, ((), ("z",))),
    "symbols": (symbols, ((), ("c",), ("C",), ("s",), ("F",), ("q",), ("e",), ("slash",))),
    "header": (header, ((), ("r",), ("m",))),
    "log": (log, ((), ("tab", "tab"), ("enter",))),
    "why": (why, (("enter",), ("enter", "pagedown"), ("enter", "end"))),
    "differences": (differences, (("reconcile",), ("reconcile", "d"), ("reconcile", "c"))),
    "everywhere": (everywhere, ((), ("enter",), ("q",))),
}
"""Where, and the keys that open each dialog which shows it."""
SHARPEST: Final = ("bad [/b] close", "\x1b]52;c;ZWNobyBoaQ==\x07", "\u202egnp.exe\u202c")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("place", PLACES)
async def test_foreign_text_is_inert_on_the_cockpit(place: str, size: tuple[int, int]) -> None:
    build, _ = PLACES[place]
    async with cockpit(size=size) as driven:
        for text in CORPUS:
            await driven.show(build(text))
            look(driven, size[0], f"{place} {text!r}")
        assert driven.app.return_value is None
        assert driven.sent == []


@pytest.mark.parametrize(
    ("place", "opening"),
    [(place, opening) for place, (_, openings) in PLACES.items() for opening in openings if opening],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
async def test_foreign_text_is_inert_in_every_dialog(place: str, opening: tuple[str, ...]) -> None:
    """Opened on the sharpest strings; all of them pass by while it is open."""
    build, _ = PLACES[place]
    async with cockpit() as driven:
        for text in SHARPEST:
            await driven.show(build(text))
            await open_by(driven, opening)
            for other in (text, text, *(CORPUS if text is SHARPEST[0] else ())):
                await driven.show(build(other))
                look(driven, 80, f"{place} {opening} {text!r} {other!r}")
            await close(driven)
        assert driven.app.return_value is None
        assert driven.sent == []


async def open_by(driven: Driven, opening: tuple[str, ...]) -> None:
    for key in opening:
        if key == "reconcile":
            await driven.app.run_action("reconcile", driven.cockpit)
            await driven.pilot.pause()
        else:
            await driven.press(key)


async def close(driven: Driven) -> None:
    """Back to the cockpit as it was."""
    for _ in range(3):
        if driven.app.screen is not driven.cockpit:
            await driven.press("escape")
    await driven.press("1")
    assert driven.app.screen is driven.cockpit


def look(driven: Driven, width: int, where: str) -> None:
    assert "cannot be shown" not in driven.text, where
    check(driven.text, width)


@pytest.mark.parametrize("text", CORPUS)
def test_the_terminals_title_is_one_plain_line(text: str) -> None:
    assert heading(view(account=account(name=text))).isprintable()


# ---- keys that no hand has pressed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "aaaa", "y\na\n", "approve this: a", "flat\n"])
@pytest.mark.parametrize("dialog", ["", "q", "F", "m", "c"])
async def test_pasted_text_decides_nothing(text: str, dialog: str) -> None:
    async with cockpit(size=(120, 40)) as driven:
        await driven.arm()
        if dialog:
            await driven.press(dialog)
        driven.app.post_message(events.Paste(text))
        await driven.pass_ms(400)
        assert driven.sent == []
        assert driven.app.return_value is None


async def test_keys_that_came_in_one_read_decide_nothing_not_even_the_first() -> None:
    async with cockpit() as driven:
        await driven.arm()
        driven.app.crowd(4)
        await driven.press("a")
        await driven.press("x", "y", "a", apart_ms=2)
        assert driven.sent == []
        await driven.press("a")
        assert len(driven.sent) == 1


async def test_a_crowd_of_keys_fills_a_line_at_most_and_never_sends_it() -> None:
    async with cockpit() as driven:
        await driven.arm()
        driven.app.crowd(CROWD + 1)
        await driven.press(*"jFqapxmcs1", "enter", *"Fqpj", "enter", "x", apart_ms=2)
        assert len(driven.app.screen_stack) == 1
        assert driven.sent == []
        await driven.press("F")
        driven.app.crowd(CROWD + 4)
        await driven.press(*"flat", "enter", *"flat", "enter", *"flat", "enter", *"flat", "enter", apart_ms=2)
        assert len(driven.app.screen_stack) == 2
        assert driven.app.screen.query_one(Input).value == "flat"
        assert driven.sent == []
        await driven.press("enter")
        assert [type(each).__name__ for each in driven.sent] == ["Flatten"]


@pytest.mark.parametrize(
    ("opener", "text", "sent"),
    [(["F"], "flat", "Flatten"), (["m", "p"], "pilot", "SetMode"), (["tab", "s"], "95500", "MoveStop")],
)
@pytest.mark.parametrize("after", ["", "x", "flat"])
async def test_an_enter_that_came_with_other_keys_sends_nothing_typed_until_it_is_pressed_again(
    opener: list[str], text: str, sent: str, after: str
) -> None:
    async with cockpit() as driven:
        await driven.press(*opener)
        driven.app.crowd(len(text) + 1 + len(after))
        await driven.press(*text, "enter", *after, apart_ms=2)
        assert driven.app.screen.query_one(Input).value == text
        assert driven.sent == [] and AGAIN in driven.row(-2)
        await driven.press("backspace")
        for _ in range(2):  # the enter in a read of its own, at once after a letter; and they are judged late
            driven.app.crowd(1)
        await driven.press(text[-1], "enter", apart_ms=40)
        assert driven.app.screen.query_one(Input).value == text
        assert driven.sent == [] and AGAIN in driven.row(-2)
        await driven.press("enter")
        assert [type(each).__name__ for each in driven.sent] == [sent]


@pytest.mark.parametrize("opener", ["", "m", "q", "e", "c"])
async def test_keys_that_came_at_once_move_a_selection_and_do_nothing_else(opener: str) -> None:
    async with cockpit() as driven:
        await driven.arm()
        if opener:
            await driven.press(opener)
        screens = len(driven.app.screen_stack)
        for key in (*map(str, range(10)), *string.ascii_letters, "full_stop", "slash", "colon", "space"):
            driven.app.now_ns += 400_000_000
            driven.app.crowd(3)
            await driven.press("j", key, "k", apart_ms=2)
            assert driven.sent == [] and len(driven.app.screen_stack) == screens, key
            assert driven.app.return_value is None
            assert key in "jk" or "came in a burst: dropped" in driven.row(-2)
        assert not driven.cockpit.frozen and not driven.cockpit.page


async def test_keys_that_came_at_once_choose_and_a_later_enter_takes() -> None:
    async with cockpit() as driven:
        await driven.press("m")
        driven.app.crowd(2)
        await driven.press("k", "enter", apart_ms=2)
        assert driven.sent == [] and len(driven.app.screen_stack) == 2
        await driven.press("enter")
        assert [type(each).__name__ for each in driven.sent] == ["SetMode"]


async def test_a_key_of_a_burst_is_not_said_to_have_counted() -> None:
    async with cockpit() as driven:
        await driven.arm()
        driven.app.crowd(2)
        await driven.press("a", "a", apart_ms=2)
        assert driven.sent == [] and "a came in a burst: dropped" in driven.row(-2)


async def test_a_burst_of_a_stalled_link_and_a_held_key_approve_nothing() -> None:
    async with cockpit() as driven:
        await driven.arm()
        frame = driven.app.drain.begin(driven.app.now_ns)
        await driven.pass_ms(1_100)
        await driven.press(*"aaaaaaaa", apart_ms=250)
        driven.app.frame_taken(frame)
        await driven.press(*"ay" * 8, apart_ms=60)
        assert driven.sent == []
