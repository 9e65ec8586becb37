"""Real money needs a typed phrase and a fit account; every other kind needs neither."""

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
    made.shield.unfit = unfit
    return made


def start(kind: AccountKind) -> RunStarted:
    return RunStarted(at_ns=NOW_NS, account="main", kind=kind, instance="abcd", epoch=1, version="0")


def verdict(on: Desk) -> Verdict:
    verdicts = on.shield.judge_signal(on.turn(NOW_NS), signal(), quote("SOLUSDT"), quote("BTCUSDT", 6e4, 6.0001e4))
    (found,) = [each for each in verdicts if each.guard == "lease"]
    return found


@pytest.mark.parametrize("kind", [kind for kind in AccountKind if kind is not AccountKind.LIVE])
def test_play_money_is_never_locked(kind: AccountKind) -> None:
    assert not verdict(desk(kind, "sick")).refuses


def test_real_money_is_locked_until_the_phrase_is_typed_and_again_when_the_lease_is_over() -> None:
    on = desk(AccountKind.LIVE)
    assert verdict(on).refuses and "unlock" in verdict(on).reason
    on.ledger.apply(Leased(at_ns=NOW_NS, until_ns=NOW_NS + HOUR_NS, by="you"))
    allowed = verdict(on)
    assert not allowed.refuses and allowed.until_ns == NOW_NS + HOUR_NS
    assert [(reading.name, reading.value, reading.unit) for reading in allowed.inputs] == [("lease left", 1.0, "h")]
    on.ledger.apply(Leased(at_ns=NOW_NS, until_ns=NOW_NS, by="you"))
    assert verdict(on).refuses


def test_an_account_that_was_not_found_fit_is_locked_whatever_was_typed() -> None:
    on = desk(AccountKind.LIVE, "the key permits withdrawals")
    on.ledger.apply(Leased(at_ns=NOW_NS, until_ns=NOW_NS + HOUR_NS, by="you"))
    assert verdict(on).reason == "LIVE entries are locked: the key permits withdrawals"
    assert Desk().shield.unfit == UNCHECKED


def test_a_start_ends_the_lease_and_a_journal_without_one_keeps_its_seals() -> None:
    ledger = Ledger()
    ledger.apply(start(AccountKind.LIVE))
    before = ledger.digest()
    ledger.apply(Leased(at_ns=NOW_NS, until_ns=NOW_NS + HOUR_NS, by="you"))
    assert ledger.digest() != before
    ledger.apply(start(AccountKind.LIVE))
    assert (ledger.lease_until_ns, ledger.digest()) == (0, before)
