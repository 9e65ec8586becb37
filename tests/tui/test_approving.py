"""Nobody approves what they have not seen: selection, arming, staleness, repeats and stalls."""

from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import NOW, card, view

from nexus_engine.model.commands import Approve, Halt, Reject
from nexus_engine.model.view import EventRow, View
from nexus_engine.model.words import Level, ProposalStatus, Side

FIRST, SECOND = card(41), card(42, Side.BUY, "6", "LINKUSDT", limit="18.30", stop="18.00", target="19.00")


def with_cards(*cards: object) -> View:
    return view(proposals=cards)


async def test_a_ready_card_is_approved_with_the_hash_of_what_it_shows() -> None:
    async with cockpit() as driven:
        await driven.arm()
        assert "READY" in driven.text
        await driven.press("a")
        assert driven.sent == [Approve(proposal=41, shown=card().shown)]
        assert "P41 approval sent" in driven.row(-2)


async def test_nothing_is_done_to_a_card_that_is_not_in_sight_as_it_is_now() -> None:
    async with cockpit() as driven:
        await driven.arm()
        await driven.press("space")
        await driven.show(with_cards())
        await driven.show(with_cards(SECOND))
        await driven.press("x", "full_stop", "e")
        assert "not in sight as they are now: space first" in driven.row(-2)
        await driven.press("space", "2", "x")
        assert "not in sight as they are now: 1 first" in driven.row(-2)
        assert driven.sent == []
        await driven.press("1", "x")
        assert driven.sent == [Reject(proposal=42)]


async def test_a_card_is_not_believed_to_be_read_in_less_than_700_ms() -> None:
    async with cockpit() as driven:
        await driven.pass_ms(600)
        assert "wait" in driven.text
        await driven.press("a", apart_ms=0)
        assert driven.sent == []
        assert "P41 has just come" in driven.row(-2)
        await driven.press("a", apart_ms=350)
        assert len(driven.sent) == 1


async def test_an_approval_that_the_engine_did_not_take_can_be_given_again() -> None:
    async with cockpit() as driven:
        await driven.arm()
        await driven.press("a", "a")
        assert "P41 is already sent" in driven.row(-2)
        assert len(driven.sent) == 1
        refused = EventRow(at_ns=NOW, level=Level.INFO, subject="P41", by="you", text="P41 not sent: PAUSE by bo")
        await driven.show(view(outcome=refused))
        assert "READY" in driven.text
        await driven.press("a")
        assert driven.sent == [Approve(proposal=41, shown=card().shown)] * 2


async def test_a_held_key_approves_once() -> None:
    async with cockpit() as driven:
        await driven.arm()
        await driven.press("a", "a", "a", "a", apart_ms=30)
        assert len(driven.sent) == 1


async def test_a_card_already_sent_is_not_sent_again() -> None:
    async with cockpit() as driven:
        await driven.arm()
        await driven.press("a", "a")
        assert len(driven.sent) == 1
        assert "SENT" in driven.text


async def test_moved_numbers_are_stale_then_shown_and_only_then_ready() -> None:
    async with cockpit(with_cards(FIRST)) as driven:
        await driven.arm()
        moved = card(41, limit="147.90", status=ProposalStatus.STALE)
        await driven.show(with_cards(moved))
        assert "STALE" in driven.text
        assert "limit 147.90" in driven.text
        await driven.press("a", apart_ms=10)
        assert driven.sent == []
        assert "numbers moved" in driven.row(-2)
        await driven.arm()
        await driven.press("a")
        assert driven.sent == [Approve(proposal=41, shown=moved.shown)]


async def test_the_selection_stays_where_the_hand_put_it() -> None:
    async with cockpit(with_cards(FIRST)) as driven:
        await driven.show(with_cards(FIRST, SECOND))
        assert driven.cockpit.cards.selected == 41
        await driven.press("j")
        assert driven.cockpit.cards.selected == 42
        await driven.show(with_cards(SECOND, FIRST, card(43)))
        assert driven.cockpit.cards.selected == 42
        assert [each.proposal.id for each in driven.cockpit.cards.all] == [41, 42, 43]


async def test_when_the_selected_card_goes_no_other_takes_its_place() -> None:
    async with cockpit(with_cards(FIRST, SECOND)) as driven:
        await driven.arm()
        await driven.show(with_cards(SECOND))
        assert driven.cockpit.cards.selected is None
        await driven.arm()
        await driven.press("a", "x")
        assert driven.sent == []
        assert "no proposal is selected" in driven.row(-2)
        await driven.press("j")
        await driven.arm()
        await driven.press("a")
        assert driven.sent == [Approve(proposal=42, shown=SECOND.shown)]


async def test_x_rejects_the_selected_card_and_nothing_else() -> None:
    async with cockpit() as driven:
        await driven.press("j", "x")
        assert driven.sent == [Reject(proposal=42)]


async def test_a_frame_that_the_terminal_has_not_taken_arms_nothing() -> None:
    async with cockpit(with_cards()) as driven:
        driven.app.drain.begin(driven.app.now_ns)
        await driven.show(with_cards(FIRST))
        await driven.pass_ms(900)
        assert "READY" not in driven.cockpit.cards.badge(driven.app.now_ns)
        await driven.press("a", apart_ms=0)
        assert driven.sent == []


async def test_keys_in_a_stall_and_a_second_after_it_are_dropped_and_that_is_said() -> None:
    async with cockpit() as driven:
        await driven.arm()
        frame = driven.app.drain.begin(driven.app.now_ns)
        await driven.press("a", apart_ms=1_500)
        assert driven.sent == []
        driven.app.frame_taken(frame)
        await driven.press("a", apart_ms=500)
        assert driven.sent == []
        assert "key dropped" in driven.row(-2)
        await driven.show(view())
        await driven.press("a", apart_ms=800)
        assert len(driven.sent) == 1


async def test_halt_is_believed_in_a_stall() -> None:
    async with cockpit() as driven:
        driven.app.drain.begin(driven.app.now_ns)
        await driven.press("f10", apart_ms=3_000)
        assert driven.sent == [Halt(reason="key")]


async def test_what_follows_a_lone_escape_closely_is_the_rest_of_a_sequence() -> None:
    async with cockpit() as driven:
        await driven.arm()
        await driven.press("escape")
        await driven.press("a", apart_ms=50)
        assert driven.sent == []
        await driven.press("a")
        assert len(driven.sent) == 1


async def test_nothing_is_approved_that_a_small_terminal_does_not_show() -> None:
    async with cockpit(size=(70, 20)) as driven:
        await driven.arm()
        await driven.press("a")
        assert driven.sent == []


async def test_a_read_only_cockpit_sends_nothing_but_halt() -> None:
    async with cockpit(read_only=True) as driven:
        await driven.arm()
        await driven.press("a", "x")
        assert driven.sent == []
        await driven.press("exclamation_mark")
        assert driven.sent == [Halt(reason="key")]


async def test_a_decided_proposal_is_no_card() -> None:
    decided = replace(FIRST, proposal=replace(FIRST.proposal, status=ProposalStatus.APPROVED))
    async with cockpit(with_cards(decided)) as driven:
        assert "none now" in driven.text


async def test_with_nothing_selected_the_first_card_is_shown_whole_and_says_how_to_select_it() -> None:
    third = card(43, Side.BUY, "3", "AVAXUSDT", limit="35.10", stop="34.50", target="37.00")
    async with cockpit(with_cards(FIRST, SECOND), size=(120, 40)) as driven:
        await driven.show(with_cards(SECOND, third))
        await driven.arm()
        assert "j selects" in driven.text
        assert "limit 18.30   stop 18.00" in driven.text
        assert "READY" not in driven.text
        assert "▶P42" not in driven.text
        await driven.press("a")
        assert driven.sent == []
        await driven.press("j")
        await driven.arm()
        assert "▶P42" in driven.text
        assert "READY" in driven.text
