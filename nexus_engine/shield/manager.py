"""The Shield: looks at every price first, judges every signal and every size.

It keeps price windows only. What must outlive the process (locks, latches, streaks) is in the ledger, as facts.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.events import BarRow
from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK, GuardTripped, LockSet
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ZERO, OrderReport
from nexus_engine.model.positions import ClosedTrade
from nexus_engine.model.signals import Quote, Signal
from nexus_engine.model.turn import Turn
from nexus_engine.model.verdicts import Gauge, Reading, Verdict, allow, refuse
from nexus_engine.model.words import Level, Macro, Sentinel, Side
from nexus_engine.shield import breaker, exposure, lease, protections, sentinel, streak
from nexus_engine.shield.blackswan import ALERT, MINUTE_NS, SECOND_NS, BlackSwan, Fall, Rung
from nexus_engine.shield.case import Case, held
from nexus_engine.shield.drawdown import Drawdown
from nexus_engine.shield.guards import SIGNAL_GUARDS, cooldown, latched
from nexus_engine.shield.macro import MacroWatch
from nexus_engine.shield.staleness import unseen

REARM_NS = 30 * SECOND_NS
"""Before the lock of a trip runs out it is looked whether the market has settled."""


class Shield:
    """Pure and deterministic; every time comes with the turn."""

    def __init__(self, shield: ShieldConfig, risk: RiskConfig) -> None:
        self._shield = shield
        self._risk = risk
        self._swan = BlackSwan(shield)
        self.drawdown = Drawdown(risk)
        self.macro = MacroWatch()
        self.lock = lease.Lock()

    # ---- prices ------------------------------------------------------------------------------------------------------

    def price(self, turn: Turn, symbol: str, source: str, price: float, venue_ns: int, qty: float = 0.0) -> bool:
        """Show it a price of `trade` (with its quantity), `mark` or `mid`; `venue_ns` is the market's clock.

        True exactly on a trip of the black swan, or on an escalation while it is locked: the lock and the evidence are
        recorded then, and every long must go.
        """
        if symbol != self._shield.swan_symbol:
            return False
        now_ns, locks = turn.market_ns, turn.ledger.locks
        lock, alert = locks.get(SWAN_LOCK), locks.get(SWAN_ALERT)
        locked = lock is not None and lock.until_ns > now_ns
        # An alert is renewed in the second half of its time.
        alerted = alert is not None and alert.until_ns > now_ns + self._shield.swan_alert_min * MINUTE_NS // 2
        fall = self._swan.tick(source, price, venue_ns, turn.mono_ns, locked=locked, alerted=alerted, qty=qty)
        if fall is not None:
            self._trip(turn, fall)
            return fall.rung != ALERT
        if locked and lock is not None and lock.until_ns - now_ns < REARM_NS and not self._swan.settled(now_ns):
            turn.record(LockSet(at_ns=turn.at_ns, name=SWAN_LOCK, until_ns=now_ns + 2 * REARM_NS, reason=lock.reason))
        return False

    def rearm(self, turn: Turn, by: str) -> str:
        """A person lets longs in again, from the price of now on. Returns what to tell them."""
        held_now = [name for name in (SWAN_LOCK, SWAN_ALERT) if held(turn.ledger, name, turn.market_ns)]
        if not held_now:
            return "longs are not locked"
        for name in held_now:
            turn.record(LockSet(at_ns=turn.at_ns, name=name, until_ns=turn.market_ns, reason=f"re-armed by {by}"))
        self._swan.rearm(turn.market_ns)
        turn.note(Level.WARN, self._shield.swan_symbol, "longs may be opened again; falls count from here", by)
        return "re-armed: longs may be opened again"

    def history(self, symbol: str, rows: Sequence[BarRow], market_ns: int) -> None:
        """Closed 1 minute bars, oldest first: rebuild the highs after a start or a reconnect. Never trips by itself."""
        if symbol == self._shield.swan_symbol:
            self._swan.seed(rows, market_ns)

    def _trip(self, turn: Turn, fall: Fall) -> None:
        where = f"its {fall.minutes} min high" if fall.minutes else "where the black swan tripped"
        reason = f"{self._shield.swan_symbol} fell {fall.drop_pct:.1f} % under {where}"
        alert = fall.rung == ALERT
        minutes = self._shield.swan_alert_min if alert else self._shield.swan_lock_min
        until_ns = turn.market_ns + minutes * MINUTE_NS
        readings = (
            Reading("fall", fall.drop_pct, fall.limit_pct, "%"),
            Reading("window", fall.minutes, unit="min"),
            Reading("high", fall.high),
            Reading("low", fall.low),
            Reading("mark", fall.mark),
            Reading("filtered", fall.filtered),
            Reading("median of", self._shield.swan_median),
            Reading("confirmations", self._shield.swan_confirmations),
            Reading("held", fall.held_ms, unit="ms"),
            *((Reading("volume", fall.volume, self._shield.swan_extreme_volume, "x"),) if fall.volume else ()),
        )
        name = SWAN_ALERT if alert else SWAN_LOCK
        verdict = refuse(name, reason, *readings, side=Side.BUY, until_ns=until_ns)
        turn.record(GuardTripped(at_ns=turn.at_ns, verdict=verdict, evidence=fall.evidence))
        turn.record(LockSet(at_ns=turn.at_ns, name=name, until_ns=until_ns, reason=reason))
        if alert:
            turn.note(Level.WARN, self._shield.swan_symbol, f"{reason}: no new longs for {minutes} min", "sentinel")

    # ---- judgements --------------------------------------------------------------------------------------------------

    def judge_signal(
        self, turn: Turn, signal: Signal, quote: Quote, swan_quote: Quote | None, day_pnl: Decimal
    ) -> tuple[Verdict, ...]:
        """One verdict a guard, the allowing ones included, in the order of the table."""
        case = Case(
            ledger=turn.ledger,
            market_ns=turn.market_ns,
            at_ns=turn.at_ns,
            mono_ns=turn.mono_ns,
            lock=self.lock,
            shield=self._shield,
            risk=self._risk,
            signal=signal,
            day_pnl=day_pnl,
            quote=quote,
            swan_quote=swan_quote,
            falls=tuple(
                Reading(f"fall {minutes}m", drop, self._shield.swan_drop_pct, "%")
                for minutes, drop in self._swan.falls(turn.market_ns)
            ),
            macro=self.macro,
        )
        return tuple(guard(case) for guard in SIGNAL_GUARDS)

    def judge_size(
        self,
        turn: Turn,
        *,
        symbol: str,
        side: Side,
        qty: Decimal,
        price: Decimal,
        stop: Decimal,
        equity: Decimal,
        day_pnl: Decimal,
        marks: Mapping[str, Decimal],
        venue_qty: Mapping[str, Decimal] = exposure.NOTHING,
        strangers: Collection[OrderReport] = (),
        book: Decimal | None = None,
    ) -> tuple[Verdict, ...]:
        """Judge a size before it leaves: the stop's side, exposure, open risk, the book's depth (`book`: what its
        thinner side holds within 10 bp), and the day's loss.

        A REDUCE leaves `scale` of `qty`; the smallest scale of all verdicts fits every limit.
        """
        ledger = turn.ledger
        marks = {name: mark for name, mark in marks.items() if mark.is_finite() and mark > 0}
        held = exposure.measure(ledger, marks, venue_qty, strangers)
        behind = (price - stop) * side.sign > 0
        return (
            allow("stop") if behind else refuse("stop", f"stop {stop} is not behind the entry {price}"),
            *exposure.judge(
                held,
                self._risk,
                symbol=symbol,
                side=side,
                qty=qty,
                worth=max(price, marks.get(symbol, ZERO)),
                risk_per_unit=abs(price - stop),
                equity=equity,
            ),
            exposure.count(held, self._risk, symbol),
            exposure.depth(qty, book, self._shield.min_depth),
            exposure.liquidation(self._risk, price, stop),
            streak.day_loss(ledger, self._risk, day_pnl),
        )

    def closed(self, turn: Turn, trades: Sequence[ClosedTrade]) -> None:
        """Call once for the trades that closed in this turn: the pauses that follow from them."""
        for trade in trades:
            protections.closed(turn, trade, self._shield)
            self.streak(turn, trade.strategy)

    def streak(self, turn: Turn, strategy: str) -> None:
        """Pause a strategy that has lost too often in a row."""
        streak.pause(turn, strategy, self._shield)

    def ordered(self, turn: Turn) -> None:
        """Call at the end of a turn: trips the breakers on our own orders."""
        breaker.look(turn, self._shield)

    def entries_blocked(
        self,
        turn_market_ns: int,
        ledger: Ledger,
        swan_quote: Quote | None,
        day_pnl: Decimal,
        at_ns: int | None = None,
    ) -> str:
        """Why no entry at all may leave now; empty when one may. `at_ns` is UTC, the market's time without it."""
        at_ns = turn_market_ns if at_ns is None else at_ns
        lock = cooldown(ledger, turn_market_ns, frozenset(), others=True)
        budgets = (
            streak.day_loss(ledger, self._risk, day_pnl),
            streak.day_r(ledger, self._risk, at_ns, turn_market_ns),
            streak.week_r(ledger, self._risk, at_ns, turn_market_ns),
            breaker.day_orders(ledger, self._shield),
        )
        return (
            latched(ledger)
            or unseen(self._shield.swan_symbol, swan_quote, self._shield.stale_ms)
            or (lock.reason if lock is not None else "")
            or next((verdict.reason for verdict in budgets if verdict.refuses), "")
        )

    # ---- what it shows -----------------------------------------------------------------------------------------------

    def sentinel(
        self,
        ledger: Ledger,
        market_ns: int,
        swan_quote: Quote | None,
        worst_age_ms: int | None,
        macro: Macro = Macro.UNKNOWN,
    ) -> tuple[Sentinel, str]:
        """The badge and its reason in words."""
        shark = self.macro.judged(ledger.macro).reason if macro is Macro.SHARK else ""
        return sentinel.badge(self._shield, ledger, market_ns, swan_quote, worst_age_ms, shark)

    def ladder(self, market_ns: int) -> tuple[tuple[Rung, float], ...]:
        """Every rung of the black swan, and how far the price is under the high of its window, in percent."""
        return self._swan.ladder(market_ns)

    def gauges(
        self,
        ledger: Ledger,
        market_ns: int,
        *,
        equity: float,
        exposure_pct: float,
        day_pnl: float,
        strategies: Collection[str],
    ) -> tuple[Gauge, ...]:
        """Every guard's distance to what it does next, tightest first."""
        return sentinel.gauges(
            self._shield,
            self._risk,
            ledger,
            self._swan.ladder(market_ns),
            market_ns=market_ns,
            equity=equity,
            exposure_pct=exposure_pct,
            day_pnl=day_pnl,
            strategies=strategies,
        )
