"""The account's own stream: orders, conditional orders, balances and positions; and the key that it needs.

A conditional order that triggers makes a plain order with a number of its own. Its updates and fills are delivered
under the conditional order's client id. Where such an update comes before the message that tells whose it is, it is
held for a moment; nothing is ever dropped.
"""

import asyncio
import random
from typing import Final

import msgspec
from msgspec.structs import replace

from nexus_engine.model.events import OrderUpdate
from nexus_engine.model.orders import PREFIX, OrderReport
from nexus_engine.model.ports import Sink
from nexus_engine.model.words import OrderStatus, Venue
from nexus_engine.uplink.binance import wire
from nexus_engine.uplink.binance.limits import Urgency
from nexus_engine.uplink.binance.outcomes import LISTEN_KEY_GONE, RestError
from nexus_engine.uplink.binance.rest import KEEP_LISTEN_KEY, NEW_LISTEN_KEY, BinanceRest
from nexus_engine.uplink.status import Status
from nexus_engine.uplink.stream import Stream, StreamDown
from nexus_engine.uplink.unreadable import UNREADABLE

FEED: Final = "user"
KEEP_S: Final = 300.0
"""A listen key lives for 60 minutes; one that is gone is silent, so it is asked after more often than that."""
KEEP_RETRY_S: Final = 60.0
HOLD_S: Final = 1.0
MOST_HELD: Final = 100
VENUES_OWN: Final = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")
"""Client ids of orders that the venue itself makes: liquidation, auto-deleveraging, settlement, delivery."""


class UserFeed:
    """Everything the venue tells of the account."""

    def __init__(self, rest: BinanceRest, sink: Sink, rng: random.Random) -> None:
        self._rest = rest
        self._clock = rest.clock
        self._ids = rest.order_ids
        self._sink = sink
        self._status = Status(Venue.BINANCE, FEED, self._clock, sink)
        self._held: dict[str, list[tuple[OrderUpdate, asyncio.TimerHandle]]] = {}
        """By order number: updates that may belong to a conditional order that we do not know of yet."""
        self._decode = msgspec.json.Decoder(wire.UserMessage, strict=False).decode
        self._decode_kind = msgspec.json.Decoder(_Kind).decode
        self._triggering: dict[str, asyncio.TimerHandle] = {}
        """By client id: conditional orders of which the order that they make is awaited."""
        self.stream = Stream(
            url=self._url,
            frame=self._frame,
            opened=self._status.up,
            down=self._down,
            clock=self._clock,
            rng=rng,
            counts=rest.counts,
        )

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.stream.run(), name="binance user stream")
                tasks.create_task(self._keep_key(), name="binance listen key")
                tasks.create_task(self._heed_refusals(), name="binance key")
        finally:
            self._release_all()
            for timer in self._triggering.values():
                timer.cancel()

    # ---- the key -----------------------------------------------------------------------------------------------------

    async def _url(self) -> str:
        try:
            key = (await self._rest.call(NEW_LISTEN_KEY, urgency=Urgency.QUERY)).listen_key
        except RestError as error:
            raise StreamDown(f"no listen key: {error}", error.retry_after_s) from None
        return f"{self._rest.settings.ws_url.rstrip('/')}/private/ws?listenKey={key}"

    async def _keep_key(self) -> None:
        wait_s = KEEP_S
        while True:
            await asyncio.sleep(wait_s)
            wait_s = KEEP_S
            try:
                await self._rest.call(KEEP_LISTEN_KEY, urgency=Urgency.QUERY)
            except RestError as error:
                if error.code == LISTEN_KEY_GONE:
                    self.stream.restart("the listen key is gone")
                else:
                    wait_s = max(KEEP_RETRY_S, error.retry_after_s)

    async def _heed_refusals(self) -> None:
        """Without its key an account is blind, whatever its socket still says: begin anew, which the venue refuses."""
        refused = self._rest.key_refused
        while True:
            await refused.wait()
            refused.clear()
            self.stream.restart("the venue refuses our key")

    # ---- messages ----------------------------------------------------------------------------------------------------

    def _frame(self, data: bytes, at_ns: int, mono_ns: int) -> None:
        try:
            msg = self._decode(data)
            match msg:
                case wire.OrderTradeUpdate(o=body):
                    self._order(body, at_ns, mono_ns)
                case wire.AlgoUpdate():
                    self._algo(msg, at_ns, mono_ns)
                case wire.AccountChange():
                    if msg.a.m == "MARGIN_TYPE_CHANGE":
                        self._rest.look_again.set()
                    self._sink(wire.account_event(msg, at_ns, mono_ns, self._rest.settings.leverage))
                case wire.ConfigChange():
                    self._rest.look_again.set()
                case wire.ListenKeyExpired():
                    raise StreamDown("the listen key expired")
        except UNREADABLE:
            kind = self._kind(data)
            if kind in _ACCOUNT_KINDS:
                # what it said of an order is lost: whoever listens has to read the account anew
                raise StreamDown("a message about the account cannot be read") from None
            if kind:
                self._rest.counts.word("an account event", kind)
            raise

    def _kind(self, data: bytes) -> str:
        try:
            return self._decode_kind(data).e
        except UNREADABLE:
            return ""

    def _order(self, body: wire.OrderBody, at_ns: int, mono_ns: int) -> None:
        if body.X not in wire.ORDER_STATUS:
            self._rest.counts.word("an order", body.X)
        event = OrderUpdate(at_ns=at_ns, mono_ns=mono_ns, report=wire.order_report(body), fill=wire.order_fill(body))
        if _may_be_child(body) and self._ids.parent(event.report.venue_id) is None:
            self._hold(event)
        else:
            self._deliver(event)

    def _deliver(self, event: OrderUpdate) -> None:
        report, fill = event.report, event.fill
        self._ids.learn(report.venue_id, report.client_id)
        parent = self._ids.parent(report.venue_id)
        if parent is not None:
            event = replace(
                event,
                report=replace(report, client_id=parent, conditional=True),
                fill=None if fill is None else replace(fill, client_id=parent),
            )
        self._sink(event)

    def _algo(self, msg: wire.AlgoUpdate, at_ns: int, mono_ns: int) -> None:
        report = wire.algo_report(msg)
        if msg.o.X not in wire.ALGO_STATUS:
            self._rest.counts.word("a conditional order", msg.o.X)
        self._await_its_order(report, triggering=msg.o.X == wire.TRIGGERING)
        if msg.o.ai not in ("", "0"):
            self._ids.learn_child(msg.o.ai, msg.o.caid)
            self._release(msg.o.ai)
        self._sink(OrderUpdate(at_ns=at_ns, mono_ns=mono_ns, report=report))

    def _await_its_order(self, report: OrderReport, *, triggering: bool) -> None:
        """A trigger is followed by its order, or the stop is not known to protect any more."""
        timer = self._triggering.pop(report.client_id, None)
        if timer is not None:
            timer.cancel()
        if triggering:
            later = asyncio.get_running_loop().call_later
            self._triggering[report.client_id] = later(wire.TRIGGERING_S, self._stuck, report)

    def _stuck(self, report: OrderReport) -> None:
        del self._triggering[report.client_id]
        at_ns, mono_ns = self._clock.utc_ns(), self._clock.mono_ns()
        report = replace(report, status=OrderStatus.UNKNOWN, reason=wire.STUCK)
        self._sink(OrderUpdate(at_ns=at_ns, mono_ns=mono_ns, report=report))

    # ---- holding -----------------------------------------------------------------------------------------------------

    def _hold(self, event: OrderUpdate) -> None:
        if sum(map(len, self._held.values())) >= MOST_HELD:
            self._release_all()
        order_id = event.report.venue_id
        timer = asyncio.get_running_loop().call_later(HOLD_S, self._release, order_id)
        self._held.setdefault(order_id, []).append((event, timer))

    def _release(self, order_id: str) -> None:
        for event, timer in self._held.pop(order_id, ()):
            timer.cancel()
            self._deliver(event)

    def _release_all(self) -> None:
        for order_id in list(self._held):
            self._release(order_id)

    # ---- status ------------------------------------------------------------------------------------------------------

    def _down(self, reason: str) -> None:
        self._release_all()
        self._status.down(reason)


class _Kind(msgspec.Struct, frozen=True):
    e: str


_ACCOUNT_KINDS: Final = frozenset({"ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE"})


def _may_be_child(body: wire.OrderBody) -> bool:
    """Made by a conditional order, as far as one can see: ours are reduce-only and become market orders."""
    return body.o == "MARKET" and body.R and not body.c.startswith((PREFIX, *VENUES_OWN))
