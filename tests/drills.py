"""Every fault that a venue can commit, one by one, against the running engine: the real adapter on the loopback venue.

`make faults` runs them all and prints fault, what was seen, and whether every invariant held; the suite runs some.
The venue's own books are what is checked (`checker`). Time is virtual.
"""
# ruff: noqa: E501  the table is read row by row

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from checker import Checker
from wire_world import OUR_CLOCKS, VENUE_CLOCKS, WireWorld, run_warped
from world import SOL

from nexus_engine.model.commands import ClosePosition
from nexus_engine.model.words import Leg, Side
from nexus_engine.sim.faults import Fault

NAKED_S = 2.5
"""Two seconds of patience, and the exit's way to the venue."""
CALM_S = 45.0
"""The longest silence asked for here, and the two looks that prove an order absent, come before it."""
WAIT_S = 30.0
PLACE, ALGO, ORDER = "POST /fapi/v1/order", "POST /fapi/v1/algoOrder", "GET /fapi/v1/order"
BUY, SELL = {"side": "BUY"}, {"side": "SELL"}
PLUNGE, RETURN = 148.0, 150.0

Story = Callable[[WireWorld], Awaitable[None]]


# ---- stories -----------------------------------------------------------------------------------------------------


async def trade(world: WireWorld) -> None:
    """Enter, hold for a while, be stopped out. Whatever does not come about for the fault is waited for, not insisted
    on: the checker says what may not happen."""
    await ready(world)
    world.wish(target_pct=None)
    await settled(world)
    await world.run(12.0)
    world.tape.move(SOL, PLUNGE)
    await world.run(8.0)
    world.tape.move(SOL, RETURN)


async def close(world: WireWorld) -> None:
    """Enter, and close by hand."""
    await ready(world)
    world.wish(target_pct=2.0)
    await settled(world)
    await world.run(2.0)
    world.command(ClosePosition(symbol=SOL))
    await world.run(12.0)


async def short(world: WireWorld) -> None:
    """The other way round, and out by the target."""
    await ready(world)
    world.wish(side=Side.SELL, target_pct=1.0)
    await settled(world)
    await world.run(3.0)
    world.tape.move(SOL, PLUNGE)
    await world.run(8.0)


async def restart(world: WireWorld) -> None:
    """Enter, and be killed as soon as the entry has filled."""
    await ready(world)
    world.wish(target_pct=None)
    await waited(world, lambda: world.held())
    await world.kill()
    await world.run(1.0)
    await world.open()
    await world.run(10.0)


async def watch(world: WireWorld) -> None:
    """Hold a position through it."""
    await ready(world)
    world.wish(target_pct=None)
    await settled(world)
    await world.run(40.0)


async def leverage(world: WireWorld) -> None:
    """Somebody sets the leverage, then wants a trade."""
    await ready(world)
    world.venue.account.set_leverage(SOL, 20, world.clock.utc_ns() // 1_000_000)
    await waited(world, lambda: world.wire.feed.problem)
    world.wish()
    await world.run(3.0)
    world.notes.append(world.wire.feed.problem)
    world.venue.account.set_leverage(SOL, world.directive.risk.leverage, world.clock.utc_ns() // 1_000_000)


async def by_hand(world: WireWorld) -> None:
    """Somebody closes half of what we hold, then all."""
    await ready(world)
    world.wish(target_pct=None)
    await settled(world)
    held = abs(world.held())
    world.by_hand(SOL, Side.SELL, str(held // 2), "web_1")
    await world.run(8.0)
    world.by_hand(SOL, Side.SELL, str(abs(world.held())), "web_2")
    await world.run(8.0)


async def hedged(world: WireWorld) -> None:
    """Somebody switches the account to hedge mode. Nothing tells, until an entry is refused for it."""
    await ready(world)
    world.venue.account.set_hedge(True)
    world.wish()
    await waited(world, lambda: world.wire.feed.problem, 5.0)
    world.notes.append(f"{world.s:7.2f} {world.wire.feed.problem}")
    world.wish()
    await world.run(3.0)
    world.venue.account.set_hedge(False)


async def crossed(world: WireWorld) -> None:
    """Somebody sets cross margin. It is seen in a minute or so."""
    await ready(world)
    world.venue.account.set_margin_type(SOL, False)
    await waited(world, lambda: world.wire.feed.problem, 70.0)
    world.notes.append(f"{world.s:7.2f} {world.wire.feed.problem}")
    world.wish()
    await world.run(3.0)
    world.venue.account.set_margin_type(SOL, True)


async def funded(world: WireWorld) -> None:
    """Funding is paid while we hold."""
    await ready(world)
    world.wish(target_pct=None)
    await settled(world)
    world.venue.account.fund(SOL, 0.01, world.clock.utc_ns() // 1_000_000, world.venue)
    await world.run(3.0)
    if world.ledger.wallet == world.venue.account.ledger.wallet:
        world.notes.append(f"{world.s:7.2f} wallets agree")


async def storm(world: WireWorld) -> None:
    """A signal a second."""
    await ready(world)
    for _ in range(20):
        world.wish()
        await world.run(1.0)


async def ready(world: WireWorld) -> None:
    await world.open()
    await waited(world, lambda: not world.blocked and world.wire.rest.prepared)


async def settled(world: WireWorld) -> None:
    """The entry has come to something."""
    await waited(world, lambda: any(world.orders(Leg.ENTRY)), 10.0)
    await waited(world, lambda: world.covered() or not any(world.ledger.alive()), 14.0)


async def waited(world: WireWorld, done: Callable[[], Any], within_s: float = WAIT_S) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not done():  # noqa: ASYNC110  the venue's books have no event to wait for
                await asyncio.sleep(0.02)
    except TimeoutError:
        world.notes.append(f"{world.s:7.2f} test: waited in vain")


# ---- the table ---------------------------------------------------------------------------------------------------


class Drill(msgspec.Struct, frozen=True):
    """`ids` of the fault matrix; `seen` must be found among the notes, the streams' reasons or the orders' ends."""

    name: str
    ids: str
    fault: Fault
    seen: str
    story: Story = trade
    naked_s: float = NAKED_S
    opened: bool | None = None
    """Whether a position came about; None: it does not matter."""
    ahead_s: float = 0.0
    also: tuple[Fault, ...] = ()
    """What goes wrong beside it."""


def on(place: str, kind: str, **more: Any) -> Fault:
    return Fault(on=place, kind=kind, **more)


def entry(kind: str, **more: Any) -> Fault:
    return on(PLACE, kind, match=BUY, **more)


def exit_(kind: str, **more: Any) -> Fault:
    return on(PLACE, kind, match=SELL, **more)


UNTOLD = (on("user", "mute", count=0),)
"""And the account's stream never says a word."""
NOTHING = on("* /none", "delay")
"""What goes wrong is in the story."""
SOCKETS = ("GET ws", "GET stream")
EXITS = (*SOCKETS, "POST order", "POST algoOrder", "DELETE order", "DELETE algoOrder")
NEVER, REFUSED = "never reached the venue", "entry refused"
AT_MARKET = "closing at market"
CONFIRMED = "confirmed"
STOPPED = "closed:"

DRILLS: tuple[Drill, ...] = (
    # the entry
    Drill("entry: cut before it is executed", "F01", entry("drop_before"), NEVER, opened=False),
    Drill("entry: executed, the answer lost", "F02 F03", entry("drop_after"), CONFIRMED, opened=True),
    Drill("entry: executed, answer lost, nobody tells", "F03 F09", entry("drop_after"), "unknown, asking", opened=True, also=UNTOLD),
    Drill("entry: 503 unknown, executed, nobody tells", "F04 F09", entry("unknown_after"), "unknown, asking", opened=True, also=UNTOLD),
    Drill("entry: 200 cut in half, nobody tells", "F04 F09", entry("truncate"), "unknown, asking", opened=True, also=UNTOLD),
    Drill("entry: 503 unknown, not executed", "F04", entry("unknown_before"), NEVER, opened=False),
    Drill("entry: 503 unknown, executed", "F04", entry("unknown_after"), CONFIRMED, opened=True),
    Drill("entry: 408 -1007, not executed", "F04", entry("timeout_before"), NEVER, opened=False),
    Drill("entry: 408 -1007, executed", "F04", entry("timeout_after"), CONFIRMED, opened=True),
    Drill("entry: 503 Service Unavailable", "F04", entry("unavailable"), REFUSED, opened=False),
    Drill("entry: 503 Internal error", "F04", entry("internal"), REFUSED, opened=False),
    Drill("entry: 503 -1008 throttled", "F04", entry("throttled"), REFUSED, opened=False),
    Drill("entry: HTML 403", "F04", entry("html"), REFUSED, opened=False),
    Drill("entry: captive portal, HTML 200", "F63", entry("html", status=200), NEVER, opened=False),
    Drill("entry: HTML 502, executed", "F04", entry("html_after"), CONFIRMED, opened=True),
    Drill("entry: 200 cut in half", "F04", entry("truncate"), CONFIRMED, opened=True),
    Drill("entry: 200 with NaN", "F12", entry("numbers"), CONFIRMED, opened=True),
    Drill("entry: 200 with unknown fields", "F62", entry("unknown_field"), CONFIRMED, opened=True),
    Drill("entry: 200 with an unknown status", "F62", entry("edit", edit={"status": "FROZEN"}), "unknown 1", opened=True),
    Drill("entry: a reply about another order", "F64", entry("edit", edit={"clientOrderId": "web_9"}), CONFIRMED, opened=True),
    Drill("entry: hangs, not executed", "F05", entry("hang_before"), NEVER, opened=False),
    Drill("entry: hangs, executed", "F05", entry("hang_after"), CONFIRMED, opened=True),
    Drill("entry: arrives 3 s late", "F16", entry("delay", delay_ms=3_000), CONFIRMED, opened=True),
    Drill("entry: 429 for 6 s", "F06", entry("too_many", retry_after_s=6), REFUSED, opened=False),
    Drill("entry: 418 for 20 s", "F06", entry("banned", retry_after_s=20), REFUSED, opened=False),
    Drill("entry: -1021", "F32", entry("skewed"), REFUSED, opened=False),
    Drill("entry: -1111, the rules changed", "F29", entry("refuse", code=-1111, msg="Precision."), REFUSED, opened=False),
    Drill("entry: -2019 each time", "F30", entry("refuse", code=-2019, msg="Margin.", count=0), REFUSED, storm, opened=False),
    Drill("entry: -4061 position mode", "F28", entry("refuse", code=-4061, msg="Mode."), REFUSED, opened=False),
    # the stop
    Drill("stop: cut before it is executed", "F01 F21", on(ALGO, "drop_before"), CONFIRMED, opened=True),
    Drill("stop: placed, the answer lost", "F02 F21", on(ALGO, "drop_after"), CONFIRMED, opened=True),
    Drill("stop: placed, answer lost, nobody tells", "F02 F09", on(ALGO, "drop_after"), CONFIRMED, opened=True, also=UNTOLD),
    Drill("stop: 503 unknown, not executed", "F21", on(ALGO, "unknown_before"), CONFIRMED, opened=True),
    Drill("stop: 503 unknown, executed", "F21", on(ALGO, "unknown_after"), CONFIRMED, opened=True),
    Drill("stop: 503 Service Unavailable twice", "F21", on(ALGO, "unavailable", count=2), CONFIRMED, opened=True),
    Drill("stop: -1008 spares what reduces", "F21", on(ALGO, "throttled", count=0), CONFIRMED, opened=True),
    Drill("stop: hangs, not executed", "F05 F21", on(ALGO, "hang_before"), CONFIRMED, opened=True),
    Drill("stop: hangs, executed", "F05 F21", on(ALGO, "hang_after"), CONFIRMED, opened=True),
    Drill("stop: -4120 each time", "F21", on(ALGO, "refuse", code=-4120, msg="Algo.", count=0), AT_MARKET, opened=True),
    Drill("stop: -2021 would trigger", "F21", on(ALGO, "refuse", code=-2021, msg="Trigger."), AT_MARKET, opened=True),
    Drill("stop: -4130 once", "F21", on(ALGO, "refuse", code=-4130, msg="Existing."), CONFIRMED, opened=True),
    Drill("stop: -4045 each time", "F21", on(ALGO, "refuse", code=-4045, msg="Limit.", count=0), AT_MARKET, opened=True),
    Drill("stop: HTML 403 each time", "F21", on(ALGO, "html", count=0), AT_MARKET, opened=True),
    Drill("stop: 429 for 6 s", "F06 F21", on(ALGO, "too_many", retry_after_s=6), CONFIRMED, opened=True),
    Drill("stop: 418 for 5 s", "F06 F21", on(ALGO, "banned", retry_after_s=5), AT_MARKET, naked_s=8.0, opened=True),
    Drill("stop: hangs each time", "F05 F21", on(ALGO, "hang_before", count=0), AT_MARKET, opened=True),
    Drill("stop: stuck in TRIGGERING", "F21 F23", on("algo", "stuck"), "not to be relied on", naked_s=4.0, opened=True),
    Drill("stop: REJECTED at its trigger", "F21", on("algo", "reject"), AT_MARKET, opened=True),
    Drill("stop: EXPIRED at its trigger", "F21", on("algo", "expire"), AT_MARKET, opened=True),
    Drill("stop: unknown state", "F62", on(ALGO, "edit", edit={"algoStatus": "PAUSED"}), "unknown 1", opened=True),
    # the exit
    Drill("exit: cut before it is executed", "F25", exit_("drop_before"), STOPPED, close, opened=True),
    Drill("exit: executed, the answer lost", "F25", exit_("drop_after"), STOPPED, close, opened=True),
    Drill("exit: executed, answer lost, nobody tells", "F25 F09", exit_("drop_after"), STOPPED, close, opened=True, also=UNTOLD),
    Drill("exit: 503 unknown, executed", "F25", exit_("unknown_after"), STOPPED, close, opened=True),
    Drill("exit: 503 Service Unavailable 3 times", "F25", exit_("unavailable", count=3), STOPPED, close, opened=True),
    Drill("exit: hangs, executed", "F25 F05", exit_("hang_after"), STOPPED, close, opened=True),
    Drill("exit: -1008 spares what reduces", "F25", exit_("throttled", count=0), STOPPED, close, opened=True),
    Drill("exit: -2022 once", "F25", exit_("refuse", code=-2022, msg="ReduceOnly."), STOPPED, close, opened=True),
    Drill("exit: -1021 once", "F32", exit_("skewed"), STOPPED, close, opened=True),
    # cancels
    Drill("cancel of a stop: cut", "F01", on("DELETE /fapi/v1/algoOrder", "drop_before"), STOPPED, close, opened=True),
    Drill("cancel of a stop: done, the answer lost", "F02", on("DELETE /fapi/v1/algoOrder", "drop_after"), STOPPED, close),
    Drill("cancel of a target: 503 unknown", "F04", on("DELETE /fapi/v1/order", "unknown_before"), STOPPED, close),
    Drill("cancel of a target: refused 3 times", "F04", on("DELETE /fapi/v1/order", "unavailable", count=3), STOPPED, close),
    # questions
    Drill("questions: 503 for 5 s", "F65", on("GET /fapi/*", "unknown_before", at_s=2.0, for_s=5.0), STOPPED),
    Drill("questions: 429 for 10 s", "F06", on("GET /fapi/v1/algoOrder", "too_many", retry_after_s=10), STOPPED),
    Drill("questions: 418 for 10 s", "F06", on("GET /fapi/v1/algoOrder", "banned", retry_after_s=10), STOPPED, naked_s=12.0),
    Drill("questions: a stale reply", "F64", on(ORDER, "stale", count=3), STOPPED),
    Drill("fills: not readable for 4 s", "F65", on("GET /fapi/v1/userTrades", "unavailable", for_s=4.0), STOPPED),
    Drill("both lists: HTML 502 for 4 s", "F65", on("GET /fapi/v1/open*", "html", status=502, for_s=4.0), STOPPED),
    Drill("positions: NaN", "F12", on("GET /fapi/v3/positionRisk", "numbers"), STOPPED),
    Drill("balance: garbage", "F12", on("GET /fapi/v3/balance", "garbage"), STOPPED),
    Drill("start: exchangeInfo hangs", "F05", on("GET /fapi/v1/exchangeInfo", "hang_before"), STOPPED),
    Drill("start: 429 for 5 s", "F06", on("* /fapi/*", "too_many", retry_after_s=5), STOPPED),
    Drill("symbol: closed by the venue", "F29", on("GET /fapi/v1/exchangeInfo", "edit", edit={"symbols.*.status": "BREAK"}, count=0), "refused", opened=False),
    Drill("limits: unknown kind of limit", "F62", on("GET /fapi/v1/exchangeInfo", "unknown_field", count=0), STOPPED),
    # the account's stream
    Drill("user: nothing for 30 s", "F09", on("user", "mute", for_s=30.0), STOPPED),
    Drill("user: never anything", "F09", on("user", "mute", count=0), STOPPED),
    Drill("user: everything twice", "F07", on("user", "duplicate", count=0), STOPPED),
    Drill("user: everything out of order", "F08", on("user", "reorder", count=0), STOPPED),
    Drill("user: everything 1.5 s late", "F08", on("user", "delay", delay_ms=1_500, count=0), STOPPED),
    Drill("user: cut at the fill", "F17", on("user", "disconnect", close_code=1006), "closed by the venue (1006)"),
    Drill("user: closed 1008 at the fill", "F14", on("user", "disconnect", close_code=1008), "closed by the venue (1008)"),
    Drill("user: garbage", "F12", on("user", "garbage"), "skipped 1"),
    Drill("user: NaN in an event", "F12", on("user", "numbers", match={"e": "ORDER_TRADE_UPDATE"}), "cannot be read"),
    Drill("user: unknown fields", "F62", on("user", "unknown_field", count=0), STOPPED),
    Drill("user: an unknown event", "F62", on("user", "edit", edit={"e": "STRATEGY_UPDATE"}), "unknown 1"),
    Drill("user: an unknown order state", "F62", on("user", "edit", match={"e": "ORDER_TRADE_UPDATE"}, edit={"o.X": "FROZEN"}), "unknown 1"),
    Drill("user: an unknown conditional state", "F62", on("user", "edit", match={"e": "ALGO_UPDATE"}, edit={"o.X": "PAUSED"}), "unknown 1"),
    Drill("user: binary", "F12", on("user", "binary"), "skipped 1"),
    Drill("user: 2 MB", "F12", on("user", "oversized"), "skipped 1"),
    Drill("listen key: expires at the fill", "F15", on("user", "expire_key"), "listen key expired"),
    Drill("listen key: expires in calm", "F15", on("server", "expire_key", at_s=8.0), "listen key expired", watch),
    Drill("listen key: none for 6 s", "F15", on("POST /fapi/v1/listenKey", "unavailable", for_s=6.0), "listen key"),
    # books and tapes
    *(
        Drill(f"books: closed {code}", "F14", on("stream /public", "disconnect", after=30, close_code=code), "public", watch)
        for code in (1000, 1001, 1006, 1008)
    ),
    Drill("books: a diff lost", "F10", on("stream /public", "skip_depth", after=30, count=3), "a diff is missing"),
    Drill("books: twice", "F10", on("stream /public", "duplicate", after=30, count=50), STOPPED),
    Drill("books: out of order", "F10", on("stream /public", "reorder", after=30, count=50), "a diff is missing"),
    Drill("books: crossed", "F10", on("stream /public", "edit", after=60, match={"s": SOL}, edit={"b": [["170.00", "5"]]}), "its bids reach its asks"),
    Drill("books: a crossed snapshot", "F10", on("GET /fapi/v1/depth", "edit", edit={"bids": [["990000.00", "5"]]}), "its bids reach its asks"),
    Drill("books: NaN", "F12", on("stream /public", "numbers", after=30, count=20), "a diff is missing"),
    Drill("books: garbage", "F12", on("stream /public", "garbage", after=30, count=5), "skipped 5"),
    Drill("books: unknown fields", "F62", on("stream /public", "unknown_field", count=0), STOPPED),
    Drill("books: binary", "F12", on("stream /public", "binary", after=30, count=5), "skipped 5"),
    Drill("books: 2 MB", "F12", on("stream /public", "oversized", after=30, count=3), "skipped 3"),
    Drill("books: mute for 8 s", "F11", on("stream /public", "mute", at_s=8.0, for_s=8.0), "silent for", watch),
    Drill("books: one symbol mute", "F11", on("stream /public", "mute", at_s=8.0, for_s=12.0, match={"s": SOL}), "its stream fell silent"),
    Drill("books: no snapshot for 5 s", "F10", on("GET /fapi/v1/depth", "unknown_before", for_s=5.0), STOPPED),
    Drill("tape: mute for 8 s", "F11 F48", on("stream /market", "mute", at_s=8.0, for_s=8.0), "silent for", watch),
    Drill("tape: marks of one symbol mute", "F11", on("stream /market", "mute", at_s=8.0, for_s=12.0, match={"s": SOL}), STOPPED),
    Drill("tape: NaN", "F12 F45", on("stream /market", "numbers", after=30, count=20), "skipped 20"),
    Drill("tape: prices of 0", "F45", on("stream /market", "numbers", value="0", after=30, count=20), "skipped 20"),
    Drill("tape: garbage", "F12", on("stream /market", "garbage", after=30, count=20), "skipped 20"),
    Drill("tape: another symbol", "F45", on("stream /market", "edit", edit={"s": "DOGEUSDT"}, after=30, count=20), "skipped 20"),
    Drill("tape: an unknown event", "F62", on("stream /market", "edit", edit={"e": "indexTick"}, after=30, count=20), "skipped 20"),
    Drill("tape: closed", "F14", on("stream /market", "disconnect", after=30), "market", watch),
    # the venue
    Drill("venue: down for 5 s", "F14", on("server", "down", at_s=10.0, for_s=5.0), "stream down", watch),
    Drill("venue: down while an entry is out", "F14 F01", on("server", "down", at_s=1.3, for_s=5.0), "stream down", naked_s=9.0),
    Drill("venue: down as the stop triggers", "F14", on("server", "down", at_s=14.0, for_s=5.0), "stream down", naked_s=9.0),
    Drill("venue: mute for 8 s", "F11", on("server", "mute", at_s=8.0, for_s=8.0), "silent for", watch),
    Drill("venue: closes every socket", "F14", on("server", "disconnect", at_s=8.0), "stream down", watch),
    Drill("venue: 5 minutes ahead for 20 s", "F32", on("server", "skew", at_s=6.0, for_s=20.0, skew_ms=300_000), STOPPED),
    Drill("venue: an hour behind for 20 s", "F32", on("server", "skew", at_s=6.0, for_s=20.0, skew_ms=-3_600_000), STOPPED),
    Drill("venue: 5 minutes ahead from now on", "F32", on("server", "skew", at_s=0.5, for_s=300.0, skew_ms=300_000), "(-1021)", storm, opened=True),
    Drill("our clock: an hour ahead", "F32", on("server", "skew", for_s=1.0, skew_ms=1), STOPPED, ahead_s=3_600.0),
    Drill("key: refused for 8 s", "F60", on("* /fapi/*", "key_gone", at_s=6.0, for_s=8.0), "the venue refuses our key", watch),
    Drill("venue: everything 400 ms late", "F16", on("* /fapi/*", "delay", delay_ms=400, count=0), STOPPED),
    Drill("venue: a fifth fails", "F04", on("* /fapi/*", "unknown_before", count=0, probability=0.2, seed=7), STOPPED, naked_s=6.0),
    Drill("venue: a fifth is done and unanswered", "F02", on("* /fapi/*", "drop_after", count=0, probability=0.2, seed=4), STOPPED, naked_s=6.0),
    # people
    Drill("leverage: changed outside", "F28", NOTHING, "leverage is 20x", leverage, opened=False),
    Drill("hedge mode: switched on outside", "F28", NOTHING, "the account is in hedge mode", hedged, opened=False),
    Drill("margin type: changed outside", "F28", NOTHING, "margin is cross", crossed, opened=False),
    Drill("position: closed by hand, half and all", "F27", NOTHING, "closed by someone else", by_hand),
    Drill("position: liquidated", "F26", on("server", "liquidate", at_s=8.0, symbol=SOL), "closed by someone else", watch),
    Drill("position: auto-deleveraged", "F26", on("server", "adl", at_s=8.0, symbol=SOL), "closed by someone else", watch),
    Drill("symbol: halted while we hold", "F29", on("server", "halt", at_s=8.0, for_s=10.0, symbol=SOL), STOPPED),
    Drill("symbol: halted before the entry", "F29", on("server", "halt", at_s=0.5, for_s=20.0, symbol=SOL), "refused", opened=False),
    Drill("position: funding is paid", "F31", NOTHING, "wallets agree", funded),
    Drill("restart: killed at the fill, stop refused once", "F18", on(ALGO, "unavailable", after=0), CONFIRMED, restart, naked_s=5.0),
    Drill("short: everything twice", "F07 F24", on("user", "duplicate", count=0), STOPPED, short),
    Drill("short: never anything", "F09 F24", on("user", "mute", count=0), STOPPED, short),
)  # fmt: skip


# ---- running -----------------------------------------------------------------------------------------------------


class Outcome(msgspec.Struct):
    drill: Drill
    found: list[str]
    struck: int
    seen: list[str]
    naked_s: float
    orders: int
    wall_s: float = 0.0


def run(drill: Drill) -> Outcome:
    """Commit one fault, and look at what came of it."""
    began = time.monotonic()
    clocks = dict.fromkeys(VENUE_CLOCKS, 0) | dict.fromkeys(OUR_CLOCKS, int(drill.ahead_s * 1e9))
    outcome = run_warped(_run(drill), clocks)
    outcome.wall_s = time.monotonic() - began
    return outcome


async def _run(drill: Drill) -> Outcome:
    async with WireWorld((drill.fault, *drill.also), ahead_s=drill.ahead_s) as world:
        world.wire = _Nobody()  # type: ignore[assignment]
        checker = Checker(world, drill.naked_s)
        looks = asyncio.create_task(checker.run())
        await drill.story(world)
        await waited(world, lambda: calm(world), CALM_S)
        await world.run(3.0)
        if not calm(world):
            checker.found.append(f"not calm: {world.blocked or 'books, orders or positions differ'}")
        looks.cancel()
        found = [*checker.end(), *spoke(world, drill.fault)]
        counts = world.wire.rest.counts
        seen = sorted([*world.notes, *world.said_by_feed])
        seen.append(f"{world.s:7.2f} skipped {counts.skipped}, unknown {counts.unknown}")
        ends = [f"{order.client_id} {order.status} {order.reason}" for order in world.ledger.orders.values()]
        if not any(drill.seen in line for line in (*seen, *ends)):
            found.append(f"never seen: {drill.seen!r}")
        if drill.fault is not NOTHING and not world.struck():
            found.append("the fault never struck")
        opened = bool(world.venue.account.ledger.fills)
        if drill.opened is not None and opened is not drill.opened:
            found.append("a position was opened" if opened else "no position was opened")
        orders = len(world.venue.account.ledger.orders) + len(world.venue.account.ledger.algos)
        if orders > 12:
            found.append(f"{orders} orders: a storm")
        return Outcome(drill, found, world.struck(), seen + ends, max(checker.naked_s, default=0.0), orders)


def spoke(world: WireWorld, fault: Fault) -> list[str]:
    """What was asked of a venue that wanted silence: after a 429 exits alone may be, after a 418 nothing."""
    if fault.kind not in ("too_many", "banned"):
        return []
    method, path = fault.on.split()[0], fault.on.rpartition("/")[2]
    began_s = next(at_s for at_s, name in world.requests if path == "*" or name == f"{method} {path}")
    allowed = EXITS if fault.kind == "too_many" else SOCKETS
    quiet = [
        name
        for at_s, name in world.requests
        if began_s < at_s < began_s + fault.retry_after_s - 0.01 and name not in allowed
    ]
    return [f"asked while silence was wanted: {', '.join(quiet)}"] if quiet else []


def calm(world: WireWorld) -> bool:
    """Everything is as it was before, but for what was traded. Entries may leave."""
    stuck = any(algo.status == "TRIGGERING" for algo in world.stops())
    return bool(
        world.up
        and (not world.blocked)
        and (world.converged() or stuck)
        and world.book_is_right(SOL)
        and world.protected()
    )


class _Nobody:
    """The adapter before there is one."""

    dead = True


def first_seen(outcome: Outcome) -> str:
    """The line that the drill was looking for, without its time."""
    wanted = outcome.drill.seen
    line = next((line for line in outcome.seen if wanted in line), outcome.seen[0] if outcome.seen else "")
    return " ".join(line.split()[1:])[:58]


def main(wanted: list[str]) -> int:
    drills = [drill for drill in DRILLS if not wanted or any(word in f"{drill.ids} {drill.name}" for word in wanted)]
    say = sys.stdout.write
    say(f"{'fault':<44} {'matrix':<8} hit  {'seen':<58} naked s  orders  invariants\n")
    failed = 0
    for drill in drills:
        outcome = run(drill)
        failed += bool(outcome.found)
        say(
            f"{drill.name:<44} {drill.ids:<8} {outcome.struck:>3}  {first_seen(outcome):<58} {outcome.naked_s:>7.2f} "
            f"{outcome.orders:>7}  {'held' if not outcome.found else 'BROKEN: ' + '; '.join(outcome.found)}\n"
        )
        if outcome.found and wanted:
            say("".join(f"    {line}\n" for line in outcome.seen))
        sys.stdout.flush()
    say(f"{len(drills)} faults, {len(drills) - failed} survived\n")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
