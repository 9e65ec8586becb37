"""Screen 2: every guard, the way to an order, the audit of stops, the last trip; and the drill that starts from it."""

from decimal import Decimal
from itertools import product

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from test_screens import SIZES, compare
from tui_driving import Driven, cockpit
from tui_views import GUARDS, NOW, POSITIONS, STAGES, STRESS, TRIP, guard, shielded, view

from nexus_engine.model.commands import RearmSwan
from nexus_engine.model.drills import DRILLS
from nexus_engine.model.view import GuardView, StressView, View
from nexus_engine.model.words import Sentinel
from nexus_tui import child
from nexus_tui.layout import SHIELD, plan
from nexus_tui.screens import drill
from nexus_tui.screens.drill import DrillPage
from nexus_tui.widgets.positions import heading
from nexus_tui.widgets.rows import Row, length
from nexus_tui.widgets.shield import Audit, Funnel, Guards, LastTrip, _guard

BLIND = tuple(replace(each, state="BLIND", age_ms=41_000) if each.name.startswith("BTC") else each for each in GUARDS)
IDLE = tuple(replace(each, passed=0, stopped=0, reason="", at_ns=0) for each in STAGES)
LOCKED = (
    *(replace(each, state="LOCKED") if "trip" in each.name else each for each in GUARDS),
    guard("swan", 43.0, 0.0, "min", "LOCKED", reason="BTCUSDT fell 4.1 % under its 15 min high", until_ns=1),
    guard("HALT", 0.0, 0.0, "", "LATCHED", reason="by you: key"),
)


async def painted(driven: Driven) -> None:
    """Until the cockpit is drawn again under a dialog that has just come."""
    while "LIVE main" not in driven.row(1) or len(driven.app.screen_stack) != 2:
        await driven.pilot.pause(0.01)


def in_trouble() -> View:
    naked = replace(POSITIONS[0], stop_state="NAKED", stop=None, naked_ms=800)
    larger = replace(POSITIONS[1], stop_qty=POSITIONS[1].qty * 2)
    return shielded(guards=LOCKED, positions=(naked, larger, POSITIONS[2]), sentinel=Sentinel.BLACK_SWAN)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_shield_page(size: tuple[int, int]) -> None:
    async with cockpit(shielded(), size=size) as driven:
        await driven.press("2")
        await driven.pass_ms(5_000)
        await driven.show(shielded())
        compare(f"shield-{size[0]}x{size[1]}", driven.text)
        assert driven.row(1).startswith(" LIVE main")
        assert "Sentinel" in driven.row(2)
        assert "HALT" in driven.row(-1)


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("trouble", in_trouble()),
        ("blind", shielded(guards=BLIND, sentinel=Sentinel.BLIND)),
        ("quiet", shielded(trips=(), stages=IDLE, positions=(), stress=StressView())),
        ("foreign", shielded(foreign=(("XRPUSDT", Decimal(50)),), stress=replace(STRESS, foreign=1, in_flight=1))),
    ],
)
async def test_other_pictures_of_it(name: str, picture: View) -> None:
    async with cockpit(picture) as driven:
        await driven.press("2")
        await driven.pass_ms(5_000)
        await driven.show(picture)
        compare(f"shield-{name}-80x24", driven.text)


async def test_what_acts_or_is_blind_is_never_among_what_does_not_fit() -> None:
    async with cockpit(in_trouble()) as driven:
        await driven.press("2")
        for word in ("LOCKED", "LATCHED", "NAKED", "closed 2 of 3"):
            assert word in driven.text


async def test_it_is_asked_for_only_while_it_is_looked_at_and_one_leads_back() -> None:
    async with cockpit(shielded()) as driven:
        await driven.arm()
        before = driven.text
        assert not driven.cockpit.request().shield
        await driven.press("2")
        assert driven.cockpit.request().shield
        await driven.press("z")
        assert "Why no trade?" not in driven.text
        await driven.press("tab")
        assert "Why no trade?" in driven.text
        await driven.press("z", "1")
        assert not driven.cockpit.request().shield
        await driven.pass_ms(5_000)
        await driven.arm()
        await driven.show(shielded())
        assert driven.text.splitlines()[3:-2] == before.splitlines()[3:-2]


async def test_a_card_that_is_not_in_sight_is_not_approved() -> None:
    async with cockpit(shielded()) as driven:
        await driven.arm()
        await driven.press("2", "a")
        assert driven.sent == []
        assert "not in sight" in driven.row(-2)


async def test_longs_are_let_in_again_by_the_typed_word_alone() -> None:
    async with cockpit(in_trouble()) as driven:
        await driven.press("2", "r")
        assert "Re-arm after a black swan" in driven.text
        await driven.press("n", "o", "enter")
        assert driven.sent == []
        await driven.press("r", *"swan", "enter")
        assert driven.sent == [RearmSwan(word="swan")]


async def test_the_table_of_what_followed_stands_in_the_help() -> None:
    async with cockpit() as driven:
        await driven.arm()
        await driven.press("colon", *"history", "enter")
        await painted(driven)
        compare("shield-history-80x24", driven.text)


async def test_what_each_drill_rehearses_is_read_whole_before_one_is_chosen() -> None:
    async with cockpit() as driven:
        await driven.press("colon", *"drill", "enter")
        await painted(driven)
        assert all(f"{name:<20} {text}" in driven.text for name, text in DRILLS.items())
        assert "…" not in "".join(row for row in driven.text.splitlines() if any(name in row for name in DRILLS))


async def test_a_drill_that_says_nothing_is_told_and_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "sys", type("Sys", (), {"executable": "/bin/false"}))
    async with cockpit() as driven:
        await driven.press("colon", *"drill", "enter")
        await painted(driven)
        assert "this account is not touched" in driven.text
        await driven.press("2")
        page = driven.app.screen
        assert isinstance(page, DrillPage)
        await driven.app.workers.wait_for_complete()
        await driven.pilot.pause()
        assert "nexus drill has said nothing" in driven.text
        await driven.press("escape")
        assert driven.sent == []


async def test_what_a_drill_found_is_shown() -> None:
    found = {
        "trips": [{"at": "2026-01-01T01:19:09.000Z", "drop_pct": 4.0, "window_s": 900}], "longs_open": 4,
        "longs_closed": 4, "exit_ms_max": 15.4, "closed_ms_max": 23.7, "shorts_touched": 0,
        "longs_opened_while_tripped": 0, "problems": [], "ok": True,
    }  # fmt: skip
    rows = ["".join(text for text, _ in row) for row in drill._told(found)]
    assert rows[0] == " tripped 01:19:09 4.00 % under the 15 min high"
    assert rows[-1] == " as it must be"
    bad = drill._told(found | {"ok": False, "problems": ["4 longs were \x1b[2Jnot closed"]})
    assert "\x1b" not in "".join(text for row in bad for text, _ in row)


async def test_before_the_first_picture_it_waits() -> None:
    async with cockpit(waiting=True) as driven:
        await driven.press("2")
        assert "Guards" in driven.text
        assert TRIP.reason not in driven.text
        await driven.show(view())
        assert "not known: no engine has told" in driven.text


@pytest.mark.parametrize("width", range(80, 201))
def test_every_guards_state_and_every_title_is_whole_at_every_width(width: int) -> None:
    picture = in_trouble()
    plans = plan(width, 35, page=SHIELD)
    for name, pane in (("guards", Guards), ("funnel", Funnel), ("audit", Audit), ("trip", LastTrip)):
        title, rows = pane().build(picture, plans[name].width, 40)
        assert length(title) + 4 <= plans[name].width
        if name == "guards":
            for each, shown in zip(picture.guards, rows, strict=True):
                assert told(shown).endswith(f" {each.state}") and length(shown) == plans[name].width
            number = plans[name].width >= 60
            assert ("3.1 away" in told(rows[1])) is number and ("distance" in told(title)) is number


@pytest.mark.parametrize("height", range(24, 51))
@pytest.mark.parametrize("width", [80, 100, 111])
def test_every_pane_stands_below_the_others_at_every_height(width: int, height: int) -> None:
    plans = plan(width, height - 5, page=SHIELD)
    assert sum(each.height for each in plans.values()) == height - 5
    for name, least in (("guards", 8), ("funnel", 4), ("audit", 3), ("trip", 4)):
        assert plans[name].height >= least
    rows = plans["funnel"].height - 1
    shown = told(Funnel().build(shielded(), width, rows)[1][0])
    assert shown == " stopped by  regime 4  signal 12  shield 5  sizing 0  exposure 2  mode 0" or "ended" in shown


def test_a_distance_of_many_digits_is_not_cut_off() -> None:
    guard = GuardView(name="BTC trip 15m", value=0.174, limit=4.0, unit="%", used=0.04, age_ms=800, state="ok")
    assert "3.8 away" in "".join(text for text, _ in _guard(guard, 80))


def told(shown: Row) -> str:
    return "".join(text for text, _ in shown)


def test_the_heading_of_the_positions_says_what_is_at_stake_as_far_as_there_is_room() -> None:
    picture = shielded()
    assert "stops gap" not in told(heading(picture, 51)) and "risk 166.75" in told(heading(picture, 51))
    assert told(heading(picture, 83)).endswith("all stops at venue")
    wide = told(heading(picture, 140))
    assert wide.endswith("all stops at venue   stops gap x2 -333.50 -1.4%   BTC -10% -112.40 -0.5%")
    rich = replace(picture, account=replace(picture.account, open_pnl=-12_345.67, at_risk=12_345.67))
    for shown, width in product((picture, rich), range(40, 200)):
        assert cell_len(told(heading(shown, width))) <= width - 4


def test_a_fall_that_went_on_is_told_under_its_trip() -> None:
    _, rows = LastTrip().build(
        shielded(trips=(replace(TRIP, further=((TRIP.at_ns, 92_000.0), (NOW, 90_039.0))),)), 80, 3
    )
    assert told(rows[0]) == " 14:13:07 BTCUSDT fell 4.1 % under its 15 min high"
    assert told(rows[1]) == " it went on: 6.7 % under that high at 15:03:07"


def test_many_sound_stops_become_one_line_and_one_that_is_not_sound_is_named() -> None:
    small = replace(POSITIONS[2], stop_qty=POSITIONS[2].qty / 2)
    _, sound = Audit().build(shielded(), 80, 2)
    assert told(sound[0]) == " 3 positions, each stop at the venue in its size, seen 2.0s ago: z lists"
    assert told(sound[1]).startswith(" stops fill -166.75")
    _, unsound = Audit().build(shielded(positions=(small, *POSITIONS[:2])), 80, 2)
    assert "stop closes" in told(unsound[0])


def test_a_stop_of_another_size_is_named_before_what_is_sound() -> None:
    small = replace(POSITIONS[2], stop_qty=POSITIONS[2].qty / 2)
    _, rows = Audit().build(shielded(positions=(*POSITIONS[:2], small)), 59, 2)
    assert [told(each) for each in rows] == [
        " L DOGEUSDT     10,000  stop closes 5,000 at 0.15980, 2.0s", " and 2 more, all ok",
    ]  # fmt: skip
    naked = replace(POSITIONS[0], stop_state="NAKED", naked_ms=800)
    _, rows = Audit().build(shielded(positions=(small, naked, POSITIONS[1])), 59, 2)
    assert "NAKED" in told(rows[0]) and told(rows[1]) == " and 2 more, NOT ALL OK"


async def test_flatten_says_what_keeping_it_all_stakes() -> None:
    async with cockpit(shielded()) as driven:
        await driven.arm()
        await driven.press("F")
        await painted(driven)
        assert "kept: stops fill -166.75  stops gap x2 -333.50  BTC -10% -112.40" in driven.text


async def test_the_selected_proposal_stays_in_sight_where_its_card_does_not() -> None:
    told = "P41 SELL 12.4 SOLUSDT  stop 150.10  worst -26.10"
    async with cockpit(shielded()) as driven:
        assert told not in driven.text.splitlines()[-3]
        for keys, back in (("2", "1"), ("tab", ""), ("z", "z")):
            await driven.press(keys)
            away = keys != "tab"
            assert (told in driven.text.splitlines()[-3]) is away
            assert (" 1 cockpit" in driven.text.splitlines()[-1]) is away
            assert ("approve" in driven.text.splitlines()[-1]) is not away
            if back:
                await driven.press(back)
                assert told not in driven.text.splitlines()[-3]


def test_what_no_engine_was_asked_for_is_not_told_as_nothing() -> None:
    for pane in (LastTrip(), Funnel()):
        told = "".join(text for line in pane.build(view(guards=(), trips=(), stages=()), 70, 9)[1] for text, _ in line)
        assert "not known" in told and "has not tripped" not in told and "nothing has wanted" not in told
