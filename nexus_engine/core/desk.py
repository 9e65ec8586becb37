"""From a signal to an order: judged, sized, judged again, then alerted, proposed or sent as the mode says."""

from collections.abc import Callable
from decimal import Decimal
from math import inf
from typing import Final

from msgspec.structs import replace

from nexus_engine.core import accounting
from nexus_engine.core.funnel import MODE, Funnel, stage_of
from nexus_engine.core.market import Market
from nexus_engine.model.commands import Approve, Edit
from nexus_engine.model.config import Directive
from nexus_engine.model.facts import SignalSeen
from nexus_engine.model.positions import ClosedTrade
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import Quote, Signal
from nexus_engine.model.told import price, quantity
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import Level, Mode, ProposalStatus, Ruling, Side
from nexus_engine.servos.byhand import FARTHEST
from nexus_engine.servos.copilot import Copilot, in_short
from nexus_engine.servos.edge import Record, record_of
from nexus_engine.servos.manager import Manager
from nexus_engine.servos.sizing import Sized, entry_price, runs_away, size
from nexus_engine.shield.manager import Shield

WORST_R: Final = 0.5
"""A card whose reward has shrunk below this multiple of its risk is not worth showing again."""
BEYOND: Final = "price is beyond its stop"


class Desk:
    """Where a wish becomes an order, in all modes on the same path."""

    def __init__(
        self, directive: Directive, market: Market, shield: Shield, copilot: Copilot, manager: Manager
    ) -> None:
        self._directive = directive
        self._market = market
        self._shield = shield
        self._copilot = copilot
        self._manager = manager
        manager.protection.ladder.priced = market.priced
        self.blocked: Callable[[Turn], str] = lambda turn: "not started"
        """Why no entry at all may leave now; the engine knows."""
        self.objection: Callable[[Turn, Signal], str] = lambda turn, signal: ""
        """Why none of this signal's may."""
        self.seen = self.refused = self.proposed = 0
        self.funnel = Funnel()
        self._records: dict[str, tuple[ClosedTrade | None, Record]] = {}
        self._waiting: dict[tuple[str, str], tuple[int, Signal]] = {}
        """By symbol and strategy: until when (market time) a signal waits, and the signal. A start forgets them."""

    @property
    def due_ns(self) -> float:
        """When the first that waits is to be considered again, market time; infinite while none does."""
        return min(until_ns for until_ns, _ in self._waiting.values()) if self._waiting else inf

    def due(self, turn: Turn) -> list[Signal]:
        """Those that have waited long enough, once."""
        found = [key for key, (until_ns, _) in self._waiting.items() if until_ns <= turn.market_ns]
        return [self._waiting.pop(key)[1] for key in found]

    def consider(self, turn: Turn, signal: Signal, mode: Mode, *, waited: bool = False) -> None:
        """A strategy wants to open. What only the settlement of funding keeps out is considered once more when that is
        over, as if it had just been said; but at its own prices."""
        if not waited:
            self.seen += 1
            self.funnel.seen += 1
            self._waiting.pop((signal.symbol, signal.strategy), None)
        judged = self._judge(turn, signal)
        if isinstance(judged, str):
            self._refuse(turn, signal, (), judged)
            return
        verdicts, sized = judged
        objection = _objection(verdicts) or (sized if isinstance(sized, str) else "")
        if waited:
            objection = objection or self._left(turn, signal)
        elif objection and (until_ns := _waits(verdicts)):
            self._waiting[signal.symbol, signal.strategy] = until_ns, signal
            self._tell(turn, signal, verdicts, f"waits: {objection}")
            wait_s = (until_ns - turn.market_ns) / 1e9
            text = f"{signal.strategy} {signal.side} waits {wait_s:.0f} s: {objection}"
            turn.note(Level.INFO, signal.symbol, text)
            return
        if objection or isinstance(sized, str):
            self._refuse(turn, signal, verdicts, objection)
            return
        if mode is Mode.WATCHER:
            self._tell(turn, signal, verdicts, "alert")
            self.funnel.stop(turn.at_ns, MODE, signal.symbol, "the mode is WATCHER")
            at = f"{quantity(sized.qty)} at {price(sized.limit)}"
            text = f"{signal.strategy}: {signal.side} {at}, stop {price(sized.plan.stop)}"
            turn.note(Level.WARN, signal.symbol, text)
            return
        if self._copilot.full(turn):
            self._refuse(turn, signal, verdicts, "too many open proposals", MODE)
            return
        proposal = self._copilot.propose(turn, signal, sized, verdicts)
        self.proposed += 1
        self._tell(turn, signal, verdicts, "proposed", proposal.id)
        what = f"{proposal.handle} {proposal.side} {quantity(proposal.qty)} {signal.strategy}"
        text = f"{what}: {'; '.join(signal.reasons[:2])}"
        turn.note(Level.INFO, signal.symbol, text)
        if mode is Mode.PILOT:
            self._copilot.decide(turn, proposal, ProposalStatus.APPROVED, "bot")
            self._manager.enter(turn, proposal, "bot")

    def approve(self, turn: Turn, command: Approve, by: str, mode: Mode) -> str:
        """A person said yes. Everything is looked at again; returns what to tell them."""
        objection = self._copilot.objection(turn, command)
        if objection:
            return objection
        proposal = turn.ledger.proposals[command.proposal]
        if mode is Mode.WATCHER:
            return f"{proposal.handle} not sent: the mode is WATCHER"
        judged = self._judge(turn, proposal.signal, proposal)
        if isinstance(judged, str):
            self._tell(turn, proposal.signal, (), f"not sent: {judged}", proposal.id)
            return f"{proposal.handle} not sent: {judged}"
        verdicts, _ = judged
        objection = _objection(verdicts)
        if objection:
            self._tell(turn, proposal.signal, verdicts, f"not sent: {objection}", proposal.id)
            return f"{proposal.handle} not sent: {objection}"
        moved = self._moved(turn, proposal)
        if not turn.ledger.proposals[proposal.id].status.open:
            return f"{proposal.handle} not sent: {turn.ledger.proposals[proposal.id].reason}"
        if moved:
            return f"{proposal.handle}: price has moved; look at the new numbers"
        self._tell(turn, proposal.signal, verdicts, f"approved by {by}", proposal.id)
        self._copilot.decide(turn, proposal, ProposalStatus.APPROVED, by)
        turn.note(Level.INFO, proposal.symbol, f"{proposal.handle} approved", by)
        self._manager.enter(turn, proposal, by)
        return f"{proposal.handle} approved"

    def edit(self, turn: Turn, command: Edit, by: str) -> str:
        """A person wants other numbers on a card. It stays open with them, to be looked at; nothing is sent."""
        objection = self._copilot.objection(turn, command)
        if objection:
            return objection
        proposal = turn.ledger.proposals[command.proposal]
        handle, side = proposal.handle, proposal.side
        if not 0 < command.part <= 1:
            return f"{handle}: a part is above 0 and at most 1"
        quote = self._market.quote(proposal.symbol, turn.mono_ns)
        if quote is None or not quote.valid:
            return f"{handle}: there is no market now to size it on"
        stop, market = proposal.plan.stop, proposal.market if command.market is None else command.market
        touch = entry_price(side, quote.bid, quote.ask, maker=_makes(proposal) and not market)
        if command.stop is not None:
            if not command.stop.is_finite() or command.stop <= 0 or _passed(side, quote, touch, command.stop):
                return f"{handle}: stop {command.stop} is not behind the price"
            if command.stop > FARTHEST * Decimal(repr(touch)):
                return f"{handle}: stop {command.stop} is over {FARTHEST} times the price"
            instrument = self._market.symbols[proposal.symbol].instrument
            stop = instrument.stop(float(command.stop), side.opposite)
        most = proposal.qty * Decimal(repr(command.part))
        limit = self._reach(proposal, touch, most, market=True) if market else float(proposal.limit)
        if limit is None:
            return f"{handle}: the book does not hold {most} now"
        wish = replace(proposal.signal, risk_pct=self._directive.risk.trade_risk_pct)
        ruled, sized = self._fit(turn, wish, limit, most, stop)
        objection = _objection(ruled)
        if objection or isinstance(sized, str):
            return f"{handle} not edited: {objection or sized}"
        part = proposal.part * command.part
        edited = self._copilot.edit(turn, proposal, sized, market=market, part=part, by=by)
        return f"{handle} now {in_short(edited)}"

    def refresh(self, turn: Turn) -> None:
        """Keep the open cards honest: new numbers when price has left the shown ones."""
        for proposal in turn.ledger.cards():
            self._moved(turn, proposal)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _left(self, turn: Turn, signal: Signal) -> str:
        """Why a signal that has waited is not worth entering any more; empty when it is."""
        quote = self._market.quote(signal.symbol, turn.mono_ns)
        assert quote is not None
        side = signal.side
        touch = entry_price(side, quote.bid, quote.ask, maker=signal.post_only is True)
        if (touch - signal.limit) * side.sign > 0:
            return f"price left its limit {signal.limit:g} while it waited"
        return ""

    def _moved(self, turn: Turn, proposal: Proposal) -> bool:
        """Price is beyond the card's stop or its limit, or far from what it shows: it gets new numbers, or ends."""
        quote = self._market.quote(proposal.symbol, turn.mono_ns)
        if quote is None or not quote.valid:
            return False
        touch = entry_price(proposal.side, quote.bid, quote.ask, maker=_makes(proposal))
        if _passed(proposal.side, quote, touch, proposal.plan.stop):
            self._copilot.expire(turn, proposal, BEYOND)
            return True
        limit = float(proposal.limit)
        drift = self._directive.copilot.drift_pct / 100
        beyond = (touch - limit) * proposal.side.sign > 0
        away = runs_away(proposal.signal, touch)
        shown_away = runs_away(proposal.signal, limit)
        if _makes(proposal):
            # it may rest a little behind the touch, but not where it would take
            takes = (limit - entry_price(proposal.side, quote.bid, quote.ask)) * proposal.side.sign >= 0
            good = not takes and away - shown_away <= drift / 2
        else:
            good = not beyond and shown_away - away <= 2 * drift
        if good:
            return False
        reached = self._reach(proposal, touch, proposal.qty, market=proposal.market)
        if reached is None:
            self._copilot.expire(turn, proposal, "the book does not hold it any more")
            return True
        wish = replace(proposal.signal, risk_pct=max(proposal.signal.risk_pct, proposal.worst_pct))
        ruled, sized = self._fit(turn, wish, reached, proposal.qty, proposal.plan.stop)
        objection = _objection(ruled)
        if objection or isinstance(sized, str):
            self._copilot.expire(turn, proposal, objection or str(sized))
        elif sized.plan.target is None and runs_away(proposal.signal, float(sized.limit)) > WORST_R:
            self._copilot.expire(turn, proposal, "price ran away by half of its risk")
        elif sized.plan.target is not None and sized.r_multiple < WORST_R:
            self._copilot.expire(turn, proposal, f"price ran away: {sized.r_multiple:.1f} R left")
        elif (sized.limit, sized.qty) != (proposal.limit, proposal.qty):
            self._copilot.reprice(turn, proposal, sized)
        else:
            return False
        return True

    def _reach(self, proposal: Proposal, touch: float, qty: Decimal, *, market: bool) -> float | None:
        """The worst price that an entry now is reckoned with: some way beyond the touch, and at market also what the
        book shows for its size. None where the book does not hold it."""
        if _makes(proposal) and not market:
            return touch
        side, drift = proposal.side, self._directive.copilot.drift_pct / 100
        reach = touch + drift / 2 * proposal.signal.stop_distance * side.sign
        if not market:
            return reach
        state = self._market.symbols[proposal.symbol]
        ticks, found = state.book.sweep(side is Side.BUY, float(qty))
        if found < float(qty):
            return None
        return max(reach * side.sign, ticks * state.tick * side.sign) * side.sign

    def _judge(
        self, turn: Turn, signal: Signal, proposal: Proposal | None = None
    ) -> tuple[tuple[Verdict, ...], Sized | str] | str:
        quote = self._market.quote(signal.symbol, turn.mono_ns)
        if quote is None:
            return "the venue does not list it"
        swan = self._market.quote(self._directive.shield.swan_symbol, turn.mono_ns)
        blocked = self.blocked(turn) or self.objection(turn, signal)
        if blocked:
            return blocked
        if not self._market.symbols[signal.symbol].instrument.trading:
            return "the venue does not take orders on it, or not at our margin and leverage"
        if self._manager.drifts(turn, signal.symbol):
            return "the venue holds something else there than we know"
        day_pnl = accounting.day_pnl(turn.ledger, self._market.marks())
        verdicts = self._shield.judge_signal(turn, signal, quote, swan, day_pnl)
        if _objection(verdicts):
            return verdicts, ""
        if proposal is None:
            ruled, sized = self._fit(turn, signal, signal.limit)
            touch = entry_price(signal.side, quote.bid, quote.ask, maker=signal.post_only is True)
            if isinstance(sized, Sized) and _passed(signal.side, quote, touch, sized.plan.stop):
                return verdicts + ruled, BEYOND
            return verdicts + ruled, sized
        ruled = self._rule(turn, signal, proposal.qty, proposal.limit, proposal.plan.stop)
        scale = _scale(ruled)
        if scale < 1.0 and not _objection(ruled):
            return f"only {scale:.0%} of it fits the limits now"
        return verdicts + ruled, ""

    def _fit(
        self, turn: Turn, signal: Signal, limit: float, most: Decimal | None = None, stop: Decimal | None = None
    ) -> tuple[tuple[Verdict, ...], Sized | str]:
        """Size a signal at a limit, at most `most`, and cut it down to what the shield leaves of it."""
        sized = self._size(turn, signal, limit, most, stop)
        if isinstance(sized, str):
            return (), sized
        ruled = self._rule(turn, signal, sized.qty, sized.limit, sized.plan.stop)
        scale = _scale(ruled)
        if scale < 1.0 and not _objection(ruled):
            return ruled, self._size(turn, signal, limit, sized.qty * Decimal(repr(scale)), stop)
        return ruled, sized

    def _rule(self, turn: Turn, signal: Signal, qty: Decimal, limit: Decimal, stop: Decimal) -> tuple[Verdict, ...]:
        marks = self._market.marks()
        equity = accounting.equity(turn.ledger, marks)
        return self._shield.judge_size(
            turn,
            symbol=signal.symbol,
            side=signal.side,
            qty=qty,
            price=limit,
            stop=stop,
            equity=equity,
            day_pnl=accounting.day_pnl(turn.ledger, marks),
            marks=marks,
            venue_qty=self._manager.venue_qty,
            strangers=self._manager.strangers,
            book=self._market.symbols[signal.symbol].near(),
        )

    def _size(
        self, turn: Turn, signal: Signal, limit: float, most: Decimal | None, stop: Decimal | None
    ) -> Sized | str:
        instrument = self._market.symbols[signal.symbol].instrument
        equity = accounting.equity(turn.ledger, self._market.marks())
        if equity <= Decimal(0):
            return "equity is not known yet"
        risk = self._directive.risk
        kelly = self._record(turn, signal.strategy).kelly_pct(risk.kelly_part) if risk.kelly_part else None
        return size(
            signal,
            limit=limit,
            equity=equity,
            instrument=instrument,
            risk=risk,
            stop=stop,
            most=most,
            kelly_pct=kelly,
        )

    def _record(self, turn: Turn, strategy: str) -> Record:
        """Worked out once a closed trade."""
        newest = turn.ledger.closed[-1] if turn.ledger.closed else None
        known = self._records.get(strategy)
        if known is None or known[0] is not newest:
            known = self._records[strategy] = newest, record_of(strategy, turn.ledger.closed)
        return known[1]

    def _refuse(self, turn: Turn, signal: Signal, verdicts: tuple[Verdict, ...], reason: str, stage: str = "") -> None:
        self.refused += 1
        self.funnel.stop(turn.at_ns, stage or stage_of(verdicts), signal.symbol, reason)
        self._tell(turn, signal, verdicts, f"refused: {reason}")
        turn.note(Level.INFO, signal.symbol, f"{signal.strategy} {signal.side} refused: {reason}")

    def _tell(self, turn: Turn, signal: Signal, verdicts: tuple[Verdict, ...], outcome: str, proposal: int = 0) -> None:
        turn.record(
            SignalSeen(
                at_ns=turn.at_ns,
                signal=signal,
                verdicts=verdicts,
                outcome=outcome,
                proposal=proposal,
                quote=self._market.quote(signal.symbol, turn.mono_ns),
                equity=accounting.equity(turn.ledger, self._market.marks()),
            )
        )


def _makes(proposal: Proposal) -> bool:
    """It enters as a maker: a person has not asked for market instead."""
    return proposal.signal.post_only is True and not proposal.market


def _passed(side: Side, quote: Quote, touch: float, stop: Decimal) -> bool:
    """The touch of an entry, or the mark that triggers its stop, is at that stop or beyond."""
    return min(touch * side.sign, quote.mark * side.sign) <= float(stop) * side.sign


def _objection(verdicts: tuple[Verdict, ...]) -> str:
    for verdict in verdicts:
        if verdict.ruling is Ruling.REFUSE:
            return verdict.reason
    return ""


def _waits(verdicts: tuple[Verdict, ...]) -> int | None:
    """Until when to wait, where nothing but the settlement of funding keeps an entry out."""
    refusing = [verdict for verdict in verdicts if verdict.refuses]
    return refusing[0].until_ns if len(refusing) == 1 and refusing[0].guard == "funding" else None


def _scale(verdicts: tuple[Verdict, ...]) -> float:
    return min((v.scale for v in verdicts if v.ruling is Ruling.REDUCE), default=1.0)
