"""`crash_venue.py WORDS`: `nexus exchange` with an eye on its own books, for an engine that is killed again and again.

The same program, with two things added. On standard output it says what it is asked, a line a request, so that a test
can kill at that moment. On standard input it is told `life` before an engine starts and `dead` after it was killed, and
answers in JSON; `look` asks which symbols are naked, `books` for everything at the end; `fall` has Bitcoin fall.
"""

import asyncio
import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checker import Checker
from world import World, leg_of

from nexus_engine.model.config import Directive
from nexus_engine.model.words import Leg
from nexus_engine.sim import exchange, limits, wire_market
from nexus_engine.sim.faults import Fault
from nexus_engine.sim.server import Server

LOOK_S = 0.02
LIMIT_S = 3.0
FALLEN = "80000"
"""More under its price than any black swan asks for, and less than what is no price."""
UNLIMITED = 1_000_000
"""Of weight and orders: a start a second is more than an address may make."""
TOLD = {
    ("POST", "/fapi/v1/order"): "order",
    ("POST", "/fapi/v1/algoOrder"): "order",
    ("DELETE", "/fapi/v1/order"): "cancel",
    ("DELETE", "/fapi/v1/algoOrder"): "cancel",
    ("GET", "/fapi/v3/positionRisk"): "snapshot",
}


class Books(World):
    """The venue's side of a world: what the checker looks at, with an engine that is somewhere else."""

    def __init__(self, venue: Any) -> None:
        self.venue, self.tape, self.directive = venue, venue.market, Directive()
        self.wire = SimpleNamespace(dead=True)  # type: ignore[assignment]

    @property
    def s(self) -> float:
        return time.monotonic()

    @property
    def naked(self) -> list[str]:
        return [symbol for symbol in self.tape.symbols if not self.protected(symbol)]


class Prices:
    """A market under the name that a tape has for a price."""

    def __init__(self, market: Any) -> None:
        self.symbols, self.specs, self.price = market.symbols, market.specs, market.last


class Watched(Server):
    """The server, and who looks at it."""

    def __init__(self, venue: Any, **more: Any) -> None:
        super().__init__(venue, **more)
        self.books = Books(venue)
        self.books.tape = Prices(venue.market)
        self.checker = Checker(self.books, LIMIT_S)
        self.since: dict[str, float] = {}
        """When each symbol that is naked became so, whoever was alive."""
        self.naked_s: list[float] = []
        asked = self._faults.request
        self._faults.request = lambda method, path, fields: (  # type: ignore[method-assign]
            _say(TOLD.get((method, path), "")) or asked(method, path, fields)
        )

    async def run_clock(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), self._told)
        looking = loop.create_task(self._look())
        try:
            await super().run_clock()
        finally:
            looking.cancel()
            loop.remove_reader(sys.stdin.fileno())

    async def _look(self) -> None:
        while True:
            self.checker.look()
            naked, now_s = set(self.books.naked), time.monotonic()
            for symbol in naked - self.since.keys():
                self.since[symbol] = now_s
            for symbol in self.since.keys() - naked:
                self.naked_s.append(now_s - self.since.pop(symbol))
            await asyncio.sleep(LOOK_S)

    def _told(self) -> None:
        word = sys.stdin.readline().strip()
        if word in ("life", "dead"):
            self.books.wire.dead = word == "dead"
        if word == "fall":
            faults = [
                Fault(on="stream /market", kind="edit", match={"e": kind, "s": "BTCUSDT"}, count=0, edit={"p": FALLEN})
                for kind in ("aggTrade", "markPriceUpdate")
            ]
            self._faults.__init__(faults)  # type: ignore[misc]
        self.checker.look()
        answer: dict[str, Any] = {"naked": self.books.naked}
        if word == "books":
            answer = self._all()
        _say("= " + json.dumps(answer))

    def _all(self) -> dict[str, Any]:
        account, specs = self.venue.account, self.venue.market.specs
        ledger = account.ledger
        fills = []
        for fill in ledger.fills:
            order = ledger.orders[fill.order_id]
            parent = ledger.algos.get(order.algo_id)
            spec = specs[fill.symbol]
            cid = order.client_id if parent is None else parent.client_id
            fills.append([fill.symbol, str(fill.trade_id), cid, str(fill.lots * spec.step)])
        plain = [order.client_id for order in ledger.orders.values() if not order.algo_id]
        ids = [*plain, *(algo.client_id for algo in ledger.algos.values())]
        created = {order.client_id: order.created_ms for order in (*ledger.orders.values(), *ledger.algos.values())}
        return {
            "found": self.checker.found,
            "naked_alive_s": self.checker.naked_s,
            "naked_s": self.naked_s,
            "fills": fills,
            "ids": ids,
            "created_ms": created,
            "entries": [cid for cid in plain if leg_of(cid) is Leg.ENTRY],
            "stops": sum(leg_of(cid) is Leg.STOP for cid in ids),
            "open": [order.client_id for order in account.resting.values()]
            + [algo.client_id for algo in account.conditionals.open.values()],
            "held": {
                symbol: str(amount)
                for symbol in specs
                if (amount := account.position_state(symbol, self.venue).amount) != Decimal(0)
            },
            "wallet": str(ledger.wallet),
        }


def _say(line: str) -> None:
    if line:
        print(line, flush=True)


if __name__ == "__main__":
    for name in ("WEIGHT_LIMIT_1M", "ORDER_LIMIT_1M", "ORDER_LIMIT_10S"):
        setattr(limits, name, UNLIMITED)
        setattr(wire_market, name, UNLIMITED)
    exchange.LISTED_ROWS = UNLIMITED
    exchange.Server = Watched  # type: ignore[misc]
    raise SystemExit(exchange.main(sys.argv[1:]))
