"""Losses in a row pause a strategy: once each, on its own, and across restarts."""

from shield_words import MINUTE_NS, NOW_NS, quote, signal, trade
from swan_corpus import Desk

from nexus_engine.model.effects import Notify, Record
from nexus_engine.model.facts import GuardTripped, LockSet, Noted
from nexus_engine.model.ledger import Ledger


def lose(desk: Desk, intent: int, strategy: str = "harpoon", pnl: str = "-1", at_ns: int = NOW_NS) -> list[str]:
    """Close one trade and let the Shield look. Returns what it recorded."""
    trade(desk.ledger, intent, "SOLUSDT", pnl, strategy)
    return look(desk, strategy, at_ns)


def look(desk: Desk, strategy: str = "harpoon", at_ns: int = NOW_NS) -> list[str]:
    desk.effects.clear()
    desk.shield.streak(desk.turn(at_ns), strategy)
    return [type(effect.fact).__name__ for effect in desk.effects if isinstance(effect, Record)]


def test_the_fifth_loss_in_a_row_pauses_the_strategy_for_an_hour() -> None:
    desk = Desk()
    for intent in range(1, 5):
        assert lose(desk, intent) == []
    assert lose(desk, 5) == [GuardTripped.__name__, LockSet.__name__, Noted.__name__]
    assert any(isinstance(effect, Notify) for effect in desk.effects)
    lock = desk.ledger.locks["streak:harpoon"]
    assert lock.until_ns == NOW_NS + 60 * MINUTE_NS
    assert lock.reason == "5 losses in a row, the last was P5"


def test_a_win_between_the_losses_starts_the_count_again() -> None:
    desk = Desk()
    for intent, pnl in enumerate(("-1", "-1", "-1", "-1", "1", "-1", "-1", "-1", "-1"), start=1):
        assert lose(desk, intent, pnl=pnl) == []
    assert desk.ledger.locks == {}


def test_one_strategys_losses_do_not_pause_another() -> None:
    desk = Desk()
    for intent in range(1, 5):
        lose(desk, intent, "harpoon")
    for intent in range(5, 9):
        assert lose(desk, intent, "shark") == []
    assert lose(desk, 9, "shark") != []
    assert set(desk.ledger.locks) == {"streak:shark"}


def test_the_same_losing_trade_counts_once_also_after_a_restart() -> None:
    desk = Desk()
    for intent in range(1, 6):
        lose(desk, intent)
    until_ns = desk.ledger.locks["streak:harpoon"].until_ns
    again = Desk()
    again.ledger = desk.ledger
    for desk_now in (desk, again):
        assert look(desk_now, at_ns=NOW_NS + 30 * MINUTE_NS) == []
    assert again.ledger.locks["streak:harpoon"].until_ns == until_ns


def test_a_further_loss_after_the_pause_pauses_again() -> None:
    desk = Desk()
    for intent in range(1, 6):
        lose(desk, intent)
    later_ns = NOW_NS + 61 * MINUTE_NS
    assert lose(desk, 6, at_ns=later_ns) != []
    assert desk.ledger.locks["streak:harpoon"].until_ns == later_ns + 60 * MINUTE_NS


def test_a_second_run_of_as_many_losses_pauses_again() -> None:
    desk = Desk()
    for intent in range(1, 6):
        lose(desk, intent)
    lose(desk, 6, pnl="5")
    for intent in range(7, 11):
        assert lose(desk, intent) == []
    assert lose(desk, 11, at_ns=NOW_NS + 90 * MINUTE_NS) != []


def test_the_pause_comes_back_from_the_journal() -> None:
    desk = Desk()
    for intent in range(1, 6):
        lose(desk, intent)
    restarted = Desk()
    restarted.ledger = Ledger().fold(effect.fact for effect in desk.effects if isinstance(effect, Record))
    turn = restarted.turn(NOW_NS + MINUTE_NS)
    verdicts = restarted.shield.judge_signal(turn, signal(), quote(), quote("BTCUSDT"))
    assert [verdict.guard for verdict in verdicts if verdict.refuses] == ["streak"]
