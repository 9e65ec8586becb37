"""An engine without a world: events in by hand, facts kept as a journal would."""

from decimal import Decimal

from nexus_engine.core.engine import Engine
from nexus_engine.model import commands as c
from nexus_engine.model import events as e
from nexus_engine.model.config import AccountConfig, Directive, ShieldConfig
from nexus_engine.model.effects import AnyEffect, Record, Submit
from nexus_engine.model.facts import AnyFact, Filled, OrderIntended
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.macro import MacroRow
from nexus_engine.model.orders import ExitPlan, Fill, Order
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import AccountKind, Latch, Leg, Mode, OrderKind, Side, TradingState, Venue

BTC = "BTCUSDT"
START_NS = 1_764_000_000_000_000_000
SECOND = 1_000_000_000
DIRECTIVE = Directive(
    account=AccountConfig(crash_boots=1_000),
    shield=ShieldConfig(loss_streaks={}, loss_streak=2, loss_pause_min=5, swan_confirmations=3),
)
STRICT = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
RANK = {Mode.WATCHER: 0, Mode.COPILOT: 1, Mode.PILOT: 2}
GRID = Decimal("0.1")
INSTRUMENT = Instrument(
    symbol=BTC, tick=GRID, step=Decimal("0.001"), min_qty=Decimal("0.001"), max_qty=Decimal(1_000),
    market_max_qty=Decimal(100), min_notional=Decimal(5),
)  # fmt: skip


class House:
    """An engine without a world: events in by hand, facts kept as a journal would."""

    def __init__(self) -> None:
        self.facts: list[AnyFact] = []
        self.now_ns, self.price, self.intent, self.lives, self.sources = START_NS, 60_000.0, 0, 0, 0
        self.sent: list[Submit] = []
        self.boot()

    @property
    def at(self) -> dict[str, int]:
        return {"at_ns": self.now_ns, "mono_ns": self.now_ns - START_NS + 1}

    def boot(self) -> None:
        """Begin a life on what the journal has."""
        self.lives += 1
        self.ledger = Ledger().fold(self.facts)
        self.engine = Engine(DIRECTIVE, self.ledger)
        self.on(
            e.Started(
                **self.at, account="main", kind=AccountKind.LIVE, instance="test", epoch=self.lives, version="0",
                mode=Mode.PILOT,
            )
        )  # fmt: skip
        self.on(e.Instruments(**self.at, instruments=(INSTRUMENT,)))

    def on(self, event: e.AnyEvent) -> None:
        self._keep(self.engine.on(event))

    def _keep(self, effects: list[AnyEffect]) -> None:
        self.facts += [effect.fact for effect in effects if isinstance(effect, Record)]
        self.sent += [effect for effect in effects if isinstance(effect, Submit)]

    # ---- what may happen ---------------------------------------------------------------------------------------------

    def kill(self, _: int) -> None:
        before = self.ledger
        self.boot()
        for name in ("latches", "mode", "locks", "streaks", "trips", "peak", "day_from", "day_r", "week_r", "macro"):
            assert getattr(self.ledger, name) == getattr(before, name), name

    def wait(self, minutes: int) -> None:
        self.now_ns += minutes * 60 * SECOND

    def pulse(self, wallet: int) -> None:
        """The account is worth so much now, for as long as a breaker wants to see it."""
        self.on(e.AccountUpdate(**self.at, wallet=Decimal(wallet), venue_ns=self.now_ns))
        for _ in range(13):
            self.now_ns += SECOND // 4
            self.on(e.TimerFired(**self.at, key="pulse"))

    def ticks(self, permille: int) -> None:
        """Bitcoin trades there for some seconds; the mark follows."""
        self.price = min(1e6, max(100.0, self.price * (1 + permille / 1000)))
        for at in range(20):
            self.now_ns += SECOND // 2
            price = self.price + at % 2
            self.on(e.Mark(
                **self.at, symbol=BTC, mark=price, index=price, funding_rate=0.0, next_funding_ns=0,
                venue_ns=self.now_ns,
            ))  # fmt: skip
            self.on(e.Trade(
                **self.at, symbol=BTC, price=price, qty=1.0, buyer_is_maker=True, venue_ns=self.now_ns + 1
            ))  # fmt: skip

    def trade(self, pnl: int) -> None:
        """A trade of ours closes at that result; its stop ends it when it lost."""
        self.intent = intent = max(self.intent, self.ledger.next_intent) + 1
        turn = Turn(self.ledger, **self.at, market_ns=self.engine.market.now_ns or self.now_ns)
        for leg, side, price in (
            (Leg.ENTRY, Side.BUY, Decimal(100)),
            (Leg.STOP if pnl < 0 else Leg.EXIT, Side.SELL, Decimal(100 + pnl)),
        ):
            order = Order(
                client_id=f"nxtest-{self.lives}-{intent}{leg.value}1", symbol="SOLUSDT", side=side,
                kind=OrderKind.LIMIT, leg=leg, intent=intent, qty=Decimal(1), price=price,
                reduce_only=leg is not Leg.ENTRY, strategy="harpoon",
                plan=ExitPlan(stop=Decimal(99)) if leg is Leg.ENTRY else None, created_ns=self.now_ns,
                changed_ns=self.now_ns,
            )  # fmt: skip
            fill = Fill(
                symbol="SOLUSDT", trade_id=order.client_id, client_id=order.client_id, side=side, price=price,
                qty=Decimal(1), fee=Decimal(0), venue_ns=self.now_ns,
            )  # fmt: skip
            turn.record(OrderIntended(at_ns=self.now_ns, order=order))
            turn.record(Filled(at_ns=self.now_ns, fill=fill, market_ns=turn.market_ns))
        self.engine.shield.closed(turn, self.ledger.closed[-1:])
        self._keep(turn.seal())

    def macro(self, step: int) -> None:
        """One more sample; now and then of another source."""
        past = self.ledger.macro
        last = past.rows[-1] if past.rows else MacroRow(0, 50.0, 3e12)
        row = MacroRow(self.now_ns, last.dominance + step / 100, last.cap * (1 + step / 1000))
        self.on(e.MacroSample(**self.at, source=past.source if step % 7 and past.source else "cmc", rows=(row,)))

    def days(self, drift: int) -> None:
        """A source tells four days of its past at once: dominance goes that way, and the cap the other."""
        self.sources += 1
        rows = tuple(
            MacroRow(self.now_ns - (96 - hour) * 3_600 * SECOND, 50.0 + drift * hour / 30 + hour % 2 / 20,
                     3e12 * (1 - drift * hour / 600 + hour % 3 / 500))
            for hour in range(97)
        )  # fmt: skip
        self.on(e.MacroSample(**self.at, source=f"source {self.sources}", rows=rows))

    def feed(self, up: int) -> None:
        for name in ("public", "market", "user"):
            self.on(e.FeedStatus(**self.at, venue=Venue.BINANCE, feed=name, up=up % 2 == 0))

    def snapshot(self, ok: int) -> None:
        self.on(e.VenueSnapshot(
            **self.at, venue=Venue.BINANCE, ok=ok % 3 > 0, wallet=Decimal(1_000), available=Decimal(1_000)
        ))  # fmt: skip

    def broken(self, _: int) -> None:
        self.on(e.JournalFailed(**self.at, reason="disk full"))

    def checked(self, fit: int) -> None:
        self.on(e.Checked(**self.at, problem="" if fit % 2 else "the key may withdraw"))

    def say(self, number: int) -> None:
        """What people may say that loosens nothing: tightening words, and loosening ones that are not typed right."""
        wrong = ("", "yes", "HALT", "release", "flat")[number % 5]
        latch, mode = list(Latch)[number % len(Latch)], list(Mode)[number % 3]
        wishes: tuple[c.AnyCommand, ...] = (
            c.Halt(reason="now"), c.Pause(), c.Release(latch=latch, word=wrong), c.SetMode(mode=mode, word=wrong),
            c.SetMode(mode=Mode.WATCHER, word=""), c.Flatten(word="flat"), c.Unlock(word=wrong),
            c.ClosePosition(symbol=BTC),
        )  # fmt: skip
        self.on(e.Commanded(**self.at, command=wishes[number % len(wishes)]))

    def unlock(self, _: int) -> None:
        """A person types the phrase of real money."""
        self.on(e.Commanded(**self.at, command=c.Unlock(word=c.live_phrase("main"))))

    def rearm(self, _: int) -> None:
        """A person lets longs in again."""
        self.on(e.Commanded(**self.at, command=c.RearmSwan(word="swan")))

    def person(self, number: int) -> None:
        """A person releases one latch, in the word that it asks for."""
        latch = list(Latch)[number % len(Latch)]
        self.on(e.Commanded(**self.at, command=c.Release(latch=latch, word=latch.lower())))

    # ---- where it is -------------------------------------------------------------------------------------------------

    @property
    def states(self) -> set[str]:
        """Everything that holds a guard's door now, in words."""
        ledger, at = self.ledger, self.now_ns
        held = {
            name.partition(":")[0] for name, lock in ledger.locks.items() if lock.until_ns > self.engine.market.now_ns
        }
        blocked = self.engine.blocked(Turn(ledger, **self.at, market_ns=self.engine.market.now_ns))
        found = {*ledger.latches, *held, f"macro {ledger.macro.macro}", f"mode {self.engine.mode}", f"{ledger.state}"}
        found |= {"leased"} if ledger.lease_until_ns > at else set()
        return found | ({"open"} if not blocked else set())
