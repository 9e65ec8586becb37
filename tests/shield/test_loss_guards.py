"""Losses in a row pause a strategy: once each, on its own, and across restarts. The second pause of a day latches."""

from datetime import UTC, datetime
from decimal import Decimal

from shield_words import MINUTE_NS, NOW_NS, quote, signal, trade
from swan_corpus import Desk

from nexus_engine.core.engine import Engine
from nexus_engine.model.commands import Release
from nexus_engine.model.config import Directive, RiskConfig, ShieldConfig
from nexus_engine.model.effects import Notify, Record
from nexus_engine.model.events import Commanded
from nexus_engine.model.facts import (
    DayOpened,
    GuardTripped,
    LatchSet,
    LockSet,
    Noted,
    PeakSeen,
    StreakTripped,
    WalletSeen,
)
from nexus_engine.model.ledger import Ledger, week_of
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import Latch, Level
from nexus_engine.shield.drawdown import LOOKS
from nexus_engine.shield.streak import limit_of

FIVE = ShieldConfig(loss_streaks={}, loss_streak=5)
DAY_NS = 24 * 60 * MINUTE_NS


def lose(desk: Desk, intent: int, strategy: str = "harpoon", pnl: str = "-1", at_ns: int = NOW_NS) -> list[str]:
    """Close one trade and let the Shield look. Returns what it recorded."""
    trade(desk.ledger, intent, "SOLUSDT", pnl, strategy)
    return look(desk, strategy, at_ns)


def look(desk: Desk, strategy: str = "harpoon", at_ns: int = NOW_NS) -> list[str]:
    desk.effects.clear()
    desk.shield.streak(desk.turn(at_ns), strategy)
    return [type(effect.fact).__name__ for effect in desk.effects if isinstance(effect, Record)]


def test_the_fifth_loss_in_a_row_pauses_the_strategy_for_an_hour() -> None:
    desk = Desk(FIVE)
    for intent in range(1, 5):
        assert lose(desk, intent) == []
    assert lose(desk, 5) == [GuardTripped.__name__, LockSet.__name__, Noted.__name__, StreakTripped.__name__]
    assert any(isinstance(effect, Notify) for effect in desk.effects)
    lock = desk.ledger.locks["streak:harpoon"]
    assert lock.until_ns == NOW_NS + 60 * MINUTE_NS
    assert lock.reason == "5 losses in a row, the last was P5"


def test_a_win_between_the_losses_starts_the_count_again() -> None:
    desk = Desk(FIVE)
    for intent, pnl in enumerate(("-1", "-1", "-1", "-1", "1", "-1", "-1", "-1", "-1"), start=1):
        assert lose(desk, intent, pnl=pnl) == []
    assert desk.ledger.locks == {}


def test_one_strategys_losses_do_not_pause_another() -> None:
    desk = Desk(FIVE)
    for intent in range(1, 5):
        lose(desk, intent, "harpoon")
    for intent in range(5, 9):
        assert lose(desk, intent, "shark") == []
    assert lose(desk, 9, "shark") != []
    assert set(desk.ledger.locks) == {"streak:shark"}


def test_the_same_losing_trade_counts_once_also_after_a_restart() -> None:
    desk = Desk(FIVE)
    for intent in range(1, 6):
        lose(desk, intent)
    until_ns = desk.ledger.locks["streak:harpoon"].until_ns
    again = Desk(FIVE)
    again.ledger = desk.ledger
    for desk_now in (desk, again):
        assert look(desk_now, at_ns=NOW_NS + 30 * MINUTE_NS) == []
    assert again.ledger.locks["streak:harpoon"].until_ns == until_ns


def test_a_further_loss_after_the_pause_pauses_again() -> None:
    desk = Desk(FIVE)
    for intent in range(1, 6):
        lose(desk, intent)
    later_ns = NOW_NS + 61 * MINUTE_NS
    assert lose(desk, 6, at_ns=later_ns) != []
    assert desk.ledger.locks["streak:harpoon"].until_ns == later_ns + 60 * MINUTE_NS


def test_a_second_run_of_as_many_losses_pauses_again() -> None:
    desk = Desk(FIVE)
    for intent in range(1, 6):
        lose(desk, intent)
    lose(desk, 6, pnl="5")
    for intent in range(7, 11):
        assert lose(desk, intent) == []
    assert lose(desk, 11, at_ns=NOW_NS + 90 * MINUTE_NS) != []


def test_the_pause_comes_back_from_the_journal() -> None:
    desk = Desk(FIVE)
    for intent in range(1, 6):
        lose(desk, intent)
    restarted = Desk(FIVE)
    restarted.ledger = Ledger().fold(effect.fact for effect in desk.effects if isinstance(effect, Record))
    turn = restarted.turn(NOW_NS + MINUTE_NS)
    verdicts = restarted.shield.judge_signal(turn, signal(), quote(), quote("BTCUSDT"), Decimal(0))
    assert [verdict.guard for verdict in verdicts if verdict.refuses] == ["streak"]


def test_how_many_losses_it_takes_is_the_strategys_own_number() -> None:
    desk = Desk()
    for intent in range(1, 8):
        assert lose(desk, intent) == []
    assert lose(desk, 8) != []
    other = Desk()
    for intent in range(1, 19):
        assert lose(other, intent, "flow") == []
    assert lose(other, 19, "flow") != []
    assert limit_of(ShieldConfig(), "of your own") == 10


def tripped(desk: Desk, first: int, at_ns: int, strategy: str = "harpoon") -> None:
    for intent in range(first, first + 5):
        lose(desk, intent, strategy, at_ns=at_ns)


def test_the_second_trip_of_a_day_is_a_latch_and_the_first_of_the_next_day_is_not() -> None:
    desk = Desk(FIVE)
    tripped(desk, 1, NOW_NS)
    assert desk.ledger.latches == {}
    later_ns = NOW_NS + 61 * MINUTE_NS
    assert later_ns // DAY_NS == NOW_NS // DAY_NS
    assert LatchSet.__name__ in lose(desk, 6, at_ns=later_ns)
    assert desk.ledger.latches[Latch.BREAKER].reason == "harpoon: 6 losses in a row, the last was P6; trip 2 of the day"
    tomorrow = Desk(FIVE)
    tripped(tomorrow, 1, NOW_NS)
    lose(tomorrow, 6, at_ns=NOW_NS + DAY_NS)
    assert tomorrow.ledger.latches == {}


def test_a_second_strategys_trip_is_the_second_of_the_account() -> None:
    desk = Desk(FIVE)
    tripped(desk, 1, NOW_NS)
    tripped(desk, 6, NOW_NS, "shark")
    assert Latch.BREAKER in desk.ledger.latches


def test_trades_that_were_open_when_it_paused_prolong_the_pause_and_are_no_second_trip() -> None:
    desk = Desk(FIVE)
    tripped(desk, 1, NOW_NS)
    then_ns = NOW_NS + 30 * MINUTE_NS
    assert lose(desk, 6, at_ns=then_ns) == [GuardTripped.__name__, LockSet.__name__, Noted.__name__]
    assert desk.ledger.latches == {}
    assert desk.ledger.locks["streak:harpoon"].until_ns == then_ns + 60 * MINUTE_NS


def test_the_trips_of_a_day_are_counted_once_across_restarts() -> None:
    desk, facts = Desk(FIVE), []
    for intent in range(1, 6):
        lose(desk, intent)
        facts += [effect.fact for effect in desk.effects if isinstance(effect, Record)]
    again = Desk(FIVE)
    again.ledger = Ledger().fold(facts)
    assert again.ledger.trips == desk.ledger.trips
    for intent in range(1, 6):
        trade(again.ledger, intent, "SOLUSDT", "-1")  # what the fills say: the desk's own are not in `facts`
    assert look(again) == []
    assert LatchSet.__name__ in lose(again, 6, at_ns=NOW_NS + 61 * MINUTE_NS)


def test_a_person_who_releases_the_breaker_begins_the_count_anew() -> None:
    desk = Desk(FIVE)
    tripped(desk, 1, NOW_NS)
    lose(desk, 6, at_ns=NOW_NS + 61 * MINUTE_NS)
    engine = Engine(Directive(shield=FIVE), desk.ledger)
    at = {"at_ns": NOW_NS + 70 * MINUTE_NS, "mono_ns": 1}
    engine.on(Commanded(**at, command=Release(latch=Latch.BREAKER, word="yes")))
    assert Latch.BREAKER in desk.ledger.latches
    engine.on(Commanded(**at, command=Release(latch=Latch.BREAKER, word="breaker")))
    assert desk.ledger.latches == {} and desk.ledger.streaks == {} and desk.ledger.locks == {}
    for intent in range(7, 11):
        assert lose(desk, intent, at_ns=at["at_ns"]) == []


# ---- R of the day and of the week ------------------------------------------------------------------------------------


def r_verdicts(desk: Desk, at_ns: int) -> dict[str, Verdict]:
    verdicts = desk.shield.judge_signal(desk.turn(at_ns), signal(), quote(), quote("BTCUSDT"), Decimal(0))
    return {verdict.guard: verdict for verdict in verdicts}


def test_three_r_close_the_day_and_six_the_week() -> None:
    desk = Desk()
    for intent in (1, 2, 3):
        trade(desk.ledger, intent, "ETHUSDT", "-1")  # the stop is 1 away: 1 R each
    today = r_verdicts(desk, NOW_NS)
    assert today["day R"].refuses and not today["week R"].refuses
    assert today["day R"].reason == "the day has lost 3.0 R, limit 3 R, until 00:00 UTC"
    midnight_ns = (NOW_NS // DAY_NS + 1) * DAY_NS
    assert today["day R"].until_ns == midnight_ns
    assert not r_verdicts(desk, midnight_ns)["day R"].refuses
    for intent in (4, 5, 6):
        trade(desk.ledger, intent, "ETHUSDT", "-1")
    week = r_verdicts(desk, NOW_NS)["week R"]
    assert week.refuses and week.until_ns is not None
    assert datetime.fromtimestamp(week.until_ns / 1e9, UTC).strftime("%a %H:%M") == "Mon 00:00"
    assert not r_verdicts(desk, week.until_ns)["week R"].refuses
    assert r_verdicts(desk, week.until_ns - 1)["week R"].refuses


def test_the_week_is_the_iso_week() -> None:
    for day in range(19_000, 19_800):
        moment = datetime.fromtimestamp(day * 86_400, UTC)
        following = datetime.fromtimestamp((day + 1) * 86_400, UTC)
        assert (week_of(day) == week_of(day + 1)) == (moment.isocalendar()[:2] == following.isocalendar()[:2])


def test_what_was_won_gives_room_again() -> None:
    desk = Desk()
    for intent, pnl in enumerate(("-1", "-1", "2", "-1", "-1"), start=1):
        trade(desk.ledger, intent, "ETHUSDT", pnl)
    assert not r_verdicts(desk, NOW_NS)["day R"].refuses


# ---- drawdown --------------------------------------------------------------------------------------------------------

RISK = RiskConfig(day_drawdown_pct=5, peak_drawdown_pct=10)


def drawn(*, day: str = "1000") -> Desk:
    desk = Desk(risk=RISK)
    desk.ledger.apply(WalletSeen(at_ns=NOW_NS, wallet=Decimal(1_000)))
    desk.ledger.apply(DayOpened(at_ns=NOW_NS, day=NOW_NS // DAY_NS, equity=Decimal(day)))
    return desk


def equity(desk: Desk, value: str, looks: int = LOOKS) -> None:
    for _ in range(looks):
        desk.shield.drawdown.look(desk.turn(NOW_NS), Decimal(value))


def test_equity_five_percent_under_the_days_first_latches_drawdown() -> None:
    desk = drawn()
    equity(desk, "1000")
    equity(desk, "951")
    assert desk.ledger.latches == {}
    equity(desk, "950")
    assert desk.ledger.latches[Latch.DRAWDOWN].reason == "equity is 5.0 % under the day's first, limit 5 %"


def test_ten_percent_under_the_peak_latches_also_over_days() -> None:
    desk = drawn()
    equity(desk, "1200")
    assert desk.ledger.peak == Decimal(1_200)
    for day, value in enumerate(("1170", "1140", "1110", "1081"), start=1):
        desk.ledger.apply(DayOpened(at_ns=NOW_NS, day=NOW_NS // DAY_NS + day, equity=Decimal(value)))
        equity(desk, value)
        assert desk.ledger.latches == {}
    equity(desk, "1080")
    assert desk.ledger.latches[Latch.DRAWDOWN].reason == "equity is 10.0 % under its peak, limit 10 %"


def test_at_sixty_percent_of_a_limit_it_warns_once_and_again_after_a_calm() -> None:
    desk = drawn()

    def warned() -> int:
        return sum(isinstance(effect, Notify) and effect.level is Level.WARN for effect in desk.effects)

    equity(desk, "1000")
    equity(desk, "971")
    assert warned() == 0
    for value in ("970", "971", "969", "975"):
        equity(desk, value)
        assert warned() == 1
    equity(desk, "990")
    equity(desk, "969")
    assert warned() == 2


def test_a_bad_mark_is_neither_a_peak_nor_a_fall() -> None:
    desk = drawn()
    equity(desk, "1000")
    for garbage in ("10", "100000", "-5000", "900"):
        equity(desk, garbage, LOOKS - 1)
        equity(desk, "1000")
    assert desk.ledger.latches == {}
    assert desk.ledger.peak == Decimal(1_000)


def test_a_peak_is_written_down_in_steps_and_not_with_every_tick() -> None:
    desk = drawn()
    for cents in range(2_000):
        desk.shield.drawdown.look(desk.turn(NOW_NS), Decimal(1_000) + Decimal(cents) / 100)
    peaks = [e.fact.equity for e in desk.effects if isinstance(e, Record) and isinstance(e.fact, PeakSeen)]
    assert 15 <= len(peaks) <= 21
    assert peaks == sorted(peaks) and max(peaks) >= Decimal(1_018)


def test_a_released_drawdown_counts_from_the_equity_it_was_released_at() -> None:
    desk = drawn()
    equity(desk, "1000")
    equity(desk, "900")
    assert Latch.DRAWDOWN in desk.ledger.latches
    desk.ledger.apply(LatchSet(at_ns=NOW_NS, latch=Latch.DRAWDOWN, on=False, by="you"))
    equity(desk, "900")
    equity(desk, "860")
    assert desk.ledger.latches == {}
    assert desk.ledger.peak == Decimal(900)
    equity(desk, "855")
    assert Latch.DRAWDOWN in desk.ledger.latches


def test_the_measures_of_the_drawdown_come_back_from_the_journal() -> None:
    desk = drawn()
    before = len(desk.effects)
    equity(desk, "1100")
    equity(desk, "1000")
    facts = [effect.fact for effect in desk.effects[before:] if isinstance(effect, Record)]
    again = drawn()
    again.ledger.fold(facts)
    assert again.ledger.latches == desk.ledger.latches and again.ledger.peak == desk.ledger.peak
    assert again.ledger.digest() == desk.ledger.digest()


def test_what_latched_before_a_restart_is_neither_latched_nor_warned_of_again() -> None:
    desk = drawn()
    before = len(desk.effects)
    equity(desk, "1000")
    equity(desk, "890")
    assert Latch.DRAWDOWN in desk.ledger.latches
    again = drawn()
    again.ledger.fold(effect.fact for effect in desk.effects[before:] if isinstance(effect, Record))
    count = len(again.effects)
    equity(again, "889")
    assert len(again.effects) == count
