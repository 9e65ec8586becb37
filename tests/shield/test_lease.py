"""Real money needs a typed phrase and a fit account; every other kind needs neither."""

from decimal import Decimal

import pytest
from shield_words import NOW_NS, quote, signal
from swan_corpus import Desk

from nexus_engine.model.facts import Leased, RunStarted
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import AccountKind
from nexus_engine.shield.lease import HOUR_NS, UNCHECKED


def desk(kind: AccountKind, unfit: str = "") -> Desk:
    made = Desk()
    made.ledger.apply(start(kind))
    made.shield.lock.unfit = unfit
    return made


def start(kind: AccountKind) -> RunStarted:
    return RunStarted(at_ns=NOW_NS, account="main", kind=kind, instance="abcd", epoch=1, version="0")


def lease(on: Desk, span_ns: int = HOUR_NS, mono_ns: int | None = None) -> None:
    turn = on.turn(NOW_NS)
    on.ledger.apply(Leased(at_ns=NOW_NS, until_ns=NOW_NS + span_ns, by="you"))
    on.shield.lock.until_mono_ns = turn.mono_ns + (span_ns if mono_ns is None else mono_ns)


def verdict(on: Desk) -> Verdict:
    verdicts = on.shield.judge_signal(
        on.turn(NOW_NS), signal(), quote("SOLUSDT"), quote("BTCUSDT", 6e4, 6.0001e4), Decimal(0)
    )
    (found,) = [each for each in verdicts if each.guard == "lease"]
    return found


@pytest.mark.parametrize("kind", [kind for kind in AccountKind if kind is not AccountKind.LIVE])
def test_play_money_is_never_locked(kind: AccountKind) -> None:
    assert not verdict(desk(kind, "sick")).refuses


def test_real_money_is_locked_until_the_phrase_is_typed_and_again_when_the_lease_is_over() -> None:
    on = desk(AccountKind.LIVE)
    assert verdict(on).refuses and "unlock" in verdict(on).reason
    lease(on)
    allowed = verdict(on)
    assert not allowed.refuses and allowed.until_ns == NOW_NS + HOUR_NS
    assert [(reading.name, reading.value, reading.unit) for reading in allowed.inputs] == [("lease left", 1.0, "h")]
    lease(on, 0)
    assert verdict(on).refuses


def test_a_clock_that_is_set_back_makes_no_lease_longer() -> None:
    on = desk(AccountKind.LIVE)
    lease(on, 5 * HOUR_NS, mono_ns=HOUR_NS // 2)
    assert [reading.value for reading in verdict(on).inputs] == [0.5]
    lease(on, 5 * HOUR_NS, mono_ns=0)
    assert verdict(on).refuses


def test_an_account_that_was_not_found_fit_is_locked_whatever_was_typed() -> None:
    on = desk(AccountKind.LIVE, "the key permits withdrawals")
    lease(on)
    assert verdict(on).reason == "LIVE entries are locked: the key permits withdrawals"
    assert Desk().shield.lock.unfit == UNCHECKED


def test_a_start_ends_the_lease_and_a_journal_without_one_keeps_its_seals() -> None:
    ledger = Ledger()
    ledger.apply(start(AccountKind.LIVE))
    before = ledger.digest()
    ledger.apply(Leased(at_ns=NOW_NS, until_ns=NOW_NS + HOUR_NS, by="you"))
    assert ledger.digest() != before
    ledger.apply(start(AccountKind.LIVE))
    assert (ledger.lease_until_ns, ledger.digest()) == (0, before)
