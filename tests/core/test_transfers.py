"""What is paid in or out is neither profit nor drawdown, whoever tells of it, in whatever order, and however often."""

from decimal import Decimal
from typing import Any

import pytest
from guard_house import SECOND, START_NS, House
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nexus_engine.core import accounting
from nexus_engine.model import events as e
from nexus_engine.model.facts import AnyFact, DayOpened, PeakSeen, Transferred, WalletSeen
from nexus_engine.model.ledger import KEPT_TRANSFERS, Ledger
from nexus_engine.model.orders import ZERO, Transfer
from nexus_engine.model.words import Latch, Venue
from nexus_engine.shield.drawdown import falls

D = Decimal
DAY = 86_400 * SECOND


class Bank(House):
    """A house whose account wins, loses, and is paid into and out of. `mute`: its stream tells nothing."""

    def __init__(self) -> None:
        self.wallet, self.won = D(10_000), D(0)
        self.rows: list[Transfer] = []
        self.mute = False
        self.known = (D(10_000), D(0))
        """The wallet that the engine has heard of, and what of it was won."""
        self.opened_at = D(0)
        self.nav = self.best = 1.0
        """What one unit of the account is worth, which no transfer moves; and its best so far."""
        super().__init__()
        self.snapshot(1)
        self.pulses()

    def _keep(self, effects: list[Any]) -> None:
        super()._keep(effects)
        if any(isinstance(getattr(effect, "fact", None), DayOpened) for effect in effects):
            self.opened_at = self.known[1]

    def _hear(self) -> None:
        self.known = (self.wallet, self.won)

    def update(self, transfer: Decimal = ZERO) -> e.AccountUpdate:
        return e.AccountUpdate(**self.at, wallet=self.wallet, venue_ns=self.now_ns, transfer=transfer)

    def win(self, permille: int) -> None:
        self.now_ns += SECOND
        if not self.wallet:
            return
        amount = (self.wallet * permille / 1000).quantize(D("0.01"))
        self.nav *= float(1 + amount / self.wallet)
        self.wallet, self.won = self.wallet + amount, self.won + amount
        if not self.mute:
            self._hear()
            self.on(self.update())

    def move(self, percent: int) -> e.AccountUpdate:
        """Something is paid in or out. Returns the message of the stream, which may be late."""
        self.now_ns += SECOND
        amount = (self.wallet * percent / 100).quantize(D("0.01"))
        self.wallet += amount
        if not self.wallet:
            self.best = self.nav  # whoever has taken all out begins anew
        self.rows.append(Transfer(id=f"t{len(self.rows)}", amount=amount, at_ns=self.now_ns - SECOND // 20))
        return self.update(amount)

    def told(self, percent: int) -> None:
        message = self.move(percent)
        if not self.mute:
            self._hear()
            self.on(message)

    def twice(self, percent: int) -> None:
        message = self.move(percent)
        if not self.mute:
            self._hear()
            self.on(message)
            self.on(message)

    def missed(self, percent: int) -> None:
        self.move(percent)

    def late(self, percent: int) -> None:
        """The list is first to tell."""
        message = self.move(percent)
        self.snapshot(1)
        if not self.mute:
            self.on(message)

    def snapshot(self, _: int) -> None:
        self._hear()
        self.on(e.VenueSnapshot(
            **self.at, venue=Venue.BINANCE, ok=True, wallet=self.wallet, available=self.wallet,
            wallet_ns=self.now_ns - 1, transfers=tuple(self.rows),
        ))  # fmt: skip

    def off(self, hours: int) -> None:
        self.now_ns += hours * 3600 * SECOND

    def restart(self, _: int) -> None:
        self.boot()
        self.pulses()

    def silence(self, _: int) -> None:
        self.mute = not self.mute

    def pulses(self) -> None:
        for _ in range(13):
            self.now_ns += SECOND // 4
            self.on(e.TimerFired(**self.at, key="pulse"))

    def look(self, _: int = 0) -> None:
        self.snapshot(1)
        self.pulses()
        self.best = max(self.best, self.nav)

    @property
    def day_pnl(self) -> Decimal:
        return accounting.day_pnl(self.ledger, {})

    @property
    def fall_pct(self) -> float:
        return falls(self.ledger, self.engine.directive.risk, accounting.equity(self.ledger, {}))[1][1]


PERCENT = st.integers(-95, 300).filter(bool)
EMPTIED = [("win", -9), *[("told", -95)] * 6, ("win", 1)]
"""All of it is paid out, to the last cent."""
ACTS: dict[str, st.SearchStrategy[int]] = {
    "win": st.integers(-9, 9), "told": PERCENT, "twice": PERCENT, "missed": PERCENT, "late": PERCENT,
    "silence": st.just(0), "snapshot": st.just(1), "off": st.sampled_from((1, 7, 30)), "restart": st.just(0),
    "look": st.just(0),
}  # fmt: skip


def acts(*names: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    act = st.sampled_from(names or tuple(ACTS)).flatmap(lambda name: st.tuples(st.just(name), ACTS[name]))
    return st.lists(act, max_size=25)


@settings(max_examples=60, deadline=None)
@given(acts())
@example(EMPTIED)
def test_the_days_result_is_what_was_won_whoever_tells_of_transfers_and_when(happenings: list[tuple[str, int]]) -> None:
    bank = Bank()
    for name, value in happenings:
        getattr(bank, name)(value)
    bank.snapshot(1)
    assert bank.ledger.wallet == bank.wallet
    assert bank.day_pnl == bank.won - bank.opened_at
    assert bank.ledger.digest() == Ledger().fold(bank.facts).digest()


@settings(max_examples=40, deadline=None)
@given(acts("win", "told", "twice", "late", "off", "restart", "look"))
@example(EMPTIED)
def test_no_transfer_makes_a_drawdown_deeper_or_shallower(happenings: list[tuple[str, int]]) -> None:
    bank = Bank()
    for name, value in happenings:
        getattr(bank, name)(value)
        bank.look()
        model_pct = (1 - bank.nav / bank.best) * 100
        assert bank.fall_pct == pytest.approx(model_pct, abs=0.11), name
        if model_pct < 4 and bank.best - bank.nav < 0.04:
            assert Latch.DRAWDOWN not in bank.ledger.latches


def test_half_of_the_account_is_taken_out_and_no_breaker_sees_a_loss() -> None:
    bank = Bank()
    bank.told(-50)
    bank.look()
    assert bank.day_pnl == 0 and not bank.ledger.latches
    assert (bank.ledger.day_equity, bank.ledger.peak) == (D(5_000), D(5_000))


def test_a_deposit_does_not_hide_the_loss_before_it() -> None:
    bank = Bank()
    bank.win(-40)
    bank.told(900)
    bank.look()
    assert bank.fall_pct == pytest.approx(4.0, abs=0.01) and bank.day_pnl == D(-400)
    bank.win(-15)
    bank.look()
    assert Latch.DRAWDOWN in bank.ledger.latches, "5.4 % of the day's first, however much was paid in between"


def test_what_was_moved_while_the_engine_was_off_is_found_in_the_venues_list_once() -> None:
    bank = Bank()
    bank.silence(0)
    bank.off(7)
    bank.missed(-60)
    bank.missed(10)
    bank.restart(0)
    for _ in range(3):
        bank.look()
    assert bank.day_pnl == 0 and not bank.ledger.latches
    assert [fact.amount for fact in bank.ledger.transfers] == [D(-6_000), D(400)]
    bank.restart(0)
    bank.look()
    assert len(bank.ledger.transfers) == 2


def test_two_equal_deposits_of_which_the_stream_told_one_are_two() -> None:
    bank = Bank()
    bank.told(10)
    bank.rows.append(Transfer(id="other", amount=D(1_000), at_ns=bank.now_ns + SECOND))
    bank.wallet += 1_000
    bank.now_ns += 2 * SECOND
    bank.look()
    bank.look()
    assert [fact.amount for fact in bank.ledger.transfers] == [D(1_000), D(1_000)]
    assert bank.day_pnl == 0


def test_a_message_that_lay_in_the_socket_while_the_process_stood_still_is_the_transfer_of_the_list() -> None:
    bank = Bank()
    message = bank.move(10)
    bank.now_ns += 1_800 * SECOND
    bank.on(replace(message, **bank.at))
    bank.look()
    assert [fact.amount for fact in bank.ledger.transfers] == [D(1_000)]
    assert bank.day_pnl == 0 and bank.ledger.peak == D(11_000)


@pytest.mark.parametrize("way", ["told", "missed"])
def test_what_is_moved_more_often_than_is_remembered_is_noted_once_all_the_same(way: str) -> None:
    bank = Bank()
    bank.win(-2)
    for _ in range(KEPT_TRANSFERS // 2 + 30):
        for percent in (10, -9):
            getattr(bank, way)(percent)
            bank.off(1)
        if way == "missed":
            bank.snapshot(1)
    for _ in range(3):
        bank.look()
    noted = [fact for fact in bank.facts if isinstance(fact, Transferred)]
    assert len(noted) == len(bank.rows) > KEPT_TRANSFERS
    assert bank.fall_pct == pytest.approx(0.2, abs=0.01)
    assert bank.ledger.digest() == Ledger().fold(bank.facts).digest()


def test_an_account_that_was_emptied_begins_anew_with_the_next_deposit() -> None:
    bank = Bank()
    bank.told(-100)
    bank.look()
    assert bank.ledger.peak == 0 and not bank.ledger.latches
    bank.wallet = D(0)
    bank.now_ns += SECOND
    bank.wallet += 500
    bank.on(bank.update(D(500)))
    bank.look()
    assert (bank.ledger.peak, bank.day_pnl) == (D(500), D(0)) and not bank.ledger.latches


def test_a_journal_from_before_transfers_were_noted_folds_and_seals_as_it_did() -> None:
    facts: list[AnyFact] = [
        WalletSeen(at_ns=START_NS, wallet=D(1_000)),
        DayOpened(at_ns=START_NS, day=START_NS // DAY, equity=D(1_000)),
        PeakSeen(at_ns=START_NS, equity=D(1_000)),
    ]
    ledger = Ledger().fold(facts)
    assert ledger.digest() == "6190f0595e6332d09e7e3a918642a457"
    ledger.apply(Transferred(at_ns=START_NS + 1, amount=D(-500), before=D(900), venue_ns=1))
    assert (ledger.day_equity, ledger.day_from, ledger.peak) == (D(500), D(4_000) / 9, D(4_000) / 9)
