"""What happens in a simulation, drawn from its seed: wishes, people, others, faults, kills. Then calm, and proof."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import Any

from faulty import REFUSED, Fault, Rates
from sim import BTC, DIRECTIVES, SOL, Sim
from watch import Watch, leg

from nexus_engine.model.commands import (
    Adopt,
    Approve,
    ClosePosition,
    Flatten,
    Halt,
    Hold,
    MoveStop,
    Pause,
    Rearm,
    Reject,
    Release,
    SetMode,
)
from nexus_engine.model.effects import AnyEffect, Cancel, Submit
from nexus_engine.model.words import Latch, Leg, Mode, ProposalStatus, Side
from nexus_engine.sim.rules import VenueError

STORY_S = 16.0
CONVERGE_S = 30.0
"""A question that hangs for five seconds, two looks ten seconds apart that prove an order absent, and the ways."""
REGULAR_S = 66.0
"""The account is read once a minute, whatever is heard."""
RATES = Rates(calls=0.2, events=0.2)
SYMBOLS = (SOL, BTC)
EXITS: tuple[dict[str, Any], ...] = (
    {},
    {"partials": ((0.3, 0.5),)},
    {"partials": ((0.2, 0.3), (0.4, 0.3)), "break_even_r": 0.3},
    {"trail_distance": 0.7, "break_even_r": 0.2},
)
"""What a plan has beside its stop and its target; the trail in parts of the stop's distance."""
OTHER_NEXUS = "nxother-9-1e1"


class Result:
    """Of one seed. `calm_s`: from the last fault until venue, ledger and journal agreed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.found: list[str] = []
        self.hash = ""
        self.notes: list[str] = []
        self.naked_s: list[float] = []
        self.calm_s = self.virtual_s = 0.0
        self.entries = self.closed = self.kills = self.orders = self.torn = self.events = self.unrecorded = 0


class Story:
    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(f"{seed}:story")
        self.sim = Sim(
            seed,
            swing=rng.choice((0.0003, 0.0008, 0.0015)),
            mode=rng.choice((Mode.PILOT, Mode.PILOT, Mode.PILOT, Mode.COPILOT)),
            directive=rng.choice(DIRECTIVES),
        )
        self.watch = Watch(self.sim)
        strange = rng.random() < 0.3
        """Other people are on this account."""
        self.watch.alone = not strange
        acts = ACTS + (STRANGERS if strange else ())
        self._acts = [act for act, _ in acts]
        self._weights = [weight for _, weight in acts]
        self.symbol = SOL

    async def tell(self) -> Result:
        sim, rng = self.sim, self.rng
        sim.journal.slow = rng.choice((0.0, 0.02, 0.1))
        sim.start()
        sim.rates = sim.wire.rates = RATES
        sim.tape.lots = {SOL: rng.choice((300, 2_000, 1_000_000)), BTC: rng.choice((20, 1_000_000))}
        if rng.random() < 0.8:
            await self.wait(rng.uniform(0.2, 1.0))
            for symbol in SYMBOLS:
                self.symbol = symbol
                await wish(self)
        while sim.s < STORY_S:
            self.symbol = rng.choice(SYMBOLS)
            await rng.choices(self._acts, self._weights)[0](self)
            await self.wait(rng.expovariate(2.0))
        calm_s = await self.calm()
        result = Result(sim.seed)
        self.watch.last()
        result.found = list(sim.found)
        result.naked_s, result.calm_s, result.virtual_s = self.watch.naked_s, calm_s, sim.s
        result.closed, result.kills, result.events = len(sim.ledger.closed), sim.kills, sim.trace.events
        result.entries = sum(leg(cid) is Leg.ENTRY for cid in self.watch.placed())
        result.orders, result.torn = len(self.watch.placed()), len(sim.journal.torn)
        result.unrecorded = len(self.watch.unrecorded)
        result.notes = sim.notes if result.found else []
        await sim.end()
        result.hash = sim.fingerprint()
        return result

    async def wait(self, seconds: float) -> None:
        """Time passes; a life that ended is followed by the next."""
        sim, until_s = self.sim, self.sim.s + seconds
        while sim.s < until_s:
            try:
                async with asyncio.timeout(until_s - sim.s):
                    await sim.crashed.wait()
            except TimeoutError:
                return
            await self.again()

    async def again(self) -> None:
        sim = self.sim
        await sim.kill()
        await asyncio.sleep(self.rng.choice((0.05, 0.3, 1.0, 3.0)))
        sim.start()

    async def calm(self) -> float:
        """No more faults: within seconds venue, ledger and journal say the same, and go on saying it."""
        sim = self.sim
        sim.rates = sim.wire.rates = Rates()
        sim.kill_at, sim.loop.kill_at = None, -1
        sim.wire.down = sim.wire.mute = False
        sim.wire.deaf = frozenset()
        sim.wire.faults.clear()
        sim.journal.slow = sim.journal.full_until_s = 0.0
        sim.tape.swing = 0.0
        sim.tape.lots = dict.fromkeys(SYMBOLS, 1_000_000)
        sim.wishes.queue.clear()
        if sim.crashed.is_set() or sim.wire.dead:
            await self.again()
        begun_s = sim.s
        if not sim.engine.feeds.get("user", False):
            sim.wire.status(sim.carrier.post, "user", True)
        for symbol in sorted(sim.wire.broken):
            sim.street.read_book(symbol)
        await asyncio.sleep(1.0)
        while questions := self.watch.open_questions():
            await asyncio.sleep(0.25)
            if sim.s - begun_s > CONVERGE_S:
                sim.found.append(f"{sim.s:.2f} s: [I13] {CONVERGE_S:g} s after the last fault: {'; '.join(questions)}")
                break
        calm_s = sim.s - begun_s
        while not sim.found and not self.watch.heard_all() and sim.s - begun_s < REGULAR_S:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        if not sim.found:
            await self.quiet()
        return calm_s

    async def quiet(self) -> None:
        """[I13] A comparison that finds nothing does nothing."""
        sim = self.sim
        sent: list[AnyEffect] = []
        looks = 14
        """A reading may still be awaited from before, and a target follows a stop."""
        inner = sim.trace.on_effects

        def listen(effects: list[AnyEffect]) -> None:
            inner(effects)
            sent.extend(effect for effect in effects if isinstance(effect, Submit | Cancel))

        sim.trace.on_effects = listen  # type: ignore[assignment]
        for _ in range(60):
            sent.clear()
            sim.ask_account()
            await asyncio.sleep(0.5)
            # a time stop may end a position now, and a cancel waits for a stop's submit that still hangs
            if not sent and self.watch.heard_all() and not self.watch.open_questions():
                break
            if not self.watch.entering():
                looks -= 1
                if not looks:
                    what = sent[-1] if sent else "nothing, and knows less than the venue"
                    sim.found.append(f"{sim.s:.2f} s: [I13] each comparison does something: {what}")
                    break
        sim.trace.on_effects = inner


# ---- acts --------------------------------------------------------------------------------------------------------


async def wish(story: Story) -> None:
    rng = story.rng
    stop_pct = rng.uniform(0.1, 1.2) if rng.random() < 0.8 else rng.uniform(5.0, 9.0)
    exits = dict(rng.choice(EXITS))
    if "trail_distance" in exits:
        exits["trail_distance"] *= story.sim.tape.price(story.symbol) * stop_pct / 100
    story.sim.wish(
        story.symbol,
        rng.choice((Side.BUY, Side.SELL)),
        stop_pct=stop_pct,
        target_pct=stop_pct * rng.uniform(0.5, 2.0),
        limit_pct=rng.choice((0.05, 0.05, 0.0, -0.05)),
        time_stop_ns=rng.choice((0, 0, 3_000_000_000)),
        **exits,
    )


async def answer(story: Story) -> None:
    """A person looks at the cards: yes, no, or yes from two places at once."""
    sim, rng = story.sim, story.rng
    cards = sim.open_cards()
    if cards:
        card = rng.choice(cards)
        if rng.random() < 0.8:
            shown = card.shown if rng.random() < 0.9 else "seen on another day"
            for by in ("you", "telegram")[: rng.choice((1, 2))]:
                sim.command(Approve(proposal=card.id, shown=shown), by=by)
            decided = sim.engine.ledger.proposals.get(card.id)
            if shown != card.shown and decided is not None and decided.status is ProposalStatus.APPROVED:
                sim.found.append(f"{sim.s:.2f} s: [I4] {card.handle} approved with numbers that nobody saw")
        else:
            sim.command(Reject(proposal=card.id))
    else:
        await wish(story)


async def close(story: Story) -> None:
    story.sim.command(ClosePosition(symbol=story.symbol, half=story.rng.random() < 0.5))


async def flatten(story: Story) -> None:
    story.sim.command(Flatten(word="flat", longs_only=story.rng.random() < 0.5))


async def halt(story: Story) -> None:
    story.sim.command(story.rng.choice((Halt(reason="a person"), Halt(reason="a person"), Pause())))


async def release(story: Story) -> None:
    for latch in tuple(story.sim.engine.ledger.latches):
        if latch is not Latch.PROTECT_ONLY or OTHER_NEXUS not in story.watch.open_ids():
            story.sim.command(Release(latch=latch, word=latch.lower()))


async def mode(story: Story) -> None:
    wanted = story.rng.choice((Mode.WATCHER, Mode.COPILOT, Mode.PILOT, Mode.PILOT))
    story.sim.command(SetMode(mode=wanted, word=wanted.lower()))


async def move_stop(story: Story) -> None:
    sim = story.sim
    position = sim.engine.ledger.positions.get(story.symbol)
    if position is not None:
        tick = sim.tape.specs[story.symbol].tick
        stop = position.plan.stop + tick * story.rng.randrange(1, 40) * position.side.sign
        sim.command(story.rng.choice((MoveStop(symbol=story.symbol, stop=stop), Rearm(symbol=story.symbol))))


async def kill(story: Story) -> None:
    story.sim._die()


async def kill_soon(story: Story) -> None:
    """At an await: before any of the next callbacks, or around a commit or a call."""
    sim, rng = story.sim, story.rng
    if rng.random() < 0.7:
        sim.kill_within(rng.randrange(1, 120))
    else:
        what, when = rng.choice(("commit", "call")), rng.choice(("before", "after"))
        sim.kill_at = (what, when, sim.passed(what, when) + rng.randrange(1, 6))


async def outage(story: Story) -> None:
    """The line is cut: no request, no event, no price."""
    sim = story.sim
    wire = sim.wire
    wire.down = wire.mute = True
    wire.deaf = frozenset(SYMBOLS)
    for feed in ("user", "market", "public"):
        wire.status(sim.carrier.post, feed, False)
    await story.wait(story.rng.uniform(0.3, 5.0))
    restore(sim, wire)


async def user_cut(story: Story) -> None:
    """The account's stream alone; sometimes it says so, sometimes it just ends."""
    sim = story.sim
    wire = sim.wire
    wire.mute = True
    if story.rng.random() < 0.5:
        wire.status(sim.carrier.post, "user", False)
    await story.wait(story.rng.uniform(0.3, 4.0))
    restore(sim, wire)


def restore(sim: Sim, wire: object) -> None:
    if sim.wire is not wire or sim.wire.dead:
        return
    sim.wire.down = sim.wire.mute = False
    sim.wire.deaf = frozenset()
    for feed in ("public", "market", "user"):
        sim.wire.status(sim.carrier.post, feed, True)
    for symbol in SYMBOLS:
        sim.street.read_book(symbol)


async def stale(story: Story) -> None:
    """One market falls silent while its stream stands."""
    wire = story.sim.wire
    wire.deaf = frozenset((story.symbol,))
    await wish(story)
    await story.wait(story.rng.uniform(2.0, 5.0))
    wire.deaf = frozenset()


async def gap(story: Story) -> None:
    sim, symbol = story.sim, story.symbol
    sim.wire.lose_place(sim.carrier.post, symbol)
    await wish(story)
    await story.wait(story.rng.uniform(0.1, 1.5))
    sim.street.read_book(symbol)


async def clock(story: Story) -> None:
    """The wall clock is set, by seconds or hours, forward or back. Time goes on as before."""
    wall, rng = story.sim.wall, story.rng
    step_s = rng.choice((0.7, 5.0, 300.0, 3_600.0, 86_400.0))
    wall.off_ns += int(rng.choice((-1, 1)) * step_s * 1e9)


async def disk(story: Story) -> None:
    sim = story.sim
    sim.journal.full_until_s = sim.s + story.rng.uniform(0.2, 3.0)


async def no_stops(story: Story) -> None:
    """The venue takes no stop, whatever is tried. What is held must go."""
    wire = story.sim.wire
    refusal = Fault(call="submit", kind=REFUSED, leg=Leg.STOP, count=0, code=-4120, text="Algo.")
    wire.faults.append(refusal)
    await wish(story)
    if story.rng.random() < 0.3:
        await story.wait(story.rng.uniform(0.5, 2.5))
        story.sim.command(Hold(symbol=story.symbol))
    await story.wait(story.rng.uniform(2.0, 10.0))
    if refusal in wire.faults:
        wire.faults.remove(refusal)


async def jump(story: Story) -> None:
    """Price gaps, through stops and targets."""
    tape = story.sim.tape
    tape.move(story.symbol, tape.price(story.symbol) * (1 + story.rng.uniform(-0.015, 0.015)))


async def swan(story: Story) -> None:
    """The whole market falls, and half of it comes back."""
    sim, rng = story.sim, story.rng
    fall, steps = rng.uniform(0.045, 0.1), rng.randrange(2, 12)
    await wish(story)
    for _ in range(steps):
        for symbol in SYMBOLS:
            sim.tape.move(symbol, sim.tape.price(symbol) * (1 - fall) ** (1 / steps))
        await story.wait(0.2)
    await story.wait(rng.uniform(2.0, 5.0))
    await wish(story)
    for symbol in SYMBOLS:
        sim.tape.move(symbol, sim.tape.price(symbol) * (1 + fall / 2))


async def thin(story: Story) -> None:
    story.sim.tape.lots[story.symbol] = story.rng.choice((20, 100, 300, 1_000_000))


async def funding(story: Story) -> None:
    sim = story.sim
    sim.venue.account.fund(story.symbol, story.rng.choice((0.001, -0.001)), sim.venue_ms, sim.venue)


# ---- others on the account ---------------------------------------------------------------------------------------


async def by_hand(story: Story) -> None:
    """A person trades on the venue's own page, at market or with an order that rests."""
    sim, rng = story.sim, story.rng
    side, symbol = rng.choice((Side.BUY, Side.SELL)), story.symbol
    qty = sim.tape.specs[symbol].step * rng.randrange(1, 60)
    price = None
    if rng.random() < 0.4:
        tick = float(sim.tape.specs[symbol].tick)
        ticks = round(sim.tape.price(symbol) * (1 - side.sign * rng.uniform(0.0, 0.02)) / tick)
        price = str(sim.tape.specs[symbol].tick * ticks)
    with contextlib.suppress(VenueError):
        sim.by_hand(symbol, side, str(qty), f"web_{sim.ticks}_{rng.randrange(1000)}", price)


async def closed_by_hand(story: Story) -> None:
    sim, symbol = story.sim, story.symbol
    held = sim.held(symbol)
    if held:
        qty = abs(held) if story.rng.random() < 0.5 else sim.tape.specs[symbol].step
        with contextlib.suppress(VenueError):
            sim.by_hand(symbol, Side.SELL if held > 0 else Side.BUY, str(qty), f"web_{sim.ticks}c")


async def stop_gone(story: Story) -> None:
    """A person cancels the stop."""
    story.sim.venue.account.conditionals.cancel_all(story.symbol, story.sim.venue_ms)


async def orders_gone(story: Story) -> None:
    story.sim.venue.account.cancel_all(story.symbol, story.sim.venue_ms)


async def forced(story: Story) -> None:
    """The venue takes the position: deleveraged, or liquidated."""
    sim, liquidation = story.sim, story.sim.venue.account.liquidation
    if sim.held(story.symbol):
        take = story.rng.choice((liquidation.deleverage, liquidation.close))
        take(story.symbol, "BOTH", sim.venue_ms, sim.venue)


async def adopt(story: Story) -> None:
    sim, symbol = story.sim, story.symbol
    qty = sim.engine.ledger.foreign.get(symbol)
    if qty:
        tick = sim.tape.specs[symbol].tick
        ticks = round(sim.tape.price(symbol) * (0.98 if qty > 0 else 1.02) / float(tick))
        sim.command(Adopt(symbol=symbol, qty=qty, stop=Decimal(ticks) * tick))


async def other_nexus(story: Story) -> None:
    """Another machine writes on this account."""
    sim = story.sim
    if story.rng.random() < 0.3:
        tick = sim.tape.specs[SOL].tick
        price = str(Decimal(round(sim.tape.price(SOL) * 0.9 / float(tick))) * tick)
        with contextlib.suppress(VenueError):
            sim.by_hand(SOL, Side.BUY, "1", OTHER_NEXUS, price)


Act = Callable[[Story], Awaitable[None]]
ACTS: tuple[tuple[Act, float], ...] = (
    (wish, 8.0),
    (answer, 4.0),
    (close, 2.0),
    (flatten, 0.5),
    (halt, 0.5),
    (release, 1.5),
    (mode, 0.8),
    (move_stop, 1.2),
    (kill, 0.6),
    (kill_soon, 2.0),
    (outage, 0.5),
    (user_cut, 0.5),
    (stale, 0.3),
    (gap, 0.4),
    (clock, 0.5),
    (disk, 0.3),
    (no_stops, 0.3),
    (jump, 1.2),
    (swan, 0.2),
    (thin, 0.6),
    (funding, 0.2),
)
STRANGERS: tuple[tuple[Act, float], ...] = (
    (by_hand, 1.0),
    (closed_by_hand, 0.7),
    (stop_gone, 1.0),
    (orders_gone, 0.4),
    (forced, 0.5),
    (adopt, 0.8),
    (other_nexus, 0.4),
)


async def tell(seed: int) -> Result:
    return await Story(seed).tell()
