"""Proposals: made, shown, decided once, or run out."""

from msgspec.structs import replace

from nexus_engine.model.commands import Approve, Edit
from nexus_engine.model.config import CopilotConfig
from nexus_engine.model.facts import ProposalChanged, ProposalMade
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import Signal
from nexus_engine.model.told import price, quantity
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Verdict
from nexus_engine.model.words import Level, ProposalStatus
from nexus_engine.servos.sizing import Sized

TIMER = "proposal:"


class Copilot:
    """Keeps the open proposals. Whoever decides first wins; every later answer is told what happened."""

    def __init__(self, config: CopilotConfig) -> None:
        self._config = config

    def full(self, turn: Turn) -> bool:
        """No card more fits beside the open ones."""
        return sum(1 for _ in turn.ledger.cards()) >= self._config.max_open

    def propose(self, turn: Turn, signal: Signal, sized: Sized, verdicts: tuple[Verdict, ...]) -> Proposal:
        """Make a proposal out of a judged and sized signal."""
        life_ns = self._config.expiry_s * 1_000_000_000
        proposal = Proposal(
            id=turn.ledger.next_intent,
            symbol=signal.symbol,
            side=signal.side,
            strategy=signal.strategy,
            qty=sized.qty,
            limit=sized.limit,
            plan=sized.plan,
            leverage=sized.leverage,
            worst=sized.worst,
            worst_pct=sized.worst_pct,
            r_multiple=sized.r_multiple,
            signal=signal,
            verdicts=verdicts,
            made_ns=turn.at_ns,
            expires_ns=turn.at_ns + life_ns,
            expires_mono_ns=turn.mono_ns + life_ns,
        )
        turn.record(ProposalMade(at_ns=turn.at_ns, proposal=proposal))
        turn.timer(f"{TIMER}{proposal.id}", self._config.expiry_s * 1_000)
        return proposal

    def reprice(self, turn: Turn, proposal: Proposal, sized: Sized) -> Proposal:
        """Price moved away from what the card shows: new numbers, same handle, same expiry, to be looked at again."""
        return self._renew(turn, proposal, sized, ProposalStatus.STALE, market=proposal.market, part=proposal.part)

    def edit(self, turn: Turn, proposal: Proposal, sized: Sized, *, market: bool, part: float, by: str) -> Proposal:
        """A person wants other numbers: same handle, same expiry, to be looked at again."""
        edited = self._renew(turn, proposal, sized, ProposalStatus.PENDING, market=market, part=part)
        text = f"{edited.handle} edited: {in_short(edited)}, worst -{edited.worst:,.2f}"
        turn.note(Level.INFO, edited.symbol, text, by)
        return edited

    @staticmethod
    def _renew(
        turn: Turn, proposal: Proposal, sized: Sized, status: ProposalStatus, *, market: bool, part: float
    ) -> Proposal:
        renewed = replace(
            proposal,
            qty=sized.qty,
            limit=sized.limit,
            plan=sized.plan,
            worst=sized.worst,
            worst_pct=sized.worst_pct,
            r_multiple=sized.r_multiple,
            market=market,
            part=part,
            status=status,
        )
        turn.record(ProposalMade(at_ns=turn.at_ns, proposal=renewed))
        return renewed

    def objection(self, turn: Turn, command: Approve | Edit) -> str:
        """Why this answer to a card cannot be taken; empty when it can. Expiry and what was shown are checked here."""
        proposal = turn.ledger.proposals.get(command.proposal)
        if proposal is None:
            return f"P{command.proposal}: there is no such proposal"
        if not proposal.status.open:
            return f"{proposal.handle} is already {proposal.status}"
        if turn.mono_ns >= proposal.expires_mono_ns:
            self.expire(turn, proposal, "nobody answered")
            return f"{proposal.handle} has expired"
        if command.shown != proposal.shown:
            return f"{proposal.handle} has new numbers since you saw it: look again"
        return ""

    def decide(self, turn: Turn, proposal: Proposal, status: ProposalStatus, by: str, reason: str = "") -> None:
        """Take a proposal out of the open ones, once."""
        turn.record(ProposalChanged(at_ns=turn.at_ns, proposal=proposal.id, status=status, by=by, reason=reason))

    def reject(self, turn: Turn, number: int, by: str) -> str:
        """A person said no. Returns what to tell them."""
        proposal = turn.ledger.proposals.get(number)
        if proposal is None:
            return f"P{number}: there is no such proposal"
        if not proposal.status.open:
            return f"{proposal.handle} is already {proposal.status}"
        self.decide(turn, proposal, ProposalStatus.REJECTED, by)
        turn.note(Level.INFO, proposal.symbol, f"{proposal.handle} rejected", by)
        return f"{proposal.handle} rejected"

    def expire(self, turn: Turn, proposal: Proposal, reason: str) -> None:
        """A proposal ran out."""
        self.decide(turn, proposal, ProposalStatus.EXPIRED, "", reason)
        turn.note(Level.INFO, proposal.symbol, f"{proposal.handle} expired: {reason}")

    def expire_all(self, turn: Turn, reason: str, *, longs_only: bool = False) -> None:
        """Nothing that waits may be approved any more."""
        for proposal in turn.ledger.cards():
            if not longs_only or proposal.side.sign > 0:
                self.expire(turn, proposal, reason)

    def timer(self, turn: Turn, number: int) -> None:
        """A proposal's time is over."""
        proposal = turn.ledger.proposals.get(number)
        if proposal is not None and proposal.status.open:
            self.expire(turn, proposal, "nobody answered")

    def resume(self, turn: Turn) -> None:
        """After a restart nobody has the old cards before their eyes any more."""
        self.expire_all(turn, "the engine restarted")


def in_short(proposal: Proposal) -> str:
    """`4,819 at 0.7990, stop 0.7810`."""
    at = "market" if proposal.market else price(proposal.limit)
    return f"{quantity(proposal.qty)} at {at}, stop {price(proposal.plan.stop)}"
