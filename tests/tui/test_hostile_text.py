"""Text from outside is shown as text: no markup, no escape, no trick for the eye."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from tui_driving import cockpit
from tui_views import BOOKS, EVENTS, FEEDS, GAUGES, POSITIONS, account, card, event, halted, view

from nexus_engine.model.signals import Leave
from nexus_engine.model.verdicts import Reading, Verdict
from nexus_engine.model.view import BookMark, Difference, View, WatchRow, Why
from nexus_engine.model.words import Ruling
from nexus_tui.safe import plain

CORPUS = (
    "[bold red]X[/]",
    "bad [/b] close",
    "[@click=app.quit]press[/]",
    "\x1b[2J\x1b[H",
    "\x1b]52;c;ZWNobyBoaQ==\x07",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\x00b\x08\x7f",
    "line\nbreak\r\x0b\x0c\x85\u2028\u2029",
    "\u202egnp.exe\u202c",
    "\u2066\u2069\u200b\u200d\ufeff\u00ad",
    "e\u0301\u0327\u20dd" * 40,
    "\ud800",
    "\U000e0041\U000e0042",
    "交易所" * 60,
    "𝕏" * 500,
    "$variable {braces} %s \\",
)


def everywhere(text: str) -> View:
    """A View in which every foreign field is `text`."""
    number = BOOKS["SOLUSDT"]
    held = halted().account
    return view(
        account=account(
            name=text, blocked=text, latches=tuple(replace(latch, by=text, reason=text) for latch in held.latches)
        ),
        sentinel_reason=text,
        problem=text,
        gauges=tuple(replace(each, label=text, unit=text) for each in GAUGES),
        feeds=tuple(replace(each, name=text) for each in FEEDS),
        proposals=(card(reasons=(text, text), strategy=text, symbol=text), card(42, strategy=text, symbol=text)),
        positions=tuple(replace(each, symbol=text + str(i), by=text) for i, each in enumerate(POSITIONS)),
        foreign=((text, POSITIONS[0].qty),),
        books=(replace(number, symbol=text, marks=(BookMark(price=number.tick * 14_820, label=text),)),),
        watch=tuple(
            WatchRow(symbol=text, last=1.0, price_digits=2, change_pct=0.0, regime="RANGE", confidence=0.5, age_ms=1)
            for _ in range(2)
        ),
        events=tuple(replace(each, subject=text, by=text, text=text) for each in EVENTS),
        outcome=event(1, text, text, text),
        funnel=((text, 1),),
    )


async def test_foreign_text_is_only_text() -> None:
    async with cockpit(size=(200, 50)) as driven:
        await driven.press("tab", "j")
        for text in CORPUS:
            await driven.show(everywhere(text))
            await driven.press("j")
            for opener in ("q", "F", "r", "c") if text in CORPUS[::5] else ():
                await driven.press(opener)
                check(driven.text, 200)
                await driven.press("escape")
            assert "cannot be shown" not in driven.text, text
        assert driven.app.return_value is None
        assert driven.sent == []


async def test_foreign_text_is_only_text_on_a_small_screen() -> None:
    async with cockpit() as driven:
        for text in CORPUS:
            await driven.show(everywhere(text))
            check(driven.text, 80)
            assert "cannot be shown" not in driven.text, text


def check(text: str, width: int) -> None:
    for row in text.split("\n"):
        assert cell_len(row) == width
        assert not {char for char in row if ord(char) < 32 or 0x7F <= ord(char) < 0xA0}
        assert not set(row) & set("\u202e\u202c\u2066\u2069\u200b\u200d\ufeff\u2028\u2029")


async def test_markup_stays_visible() -> None:
    async with cockpit(view(events=(event(1, "[b]P39[/b]", "bot", "[BTCUSDT] filled [/x]"),))) as driven:
        assert "[BTCUSDT] filled [/x]" in driven.text


@given(st.text())
def test_plain_text_is_one_printable_line_of_limited_length(text: str) -> None:
    made = plain(text, 50)
    assert made.isprintable() or not made
    assert len(made) <= 50
    assert plain(made, 50) == made


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=50))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert plain(text, 50) == text


@pytest.mark.parametrize("text", CORPUS)
async def test_foreign_text_is_only_text_on_the_pages(text: str) -> None:
    """Why, edit, stop, reconcile, find and flatten, as the engine or the venue could name things."""
    number = POSITIONS[0]
    difference = Difference(symbol=text, venue=number.qty, ours=number.qty, entry=number.qty, price=1.0, price_digits=2)
    base = everywhere(text)
    readings = (Reading(text, 1.0, 2.0, text),)
    signal = base.proposals[0].proposal.signal
    signal = replace(signal, readings=readings, regime=replace(signal.regime, readings=readings))
    refused = Verdict(guard=text, ruling=Ruling.REFUSE, reason=text, inputs=readings)
    why = Why(
        title=text, signal=signal, verdicts=(refused,), outcome=text, notes=(event(1, text, text, text),),
        leave=Leave(reasons=(text,), readings=readings),
    )  # fmt: skip
    picture = replace(base, differences=(difference,), why=why)
    async with cockpit(picture) as driven:
        assert "Venue and journal differ" in driven.text
        for keys in (("a", "1", "escape"), ("c", "x", "escape"), ("escape", "enter"), ("escape", "e", "2", "s", "1"),
                     ("escape", "slash", "a"), ("escape", "tab", "s", "1"), ("escape", "F", "tab")):  # fmt: skip
            for key in keys:
                await driven.press(key)
                await driven.show(picture)
                check(driven.text, 80)
                assert "cannot be shown" not in driven.text
        assert driven.app.return_value is None
        assert driven.sent == []
