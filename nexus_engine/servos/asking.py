"""What we do not know of our orders, and when we last asked. None of it outlives the process: a restart asks anyway."""

from typing import Final

from nexus_engine.model.orders import Order
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Level, OrderStatus

TIMER: Final = "ask:"
CANCEL: Final = "cancel:"
FIRST_MS: Final = 300
AGAIN_MS: Final = 1_000
SLOWEST_MS: Final = 5_000
PATIENCE_NS: Final = 2_000_000_000
"""How long a question may hang before it is asked once more beside it: what it would tell may be a fill without a
stop."""
NOT_FOUND_TWICE_NS: Final = 10_000_000_000
"""Two looks this far apart must both find nothing before an order is taken for never placed: longer than the receive
window of a request that may still be under way."""


class Backoff:
    """Waits that double while something keeps failing, by key."""

    def __init__(self) -> None:
        self._wait_ms: dict[str, int] = {}

    def next(self, key: str, first_ms: int) -> int:
        """It failed (again): how long to wait now."""
        wait_ms = min(self._wait_ms.get(key, first_ms), max(first_ms, SLOWEST_MS))
        self._wait_ms[key] = wait_ms * 2
        return wait_ms

    def failing(self, key: str) -> bool:
        return key in self._wait_ms

    def reset(self, key: str) -> None:
        self._wait_ms.pop(key, None)


class Asker:
    """Resolves UNKNOWN by asking, never by sending again."""

    def __init__(self) -> None:
        self._under_way: dict[str, int] = {}
        self._absent_since: dict[str, int] = {}
        self._polled: dict[str, int] = {}
        self._backoff = Backoff()
        self._not_before: dict[str, int] = {}
        """Monotonic instant of the next poll after a question that failed, by client id."""
        self.seen: dict[str, int] = {}
        """Monotonic ns at which the venue last showed us an order, by client id."""

    def ask(self, turn: Turn, order: Order) -> None:
        """Ask now, unless an answer is awaited already, and not for long."""
        asked = self._under_way.get(order.client_id)
        if asked is None or turn.mono_ns - asked >= PATIENCE_NS:
            self._under_way[order.client_id] = turn.mono_ns
            turn.query(order)

    def later(self, turn: Turn, order: Order, after_ms: int = FIRST_MS) -> None:
        """Ask in a moment."""
        turn.timer(f"{TIMER}{order.client_id}", after_ms)

    def answered(self, client_id: str) -> None:
        """The question came back with the venue's word."""
        self._under_way.pop(client_id, None)
        self._backoff.reset(client_id)
        self._not_before.pop(client_id, None)

    def failed(self, turn: Turn, order: Order) -> None:
        """The question came back without one: ask again, later each time."""
        cid = order.client_id
        self._under_way.pop(cid, None)
        after_ms = self._backoff.next(cid, AGAIN_MS)
        self._not_before[cid] = turn.mono_ns + after_ms * 1_000_000
        self.later(turn, order, after_ms)

    def uncancelled(self, turn: Turn, order: Order) -> None:
        """The venue would not cancel it: it may be over, so ask now. Where it stands all the same and is cancelled in
        vain again, ask later each time."""
        key = f"{CANCEL}{order.client_id}"
        again = self._backoff.failing(key)
        after_ms = self._backoff.next(key, FIRST_MS)
        if again:
            self.later(turn, order, after_ms)
        else:
            self.ask(turn, order)

    def unknowable(self, order: Order) -> bool:
        """What became of it is not known, and the venue does not answer for it."""
        return order.status is OrderStatus.UNKNOWN and self._backoff.failing(order.client_id)

    def found(self, client_id: str, mono_ns: int) -> None:
        """The venue has it."""
        self.seen[client_id] = mono_ns
        self._absent_since.pop(client_id, None)

    def absent(self, turn: Turn, order: Order) -> bool:
        """The venue says that it has no such order. True once two looks, far enough apart, agree."""
        first = self._absent_since.setdefault(order.client_id, turn.mono_ns)
        if turn.mono_ns - first >= NOT_FOUND_TWICE_NS:
            return True
        self.later(turn, order, AGAIN_MS)
        return False

    def poll(self, turn: Turn, order: Order, silent_ns: int) -> None:
        """Ask for an order of which nothing was heard for so long: user events get lost."""
        cid = order.client_id
        stamps = (order.changed_mono_ns, self.seen.get(cid, 0), self._polled.get(cid, 0))
        # a stamp of an earlier boot may lie in the future
        last = max(stamp for stamp in (*stamps, 0) if stamp <= turn.mono_ns)
        if turn.mono_ns - last > silent_ns and turn.mono_ns >= self._not_before.get(cid, 0):
            self._polled[cid] = turn.mono_ns
            self.ask(turn, order)

    def missed(self, client_id: str) -> bool:
        """At least one look did not find it."""
        return client_id in self._absent_since

    def open(self, order: Order) -> bool:
        """The venue has not said yet what became of it. Once it has said that it has none such, the account can be
        compared without it: if it comes after all, its fills will tell."""
        unknown = order.status is OrderStatus.UNKNOWN or order.client_id in self._under_way
        return unknown and not self.missed(order.client_id)

    def forget(self, client_id: str) -> None:
        """The order is over."""
        self._backoff.reset(client_id)
        self._backoff.reset(f"{CANCEL}{client_id}")
        self._not_before.pop(client_id, None)
        self._under_way.pop(client_id, None)
        self._absent_since.pop(client_id, None)
        self._polled.pop(client_id, None)
        self.seen.pop(client_id, None)

    def never_placed(self, turn: Turn, order: Order) -> None:
        """The order does not exist and never will."""
        turn.change(order, OrderStatus.CANCELED, reason="the venue has no such order")
        turn.note(Level.WARN, order.symbol, f"{order.client_id} never reached the venue", "bot")
        self.forget(order.client_id)
