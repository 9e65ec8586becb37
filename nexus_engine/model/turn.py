"""One event's turn: what the zones do while the engine looks at it."""

from decimal import Decimal

from nexus_engine.model.effects import AnyEffect, Cancel, Notify, Query, Record, SetTimer, Snapshot, Submit
from nexus_engine.model.facts import AnyFact, Noted, OrderChanged, OrderIntended, Sealed
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import ExitPlan, Order, client_id
from nexus_engine.model.words import Leg, Level, OrderKind, OrderStatus, Side, TimeInForce, Venue


class Turn:
    """Collects effects in order. A fact changes the ledger at once, so what follows in the turn sees it."""

    __slots__ = ("_touched", "at_ns", "effects", "ledger", "market_ns", "mono_ns")

    def __init__(self, ledger: Ledger, *, at_ns: int, mono_ns: int, market_ns: int) -> None:
        self.ledger = ledger
        self.at_ns = at_ns
        self.mono_ns = mono_ns
        self.market_ns = market_ns
        """The market's clock: what cool-downs and time stops run on."""
        self.effects: list[AnyEffect] = []
        self._touched = False

    def record(self, fact: AnyFact) -> None:
        """Make it so, and have it journalled."""
        if self.ledger.apply(fact):
            self._touched = True
        self.effects.append(Record(fact=fact))

    def seal(self) -> list[AnyEffect]:
        """End the turn: the state's hash follows the facts that changed it. Returns the effects."""
        if self._touched:
            self.effects.append(Record(fact=Sealed(at_ns=self.at_ns, digest=self.ledger.digest())))
        return self.effects

    def submit(
        self,
        *,
        leg: Leg,
        symbol: str,
        side: Side,
        kind: OrderKind,
        qty: Decimal,
        intent: int,
        price: Decimal | None = None,
        trigger: Decimal | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        strategy: str = "",
        by: str = "bot",
        leverage: int = 1,
        plan: ExitPlan | None = None,
    ) -> Order:
        """Intend an order and send it. Whatever is not an entry is reduce-only, so that nothing can flip."""
        ledger = self.ledger
        attempt = ledger.sent(intent, leg) + 1
        while (cid := client_id(ledger.instance, ledger.epoch, intent, leg, attempt)) in ledger.orders:
            attempt += 1
        order = Order(
            client_id=cid,
            symbol=symbol,
            side=side,
            kind=kind,
            leg=leg,
            intent=intent,
            qty=qty,
            price=price,
            trigger=trigger,
            tif=tif,
            reduce_only=leg is not Leg.ENTRY,
            strategy=strategy,
            by=by,
            leverage=leverage,
            plan=plan,
            created_ns=self.at_ns,
            changed_ns=self.at_ns,
            changed_mono_ns=self.mono_ns,
        )
        self.record(OrderIntended(at_ns=self.at_ns, order=order))
        self.effects.append(Submit(order=order, exit=leg is not Leg.ENTRY))
        return order

    def change(self, order: Order, status: OrderStatus, *, venue_id: str = "", reason: str = "") -> None:
        """Record an order's new state; nothing when it would not change."""
        if order.status is status and (not venue_id or venue_id == order.venue_id):
            return
        self.record(
            OrderChanged(
                at_ns=self.at_ns,
                client_id=order.client_id,
                status=status,
                venue_id=venue_id,
                reason=reason,
                mono_ns=self.mono_ns,
            )
        )

    def cancel(self, order: Order) -> None:
        """Ask for an order's end. It counts as alive until the venue confirms."""
        if not order.alive or order.status is OrderStatus.PENDING_CANCEL:
            return
        self.change(order, OrderStatus.PENDING_CANCEL)
        self.effects.append(Cancel(client_id=order.client_id, symbol=order.symbol, conditional=order.conditional))

    def query(self, order: Order) -> None:
        """Ask the venue what became of an order."""
        self.effects.append(Query(client_id=order.client_id, symbol=order.symbol, conditional=order.conditional))

    def snapshot(self, venue: Venue) -> None:
        """Ask the venue for the whole account."""
        self.effects.append(Snapshot(venue=venue))

    def timer(self, key: str, after_ms: int) -> None:
        """Be called back on the real clock."""
        self.effects.append(SetTimer(key=key, due_mono_ns=self.mono_ns + after_ms * 1_000_000))

    def note(self, level: Level, subject: str, text: str, by: str = "bot") -> None:
        """A line for the event log, the journal and whoever listens."""
        self.record(Noted(at_ns=self.at_ns, level=level, subject=subject, by=by, text=text))
        self.effects.append(Notify(level=level, subject=subject, by=by, text=text))
