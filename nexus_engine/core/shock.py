"""What a fall of Bitcoin would do to the account, as a trader would ask before saying yes to one more position."""

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from nexus_engine.core import accounting
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.view import Shock

DROP_PCT: Final = 10.0
STOPPED: Final = "stopped"
LIQUIDATED: Final = "liquidated"


class Shocks:
    """Each symbol moves by its beta times the fall, from its mark. A stop that is passed fills at its price, unless the
    liquidation price comes first. Fees, and what such a fall does to spreads, are not in it."""

    def __init__(
        self,
        ledger: Ledger,
        marks: accounting.Marks,
        liquidation: Mapping[str, Decimal | None],
        beta: Callable[[str], float],
    ) -> None:
        self._beta = beta
        self._equity = float(accounting.equity(ledger, marks))
        self._pnl = self._left = 0.0
        self._ends: Counter[tuple[str, str]] = Counter()
        for position in ledger.positions.values():
            symbol, stop = position.symbol, position.plan.stop
            self._hit(symbol, position.qty, marks.get(symbol, position.entry), stop, liquidation.get(symbol))
        for symbol, qty in ledger.foreign.items():
            self._hit(symbol, qty, marks.get(symbol, ZERO), None, liquidation.get(symbol))

    @property
    def pnl(self) -> float:
        """What the account as it stands makes of the fall."""
        return self._pnl

    def with_card(self, card: Proposal) -> Shock:
        """The account with this card filled at its limit."""
        before = self._pnl, self._left, self._ends.copy()
        self._hit(card.symbol, card.qty * card.side.sign, card.limit, card.plan.stop, None)
        equity = self._equity + self._pnl
        exposure = f"exposure {self._left / equity:.0%}" if equity > 0 else "no equity left"
        stopped = self._said(STOPPED) or "no stop hit"
        text = f"{stopped}, {self._pnl:+.2f}; {self._said(LIQUIDATED) or 'no liquidation'}; {exposure}"
        shock = Shock(drop_pct=DROP_PCT, pnl=self._pnl, text=text)
        self._pnl, self._left, self._ends = before
        return shock

    def _hit(self, symbol: str, qty: Decimal, mark: Decimal, stop: Decimal | None, liquidation: Decimal | None) -> None:
        """Add what becomes of one position."""
        sign = 1 if qty > 0 else -1
        now = float(mark)
        then = now * (1 - self._beta(symbol) * DROP_PCT / 100)
        ends = [(float(price), end) for price, end in ((stop, STOPPED), (liquidation, LIQUIDATED)) if price]
        passed = [(price, end) for price, end in ends if (then - price) * sign <= 0]
        if passed:
            then, end = max(passed, key=lambda one: one[0] * sign)
            self._ends["long" if sign > 0 else "short", end] += 1
        else:
            self._left += abs(float(qty)) * then
        self._pnl += (then - now) * float(qty)

    def _said(self, end: str) -> str:
        counted = ((side, self._ends[side, end]) for side in ("long", "short"))
        sides = [side if count == 1 else f"{count} {side}s" for side, count in counted if count]
        return f"{' and '.join(sides)} {end}" if sides else ""
