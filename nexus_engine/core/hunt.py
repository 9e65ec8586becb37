"""What the Shark may know, and what takes its entries back: the macro state, the ranked targets, the squeeze rule."""

from typing import Final

from nexus_engine.core.market import HOURLY, Market
from nexus_engine.cortex.shark import QUIET, Shark
from nexus_engine.cortex.strategy import Context
from nexus_engine.cortex.targets import SQUEEZE_INTERVAL, Targets, squeeze
from nexus_engine.model.config import ShieldConfig
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Leg, Level, Macro, OrderStatus
from nexus_engine.servos.copilot import Copilot

_ALL: Final = 1_000
"""Its table ranks every symbol at once: what it decides must not hang on when somebody looked."""


class Hunt:
    """Holds a table of its own beside the screen's, so that a decision depends on events alone."""

    def __init__(self, config: ShieldConfig) -> None:
        self._leader = config.swan_symbol
        self._targets = Targets(config.swan_symbol, config.max_spread_bp, at_once=_ALL)
        self._squeezed = ""

    def squeeze(self, market: Market) -> str:
        """What the squeeze rule says: `quiet`, `unknown`, or why shorts are dangerous now."""
        state = market.symbols.get(self._leader)
        return "unknown" if state is None else squeeze(state.bars.get(SQUEEZE_INTERVAL), state.last)

    def context(self, turn: Turn, market: Market, macro: Macro) -> Context:
        """At the close of a bar. Nothing is ranked while nothing may be hunted."""
        if macro is not Macro.SHARK:
            return Context(macro=macro)
        hours = {symbol: state.bars.get(HOURLY, ()) for symbol, state in market.symbols.items()}
        quotes = {symbol: state.quote(turn.mono_ns) for symbol, state in market.symbols.items()}
        return Context(
            macro=macro,
            targets=self._targets.table(hours, quotes, market.now_ns),
            squeeze=self.squeeze(market),
            hunted=_hunted(turn.ledger),
        )

    def objection(self, strategy: str, market: Market) -> str:
        """Why no entry of this strategy may leave now; empty for all but the Shark."""
        if strategy != Shark.name:
            return ""
        said = self.squeeze(market)
        return "" if said == QUIET else f"squeeze: {said}"

    def look(self, turn: Turn, market: Market, copilot: Copilot) -> None:
        """When the squeeze rule fires, its open cards end and its working entries are cancelled. What it holds keeps
        its stop."""
        said = self.squeeze(market)
        fired = said if said not in (QUIET, "unknown") else ""
        if fired and not self._squeezed and _hunted(turn.ledger):
            turn.note(Level.WARN, self._leader, f"squeeze: {fired}: the Shark enters nothing", "shield")
            withdraw(turn, copilot, Shark.name, f"squeeze: {fired}")
        self._squeezed = fired


def withdraw(turn: Turn, copilot: Copilot, strategy: str, reason: str) -> int:
    """End a strategy's open cards and cancel its working entries. Returns how many."""
    cards = [card for card in turn.ledger.cards() if card.strategy == strategy]
    for card in cards:
        copilot.expire(turn, card, reason)
    entries = [
        order
        for order in turn.ledger.alive(leg=Leg.ENTRY)
        if order.strategy == strategy and order.status is not OrderStatus.PENDING_CANCEL
    ]
    for order in entries:
        turn.cancel(order)
    return len(cards) + len(entries)


def _hunted(ledger: Ledger) -> frozenset[str]:
    """Symbols that the Shark holds, is entering or has a card for."""
    name = Shark.name
    return frozenset(
        [position.symbol for position in ledger.positions.values() if position.strategy == name]
        + [order.symbol for order in ledger.alive(leg=Leg.ENTRY) if order.strategy == name]
        + [card.symbol for card in ledger.cards() if card.strategy == name]
    )
