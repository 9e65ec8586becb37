"""The whole engine under any order of answers, fills, commands, prices and ends: hypothesis looks for the one that
breaks. After every rule the eyes of the simulations look at all that was decided, told and done.

NEXUS_STATEFUL=n (`make stateful TIMES=n`) looks n times longer, at other examples each time.
"""

import contextlib
import os
from decimal import Decimal

from faulty import LOST_AFTER, LOST_BEFORE, REFUSED
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from knowing import Knowing
from sim import BTC, SOL
from stepwise import ARRIVES, DELAYED, Stepwise

from nexus_engine.model.commands import (
    Adopt,
    Approve,
    ClosePosition,
    Flatten,
    Halt,
    Hold,
    MoveStop,
    Pause,
    Rearm,
    Reject,
    Release,
    SetMode,
)
from nexus_engine.model.effects import Cancel, Submit
from nexus_engine.model.facts import LatchSet
from nexus_engine.model.words import Latch, Leg, Mode, OrderStatus, ProposalStatus, Side
from nexus_engine.servos.protection import EXIT_TIMER
from nexus_engine.sim.rules import VenueError

TIMES = int(os.environ.get("NEXUS_STATEFUL", "0"))
SYMBOLS = st.sampled_from((SOL, BTC))
STOPS = st.sampled_from((0.3, 0.3, 1.0, 6.0))
"""Tight ones are large positions: two of them do not fit the account."""
SIDES = st.sampled_from((None, *Side))
NUMBERS = st.integers(0, 7)
FATES = st.sampled_from((ARRIVES, ARRIVES, ARRIVES, LOST_BEFORE, LOST_AFTER, DELAYED, REFUSED))
EXITS = (
    {},
    {"partials": ((0.3, 0.5),)},
    {"partials": ((0.2, 0.3), (0.4, 0.3)), "break_even_r": 0.3},
)
OTHER_NEXUS = "nxother-9-1e1"
CONVERGE_S = 30.0
REGULAR_S = 66.0


class Trading(RuleBasedStateMachine):
    """Nobody else is on the account."""

    house: Stepwise
    eyes: Knowing

    @initialize(mode=st.sampled_from((Mode.PILOT, Mode.COPILOT)), lots=st.sampled_from((300, 1_000_000)),
                sides=st.tuples(SIDES, SIDES), stop_pct=STOPS, target_pct=st.sampled_from((1.0, 20.0)))  # fmt: skip
    def begin(self, mode: Mode, lots: int, sides: tuple[Side | None, Side | None], stop_pct: float,
              target_pct: float) -> None:  # fmt: skip
        self.house = Stepwise(mode=mode, lots=lots)
        self.eyes = Knowing(self.house)
        self.house.start()
        self.house.wait(1.0, smoothly=True)
        assert not self.house.engine.blocked(self.house.turn())
        for symbol, side in zip((SOL, BTC), sides, strict=True):
            if side is not None:
                self.house.wish(symbol, side, stop_pct=stop_pct, target_pct=target_pct)
        self.house.wait(0.2)

    # ---- the wire ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.house.able())
    @rule(which=NUMBERS, fate=FATES)
    def a_request_gets_there_or_not(self, which: int, fate: str) -> None:
        able = self.house.able()
        self.house.arrive(able[which % len(able)], fate)

    @precondition(lambda self: self.house.late)
    @rule(which=NUMBERS)
    def what_was_given_up_arrives(self, which: int) -> None:
        late = self.house.late
        self.house.arrive_late(late[which % len(late)])

    @precondition(lambda self: self.house.answers or self.house.stream)
    @rule(which=NUMBERS, twice=st.booleans())
    def something_is_heard(self, which: int, twice: bool) -> None:
        house = self.house
        house.hear(which % (len(house.answers) + len(house.stream)), twice=twice)

    @precondition(lambda self: self.house.stream)
    @rule(which=NUMBERS)
    def an_event_is_lost(self, which: int) -> None:
        del self.house.stream[which % len(self.house.stream)]

    @rule()
    def all_gets_there_and_back(self) -> None:
        self.house.settle()

    @rule(up=st.booleans())
    def the_stream_of_the_account_ends_or_is_back(self, up: bool) -> None:
        self.house.feed(up)

    # ---- time --------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.2, 0.6, 1.0, 2.4, 5.2, 11.0)))
    def nothing_gets_through(self, seconds: float) -> None:
        self.house.wait(seconds)

    @rule(seconds=st.sampled_from((0.2, 1.0, 8.0)))
    def time_passes(self, seconds: float) -> None:
        """[I5] While the venue answers, a stop that is gone is missed within seconds, whoever did not tell of it."""
        house = self.house
        house.wait(seconds, smoothly=True)
        if seconds == 8.0 and not house.refuse_stops:
            for symbol in (SOL, BTC):
                leaves = any(house.ledger.alive(symbol, Leg.EXIT)) or f"{EXIT_TIMER}{symbol}" in house.timers
                if not self.eyes.covered(symbol) and not leaves:
                    house.found.append(f"[I5] {symbol} has no stop at a venue that answers")

    @rule(seconds=st.sampled_from((1.0, 6.0, 60.0)))
    def the_process_stands_still(self, seconds: float) -> None:
        self.house.stand_still(seconds)
        self.eyes.stood_still(seconds)

    @rule(seconds=st.sampled_from((-86_400, -5, 5, 86_400)))
    def the_wall_clock_is_set(self, seconds: int) -> None:
        self.house.hands.off_ns += seconds * 1_000_000_000

    # ---- the machine -------------------------------------------------------------------------------------------------

    @rule(more=st.integers(0, 3), arrive=st.booleans())
    def the_process_is_killed(self, more: int, arrive: bool) -> None:
        house = self.house
        standing = self._standing_latches()
        house.die(more, arrive=arrive)
        # a release that did not stand may, and then it was the person's
        if more == 0 and not standing <= set(house.ledger.latches):
            house.found.append(f"[I8] a start forgot {standing - set(house.ledger.latches)}")

    @rule(slow=st.booleans())
    def the_disk_is_slow_or_quick(self, slow: bool) -> None:
        self.house.disk(slow=slow)

    @rule()
    def a_commit_fails(self) -> None:
        self.house.journal_failed()

    # ---- the market --------------------------------------------------------------------------------------------------

    @rule(symbol=SYMBOLS, side=st.sampled_from(Side), stop_pct=STOPS,
          limit_pct=st.sampled_from((0.05, 0.05, -0.05)), time_stop_s=st.sampled_from((0, 0, 3)),
          exits=st.sampled_from(EXITS), smoothly=st.booleans())  # fmt: skip
    def a_strategy_wants_in(self, symbol, side, stop_pct, limit_pct, time_stop_s, exits, smoothly) -> None:  # type: ignore[no-untyped-def]
        self.house.wish(symbol, side, stop_pct=stop_pct, target_pct=stop_pct, limit_pct=limit_pct,
                        time_stop_ns=time_stop_s * 1_000_000_000, **exits)  # fmt: skip
        self.house.wait(0.2, smoothly=smoothly)

    @rule(symbol=SYMBOLS, smoothly=st.booleans())
    def a_strategy_wants_out(self, symbol: str, smoothly: bool) -> None:
        """At a close, of what it has opened there."""
        held = self.house.ledger.positions.get(symbol)
        self.house.wishes.out.add(symbol)
        self.house.street.close(symbol)
        self.house.wishes.out.discard(symbol)
        after = self.house.ledger.positions.get(symbol)
        if held is not None and after is not None and self.house.street.sink is not None:
            if held.strategy != "wish":
                assert after.leaving == held.leaving
            elif held.qty > 0:
                assert after.leaving
        self.house.wait(0.2, smoothly=smoothly)

    @rule(symbol=SYMBOLS, pct=st.sampled_from((-1.5, -0.4, 0.4, 1.5)))
    def price_jumps(self, symbol: str, pct: float) -> None:
        tape = self.house.tape
        tape.move(symbol, tape.price(symbol) * (1 + pct / 100))
        self.house.wait(0.2)

    @rule(symbol=SYMBOLS, lots=st.sampled_from((20, 300, 1_000_000)))
    def the_book_is_thin_or_not(self, symbol: str, lots: int) -> None:
        self.house.tape.lots[symbol] = lots

    @rule(smoothly=st.booleans(), short=st.booleans(), wants=st.booleans())
    def bitcoin_crashes(self, smoothly: bool, short: bool, wants: bool) -> None:
        if short:
            self._enter(SOL, Side.SELL, target_pct=20.0)
            self.house.wait(0.4, smoothly=True)
        for _ in range(15):
            for symbol in (SOL, BTC):
                self.house.tape.move(symbol, self.house.tape.price(symbol) * 0.996)
            self.house.wait(0.2, smoothly=smoothly)
        if wants:
            for symbol in (SOL, BTC):
                self.house.wish(symbol, Side.BUY)
            self.house.wait(1.0, smoothly=True)

    @rule(symbol=SYMBOLS)
    def a_market_falls_silent(self, symbol: str) -> None:
        self.house.deaf.add(symbol)

    @rule()
    def every_market_is_heard(self) -> None:
        self.house.deaf.clear()

    @rule(symbol=SYMBOLS)
    def a_book_loses_its_place(self, symbol: str) -> None:
        self.house.lose_place(symbol)

    @rule()
    def books_are_read_anew(self) -> None:
        for symbol in sorted(self.house.wire.broken):
            self.house.street.read_book(symbol)

    @rule(refuses=st.booleans())
    def the_venue_takes_no_stops_or_does(self, refuses: bool) -> None:
        self.house.refuse_stops = refuses

    @rule(symbol=SYMBOLS, side=st.sampled_from(Side), seconds=st.sampled_from((1.4, 3.2)))
    def an_entry_fills_and_no_stop_is_taken(self, symbol: str, side: Side, seconds: float) -> None:
        house = self.house
        house.refuse_stops = True
        self._enter(symbol, side)
        house.wait(seconds, smoothly=True)
        house.refuse_stops = False

    # ---- people ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.house.engine.mode is Mode.COPILOT)
    @rule(symbol=SYMBOLS, side=st.sampled_from(Side), stop_pct=STOPS, seen=st.booleans())
    def a_card_comes_and_is_approved(self, symbol: str, side: Side, stop_pct: float, seen: bool) -> None:
        self.house.wish(symbol, side, stop_pct=stop_pct)
        self.house.wait(0.2, smoothly=True)
        if self.house.open_cards():
            self.a_card_is_approved(which=-1, seen=seen, times=2)

    @precondition(lambda self: self.house.open_cards())
    @rule(which=NUMBERS, seen=st.booleans(), times=st.integers(1, 2))
    def a_card_is_approved(self, which: int, seen: bool, times: int) -> None:
        house, cards = self.house, self.house.open_cards()
        card = cards[which % len(cards)]
        over = house.hands.now_ns >= card.expires_mono_ns
        for by in ("you", "telegram")[:times]:
            house.command(Approve(proposal=card.id, shown=card.shown if seen else "of another day"), by=by)
        decided = house.ledger.proposals.get(card.id)
        if decided is not None and decided.status is ProposalStatus.APPROVED:
            touch = house.venue.touch(card.symbol)[card.side is Side.BUY] * house.tape.specs[card.symbol].tick
            if not seen or over or ((touch - card.limit) * card.side.sign > 0 and card.symbol not in house.deaf):
                house.found.append(f"[I4] {card.handle} approved: seen {seen}, over {over}, touch {touch}")

    @precondition(lambda self: self.house.open_cards())
    @rule(which=NUMBERS)
    def a_card_is_rejected(self, which: int) -> None:
        cards = self.house.open_cards()
        self.house.command(Reject(proposal=cards[which % len(cards)].id))

    @rule(symbol=SYMBOLS, half=st.booleans())
    def a_person_closes(self, symbol: str, half: bool) -> None:
        self.house.command(ClosePosition(symbol=symbol, half=half))
        self._leaves(symbol if not half else "", longs_only=False)

    @rule(longs_only=st.booleans())
    def a_person_flattens(self, longs_only: bool) -> None:
        self.house.command(Flatten(word="flat", longs_only=longs_only))
        for symbol in (SOL, BTC):
            self._leaves(symbol, longs_only=longs_only)

    @precondition(lambda self: self.house.ledger.positions)
    @rule(symbol=SYMBOLS, ticks=st.integers(1, 40))
    def a_person_moves_a_stop(self, symbol: str, ticks: int) -> None:
        position = self.house.ledger.positions.get(symbol)
        if position is not None:
            stop = position.plan.stop + self.house.tape.specs[symbol].tick * ticks * position.side.sign
            self.house.command(MoveStop(symbol=symbol, stop=stop))

    @precondition(lambda self: self.house.ledger.positions)
    @rule(symbol=SYMBOLS, hold=st.booleans())
    def a_person_holds_or_arms_again(self, symbol: str, hold: bool) -> None:
        self.house.command(Hold(symbol=symbol) if hold else Rearm(symbol=symbol))

    @rule()
    def a_person_halts(self) -> None:
        house = self.house
        working = [one for one in house.ledger.alive(leg=Leg.ENTRY) if one.status is not OrderStatus.PENDING_CANCEL]
        house.command(Halt(reason="a person"))
        if Latch.HALT not in house.ledger.latches:
            house.found.append("[I8] HALT does not latch")
        asked = {one.effect.client_id for one in (*house.asked_for, *house.answers) if isinstance(one.effect, Cancel)}
        for order in working:
            if house.ledger.orders[order.client_id].alive and order.client_id not in asked:
                house.found.append(f"[I8] {order.client_id} stays under HALT")

    @rule()
    def a_person_pauses(self) -> None:
        self.house.command(Pause())

    @rule()
    def every_latch_is_released(self) -> None:
        for latch in tuple(self.house.ledger.latches):
            if latch is not Latch.PROTECT_ONLY or OTHER_NEXUS not in self.eyes.open_ids():
                self.house.command(Release(latch=latch, word=latch.lower()))

    @rule(mode=st.sampled_from((Mode.WATCHER, Mode.COPILOT, Mode.PILOT, Mode.PILOT)))
    def the_mode_is_set(self, mode: Mode) -> None:
        self.house.command(SetMode(mode=mode, word=mode.lower()))

    # ---- looks -------------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_found_that_must_never_be(self) -> None:
        house = getattr(self, "house", None)
        if house is not None:
            self.eyes.look()
            self.eyes.same()
            assert house.found == [], house.told()

    def teardown(self) -> None:
        """No more faults: venue, ledger and journal come to say the same, and then nothing is done any more."""
        house = getattr(self, "house", None)
        if house is None or house.found:
            return
        self.calm()
        assert house.found == [], house.told()

    def calm(self) -> None:
        house, eyes = self.house, self.eyes
        for asked in list(house.late):
            house.arrive_late(asked)
        house.disk(slow=False)
        house.refuse_stops = False
        house.deaf.clear()
        house.tape.lots = dict.fromkeys((SOL, BTC), 1_000_000)
        house.wishes.queue.clear()
        if house.mute or not house.engine.feeds.get("user"):
            house.feed(True)
        for symbol in sorted(house.wire.broken):
            house.street.read_book(symbol)
        begun_s = house.s
        house.wait(1.0, smoothly=True)
        while questions := eyes.open_questions():
            house.wait(0.4, smoothly=True)
            if house.s - begun_s > CONVERGE_S:
                house.found.append(f"[I13] {CONVERGE_S:g} s after the last fault: {'; '.join(questions)}")
                return
        while not eyes.heard_all() and house.s - begun_s < REGULAR_S:
            house.wait(1.0, smoothly=True)
        self.quiet()
        eyes.last()

    def quiet(self) -> None:
        """[I13] A comparison that finds nothing does nothing."""
        house, looks = self.house, 14
        for _ in range(60):
            house.sent.clear()
            house.ask_account()
            house.wait(0.4, smoothly=True)
            acts = [effect for effect in house.sent if isinstance(effect, Submit | Cancel)]
            if not acts and self.eyes.heard_all() and not self.eyes.open_questions():
                return
            if not self.eyes.entering():
                looks -= 1
            if not looks:
                house.found.append(f"[I13] each comparison does something: {acts[-1:]}")
                return

    def _enter(self, symbol: str, side: Side, **more: float) -> None:
        self.house.wish(symbol, side, **more)
        self.house.wait(0.2, smoothly=True)
        for card in self.house.open_cards():
            self.house.command(Approve(proposal=card.id, shown=card.shown))

    def _standing_latches(self) -> set[Latch]:
        """By the commits that stand."""
        on: dict[Latch, bool] = {}
        for turn in self.house.journal.turns[: self.house.journal.durable]:
            on.update((fact.latch, fact.on) for fact in turn if type(fact) is LatchSet)
        return {latch for latch, holds in on.items() if holds}

    def _leaves(self, symbol: str, *, longs_only: bool) -> None:
        """[I8] Whatever is latched, a person gets out: an exit is on its way, or the last one is awaited."""
        position = self.house.ledger.positions.get(symbol)
        if position is not None and not position.leaving and (position.qty > 0 or not longs_only):
            self.house.found.append(f"[I8] {symbol}: nobody closes it")


class Shared(Trading):
    """Other people, and another machine, are on the account too."""

    @rule(
        symbol=SYMBOLS, side=st.sampled_from(Side), steps=st.integers(1, 60), away_pct=st.sampled_from((None, 0.0, 1.0))
    )
    def a_person_trades_elsewhere(self, symbol: str, side: Side, steps: int, away_pct: float | None) -> None:
        self.eyes.alone = False
        spec, price = self.house.tape.specs[symbol], None
        if away_pct is not None:
            ticks = round(self.house.tape.price(symbol) * (1 - side.sign * away_pct / 100) / float(spec.tick))
            price = str(spec.tick * ticks)
        with contextlib.suppress(VenueError):
            name = f"web_{len(self.eyes.open_ids())}_{self.house.hands.now_ns}"
            self.house.by_hand(symbol, side, str(spec.step * steps), name[:36], price)
        self.house.user()

    @rule(symbol=SYMBOLS, all_of_it=st.booleans())
    def a_person_closes_elsewhere(self, symbol: str, all_of_it: bool) -> None:
        self.eyes.alone = False
        held = self.house.held(symbol)
        if held:
            qty = abs(held) if all_of_it else self.house.tape.specs[symbol].step
            with contextlib.suppress(VenueError):
                name = f"web_c_{self.house.hands.now_ns}"
                self.house.by_hand(symbol, Side.SELL if held > 0 else Side.BUY, str(qty), name)
        self.house.user()

    @rule(symbol=SYMBOLS, stops=st.booleans(), told=st.booleans())
    def a_person_cancels_elsewhere(self, symbol: str, stops: bool, told: bool) -> None:
        self.eyes.alone = False
        account = self.house.venue.account
        (account.conditionals.cancel_all if stops else account.cancel_all)(symbol, self.house.venue_ms)
        if told:
            self.house.user()
        else:
            self.house.venue.take_events()
            self.time_passes(8.0)

    @rule(symbol=SYMBOLS, liquidated=st.booleans())
    def the_venue_takes_the_position(self, symbol: str, liquidated: bool) -> None:
        self.eyes.alone = False
        liquidation = self.house.venue.account.liquidation
        if self.house.held(symbol):
            take = liquidation.close if liquidated else liquidation.deleverage
            take(symbol, "BOTH", self.house.venue_ms, self.house.venue)
        self.house.user()

    @rule(symbol=SYMBOLS)
    def a_person_adopts(self, symbol: str) -> None:
        qty = self.house.ledger.foreign.get(symbol)
        if qty:
            tick = self.house.tape.specs[symbol].tick
            ticks = round(self.house.tape.price(symbol) * (0.98 if qty > 0 else 1.02) / float(tick))
            self.house.command(Adopt(symbol=symbol, qty=qty, stop=Decimal(ticks) * tick))

    @rule()
    def another_nexus_writes(self) -> None:
        self.eyes.alone = False
        tick = self.house.tape.specs[SOL].tick
        price = str(Decimal(round(self.house.tape.price(SOL) * 0.9 / float(tick))) * tick)
        with contextlib.suppress(VenueError):
            self.house.by_hand(SOL, Side.BUY, "1", OTHER_NEXUS, price)
        self.house.user()


TestTrading = Trading.TestCase
TestShared = Shared.TestCase
TestTrading.settings = TestShared.settings = settings(
    max_examples=40 * (TIMES or 1),
    stateful_step_count=40,
    deadline=None,
    derandomize=not TIMES,
    # where a mutant is planted, what finds it need not be made short
    phases=(Phase.generate,) if "NEXUS_MUTANT" in os.environ else set(Phase) - {Phase.explain},
    suppress_health_check=list(HealthCheck),
)


def test_parts_of_an_entry_that_are_heard_of_after_a_crash_send_no_exit_each() -> None:
    """Nobody buys: each exit ends with nothing, and the entry's parts come in one by one."""
    story = Shared()
    story.begin(mode=Mode.PILOT, lots=300, sides=(Side.BUY, None), stop_pct=0.3, target_pct=1.0)
    story.a_request_gets_there_or_not(fate="arrives", which=0)
    story.the_book_is_thin_or_not(lots=20, symbol=SOL)
    for _ in range(2):
        story.bitcoin_crashes(short=False, smoothly=False, wants=False)
    story.time_passes(seconds=0.2)
    exits = [order for order in story.house.ledger.orders.values() if order.leg is Leg.EXIT]
    assert 1 <= len(exits) < 15
    story.teardown()
