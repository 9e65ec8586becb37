"""The outcome of a command goes on with what the venue makes of it, and with nothing else."""

from decimal import Decimal

from nexus_engine.core.notebook import Notebook
from nexus_engine.model.effects import Notify, Record
from nexus_engine.model.facts import ProposalMade, SignalSeen
from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import RegimeView, Signal
from nexus_engine.model.words import Level, Regime, Side

WISH = SignalSeen(
    at_ns=3,
    signal=Signal(
        symbol="ADAUSDT", strategy="flow", side=Side.SELL, price=0.8, limit=0.8, stop_distance=0.01, target=0.7,
        reasons=(), regime=RegimeView(regime=Regime.RANGE, confidence=0.5), risk_pct=0.1, market_ns=3,
    ),
    verdicts=(),
    outcome="refused",
)  # fmt: skip


def told(symbol: str, text: str, by: str = "you", level: Level = Level.INFO) -> Notify:
    return Notify(level=level, subject=symbol, by=by, text=text)


def test_what_a_strategy_wished_for_meanwhile_is_no_outcome_of_a_command() -> None:
    for follows in ("ADAUSDT", ""):
        book = Notebook()
        book.answer(1, "ADAUSDT", "you", "closing 2497 at market", follows=follows)
        book.listen([told("ADAUSDT", "exit of P1: BUY 2497 at 0.7961")], 2)
        book.listen([Record(fact=WISH), told("ADAUSDT", "flow SELL refused: P1 is open")], 3)
        assert book.outcome is not None
        assert book.outcome.text == "closing 2497 at market  exit of P1: BUY 2497 at 0.7961"
        assert len(book.rows) == 2


def test_an_exit_of_the_machines_is_not_told_as_the_persons() -> None:
    book = Notebook()
    book.answer(1, "SOLUSDT", "you", "placing its stop at 138", follows="SOLUSDT")
    book.listen([told("SOLUSDT", "stop 138 confirmed", "bot", Level.GOOD)], 2)
    book.listen([told("SOLUSDT", "exit of P2: SELL 7.61 at 139.16", "sentinel")], 3)
    assert book.outcome is not None
    steps = "stop 138 confirmed  sentinel: exit of P2: SELL 7.61 at 139.16"
    assert book.outcome.text == f"placing its stop at 138  {steps}"


def test_why_a_position_was_left_stays_told_beside_how_it_ended() -> None:
    book = Notebook()
    book.answer(1, "SOLUSDT", "you", "P1 approved", follows="SOLUSDT")
    book.listen([told("SOLUSDT", "no stop confirmed in 2.0 s: closing it", "bot", Level.ALARM)], 2)
    book.listen([told("SOLUSDT", "exit of P1: SELL 7.61 at 139.16", "bot")], 3)
    book.listen([told("SOLUSDT", "P1 closed: -3.10 (-0.1 R)", "bot", Level.WARN)], 4)
    assert book.outcome is not None and book.outcome.level is Level.WARN
    assert book.outcome.text == "P1 approved  no stop confirmed in 2.0 s: closing it  P1 closed: -3.10 (-0.1 R)"


def test_each_position_that_was_flattened_is_in_the_outcome_with_the_last_that_was_said_of_it() -> None:
    book = Notebook()
    book.answer(1, "account", "you", "closing 2 positions at market", follows="")
    for number, symbol in ((1, "ADAUSDT"), (2, "SOLUSDT")):
        book.listen([told(symbol, f"exit of P{number}: BUY 5 at 0.8")], 2)
        book.listen([told(symbol, f"P{number} closed: +1.00 (+0.1 R)")], 3)
    assert book.outcome is not None
    closed = "P1 closed: +1.00 (+0.1 R)  P2 closed: +1.00 (+0.1 R)"
    assert book.outcome.text == f"closing 2 positions at market  {closed}"


def test_what_went_wrong_with_one_of_them_is_said_last_and_colours_the_line() -> None:
    book = Notebook()
    book.answer(1, "account", "you", "closing 2 positions at market", follows="")
    book.listen([Notify(level=Level.ALARM, subject="ADAUSDT", text="exit of P1 REJECTED", by="bot")], 2)
    book.listen([Notify(level=Level.GOOD, subject="SOLUSDT", text="P2 closed: +1.00 (+0.1 R)", by="bot")], 3)
    assert book.outcome is not None
    assert book.outcome.level is Level.ALARM
    assert book.outcome.text.endswith("P2 closed: +1.00 (+0.1 R)  exit of P1 REJECTED")


def made(proposal: int, made_ns: int) -> Record:
    return Record(
        fact=ProposalMade(
            at_ns=5,
            proposal=Proposal(
                id=proposal, symbol="ADAUSDT", side=Side.SELL, strategy="flow", qty=Decimal(1), limit=Decimal(1),
                plan=ExitPlan(stop=Decimal(2)), leverage=1, worst=Decimal(1), worst_pct=0.1, r_multiple=1.0,
                signal=WISH.signal, verdicts=(), made_ns=made_ns, expires_ns=9, expires_mono_ns=9,
            ),
        )
    )  # fmt: skip


def test_what_becomes_of_a_card_that_came_later_is_no_outcome_of_a_command() -> None:
    for follows in ("ADAUSDT", ""):
        book = Notebook()
        book.answer(1, "account", "you", "flatten: closing 1", follows=follows)
        book.listen([told("ADAUSDT", "P1 closed: -44.13 (-0.6 R)")], 2)
        book.listen([Record(fact=WISH), made(2, 3)], 3)
        book.listen([told("ADAUSDT", "P2 expired: price ran away")], 4)
        assert book.outcome is not None
        assert book.outcome.text == "flatten: closing 1  P1 closed: -44.13 (-0.6 R)"


def test_what_becomes_of_a_card_that_was_edited_is_its_outcome_also_once_its_numbers_moved() -> None:
    book = Notebook()
    book.answer(4, "ADAUSDT", "you", "P2 now 1 at 1", follows="ADAUSDT")
    book.listen([made(2, 3)], 5)
    book.listen([told("ADAUSDT", "P2 expired: price ran away")], 6)
    assert book.outcome is not None and book.outcome.text == "P2 now 1 at 1  P2 expired: price ran away"
