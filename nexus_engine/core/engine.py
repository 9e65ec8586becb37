"""The heart: one event in, effects out.

A deterministic state machine. The same events give the same effects, live, in replay, in a backtest and in simulation.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from nexus_engine.core import accounting, live, transfers
from nexus_engine.core.calendar import Calendar
from nexus_engine.core.calm import Calm, calm
from nexus_engine.core.chart import Lines
from nexus_engine.core.curve import Curve
from nexus_engine.core.desk import Desk
from nexus_engine.core.hindrances import Hindrances
from nexus_engine.core.hunt import Hunt, withdraw
from nexus_engine.core.market import HOURLY, Market
from nexus_engine.core.notebook import Notebook
from nexus_engine.core.presence import Presence, count_crash
from nexus_engine.core.trips import Trips
from nexus_engine.core.view import draw
from nexus_engine.core.why import Reasons
from nexus_engine.cortex.factory import NO_OWN, Cortex, Own
from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.cortex.scalping import Scalping
from nexus_engine.cortex.shark import Shark
from nexus_engine.cortex.strategy import NO_CONTEXT, Context
from nexus_engine.cortex.targets import SQUEEZE_INTERVAL, Targets
from nexus_engine.model import commands as c
from nexus_engine.model import events as e
from nexus_engine.model.config import Directive
from nexus_engine.model.effects import AnyEffect, Resync
from nexus_engine.model.facts import (
    SENTINEL,
    SWAN_LOCK,
    AnyFact,
    LatchSet,
    ModeSet,
    RunEnded,
    RunStarted,
    StrategySwitched,
)
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.people import People
from nexus_engine.model.signals import Holding, Signal
from nexus_engine.model.turn import Turn
from nexus_engine.model.view import View, ViewRequest
from nexus_engine.model.words import Latch, Leg, Level, Mode
from nexus_engine.servos import byhand
from nexus_engine.servos.copilot import TIMER as PROPOSAL_TIMER
from nexus_engine.servos.copilot import Copilot
from nexus_engine.servos.edge import record_of
from nexus_engine.servos.manager import ENTRY_TIMER, Manager
from nexus_engine.servos.reconcile import TIMER as RECONCILE_TIMER
from nexus_engine.servos.reconcile import Reconciler
from nexus_engine.shield.manager import Shield

PULSE: Final = "pulse"
PULSE_MS: Final = 250
PRICES_NS: Final = 60_000_000_000
"""How long the day's beginning waits, after a start, for the prices of what is held."""
STILL_NS: Final = 2_000_000_000
"""A pulse that is so late, by either clock: the process was stopped, or its machine. What it hears next may be old, and
comes with a stamp of now."""
SWAN_INTERVAL: Final = "1m"
NOTHING: Final[list[AnyEffect]] = []


class Engine:
    """Holds the market and the zones, and walks each event through them: market, shield, cortex, shield, servos."""

    def __init__(self, directive: Directive, ledger: Ledger, own: Own = NO_OWN) -> None:
        self.cortex = Cortex(directive.strategies, own, directive.shield.swan_symbol)
        self.directive = directive = _levered(directive, self.cortex.leverage)
        self.people = People(directive.people)
        self.ledger = ledger
        self.market = Market(ledger.market_ns)
        self.shield = Shield(directive.shield, directive.risk)
        self.copilot = Copilot(directive.copilot)
        self.manager = Manager(directive.risk)
        self.reconciler = Reconciler(self.manager)
        self.hindrances = Hindrances()
        self.desk = Desk(directive, self.market, self.shield, self.copilot, self.manager)
        self.desk.blocked = self.blocked
        self.hunt = Hunt(directive.shield)
        self.desk.objection = self._objection
        squeeze = (SQUEEZE_INTERVAL,) if Shark.name in self.cortex.names else ()
        self.intervals = tuple(dict.fromkeys((*self.cortex.intervals, HOURLY, *squeeze)))
        """Bars that the feed must stream and tell the past of."""
        self.warmup_bars = self.cortex.warmup_bars
        self.notebook = Notebook()
        self.presence = Presence(directive.account.unattended_min)
        self.reasons = Reasons()
        self.trips = Trips()
        self.lines = Lines()
        self.curve = Curve()
        self.calendar = Calendar()
        self.targets = Targets(directive.shield.swan_symbol, directive.shield.max_spread_bp)
        self.feeds: dict[str, bool] = {}
        self.heard: dict[str, int] = {}
        """Monotonic ns of the last message by feed."""
        self.regime_models: dict[str, RegimeModel] = {}
        """By the hash of their arrays: given before an event names them."""
        self.views = 0
        self._pulsed = (0, 0)
        """Wall and monotonic ns of the last pulse; zeros before the first."""
        self._closing = False
        self._unfinished: list[AnyEffect] = []
        self._swan = directive.shield.swan_symbol
        self._started_mode = directive.account.mode
        self._handlers: Final[dict[type, Callable[[Turn, Any], None]]] = {
            e.Trade: self._trade,
            e.Mark: self._mark,
            e.Bar: self._bar,
            e.History: self._history,
            e.Instruments: self._instruments,
            e.FeedStatus: self._feed,
            e.OrderUpdate: self._order,
            e.AccountUpdate: self._account,
            e.VenueSnapshot: self._snapshot,
            e.SubmitResult: self._submitted,
            e.CancelResult: self._cancelled,
            e.QueryResult: self._answered,
            e.Started: self._started,
            e.Stopping: self._stopping,
            e.TimerFired: self._timer,
            e.Attended: lambda turn, event: self.presence.seen(turn),
            e.Commanded: self._commanded,
            e.Checked: lambda turn, event: live.checked(turn, self.shield.lock, event.problem),
            e.JournalFailed: self._journal_failed,
            e.Hindered: self._hindered,
            e.MacroSample: lambda turn, event: self.shield.macro.sample(turn, event),
            e.RegimeModelChanged: self._regime_model,
            e.StrategyHung: lambda turn, event: None,
        }
        self._commands: Final[dict[type, Callable[[Turn, Any, str], str]]] = {
            c.Approve: lambda turn, command, by: self.desk.approve(turn, command, by, self.mode),
            c.Reject: lambda turn, command, by: self.copilot.reject(turn, command.proposal, by),
            c.Halt: self._halt,
            c.Release: self._release,
            c.SetMode: self._set_mode,
            c.ClosePosition: self._close,
            c.Flatten: lambda turn, command, by: byhand.flatten(turn, self.manager, self.copilot, command, by),
            c.Edit: self.desk.edit,
            c.MoveStop: self._move_stop,
            c.Rearm: lambda turn, command, by: byhand.rearm(turn, self.manager, command.symbol, by),
            c.Hold: lambda turn, command, by: self.manager.protection.hold(turn, command.symbol, by),
            c.Pause: self._pause,
            c.Unlock: self._unlock,
            c.Adopt: self._adopt,
            c.RearmSwan: self._rearm_swan,
            c.Switch: self._switch,
            c.CloseForeign: lambda turn, command, by: byhand.close_foreign(turn, self.manager, command, by),
        }

    @property
    def mode(self) -> Mode:
        return self.ledger.mode or self._started_mode

    def mode_of(self, strategy: str) -> Mode:
        """Who decides a strategy's entries: the stricter of the account's mode and what the directive gives it. Where
        nothing is given the Shark's are a person's; Scalping's always are until the account's own trades have shown
        that it earns its costs."""
        most = self.directive.account.modes.get(strategy, Mode.COPILOT if strategy == Shark.name else self.mode)
        if strategy == Scalping.name and not record_of(strategy, self.ledger.closed).proven:
            most = min(most, Mode.COPILOT, key=lambda mode: mode.rank)
        return min(most, self.mode, key=lambda mode: mode.rank)

    def on(self, event: e.AnyEvent) -> list[AnyEffect]:
        """Take one event; return what must be done about it, in order.

        What a turn did before it failed is done, and recorded, with the next one: else the journal would not know it.
        """
        kind = type(event)
        if kind is e.BookDelta:
            self.heard["public"] = event.mono_ns
            return NOTHING if self.market.delta(event) else _crossed(event)  # type: ignore[arg-type]
        if kind is e.BookSnapshot:
            self.heard["public"] = event.mono_ns
            return NOTHING if self.market.snapshot(event) else _crossed(event)  # type: ignore[arg-type]
        if kind is e.BookInvalid:
            self.market.invalid(event)  # type: ignore[arg-type]
            return NOTHING
        turn = Turn(self.ledger, at_ns=event.at_ns, mono_ns=event.mono_ns, market_ns=self.market.now_ns)
        if self._unfinished:
            turn.effects, self._unfinished = self._unfinished, []
        self._unfinished = turn.effects
        self._handlers[kind](turn, event)
        if not turn.effects:
            return NOTHING
        self.shield.ordered(turn)
        self._unfinished = []
        effects = turn.seal()
        self.notebook.listen(effects, event.at_ns)
        self.reasons.listen(effects)
        self.trips.listen(effects)
        return effects

    def leap(self, at_ns: int, mono_ns: int) -> None:
        """The time up to here was left out because nothing happened in it, as a backtest may: nobody stood still, and
        what rests at the venue has just been seen there. Only the clocks move."""
        self._pulsed = (at_ns, mono_ns)
        self.market.now_ns = max(self.market.now_ns, at_ns)
        for order in self.ledger.alive():
            if order.status.resting:
                self.manager.asker.found(order.client_id, mono_ns)
                if order.leg is Leg.STOP:
                    self.manager.protection.took(order.client_id, mono_ns)

    def calm(self, symbol: str) -> Calm | None:
        """Where a pulse would find nothing to do about what is held there, the day's turn aside; None: nowhere."""
        return calm(self.ledger, self.shield.drawdown, self.market.symbols[symbol].instrument)

    def spent(self, key: str) -> bool:
        """A timer whose proposal or entry is over: whenever it fires, it will find nothing to do."""
        head, _, tail = key.partition(":")
        if head + ":" == PROPOSAL_TIMER:
            proposal = self.ledger.proposals.get(int(tail))
            return proposal is None or not proposal.status.open
        order = self.ledger.orders.get(tail)
        return head + ":" == ENTRY_TIMER and (order is None or not order.alive)

    def rest(self, looks: int) -> None:
        """So many pulses were left out, all of them within `calm`, and the last at the mark that is."""
        self.shield.drawdown.rest(accounting.equity(self.ledger, self.market.marks()), looks)

    def recall(self, facts: Iterable[AnyFact]) -> None:
        """Before the first event: put back what earlier runs said, for people to read."""
        for fact in facts:
            self.notebook.recall(fact)
            self.reasons.recall(fact)
            self.trips.recall(fact)

    def blocked(self, turn: Turn) -> str:
        """Why no entry at all may leave now; empty when one may."""
        if self._closing:
            return "the account is being closed"
        if self.hindrances.first:
            return self.hindrances.first
        if not self.reconciler.done:
            return "not reconciled with the venue yet"
        if not self.feeds.get("user", False):
            return "the account's stream is down"
        if self._still_ns(turn) > STILL_NS:
            return "the process stood still"
        if self.presence.away:
            return self.presence.blocked
        swan = self.market.quote(self._swan, turn.mono_ns)
        day_pnl = accounting.day_pnl(self.ledger, self.market.marks())
        return self.shield.entries_blocked(turn.market_ns, self.ledger, swan, day_pnl, turn.at_ns)

    def view(self, request: ViewRequest, *, at_ns: int, mono_ns: int) -> View:
        """The picture of this moment. Changes nothing but its number."""
        *_, whole = self.drawing(request, at_ns=at_ns, mono_ns=mono_ns)
        return whole

    def drawing(self, request: ViewRequest, *, at_ns: int, mono_ns: int) -> Iterator[View]:
        """The picture as it grows, the last one whole; events may be handed in before each."""
        self.views += 1
        return draw(self, request, at_ns=at_ns, mono_ns=mono_ns)

    # ---- market ------------------------------------------------------------------------------------------------------

    def _trade(self, turn: Turn, event: e.Trade) -> None:
        self.market.trade(event)
        self.heard["market"] = event.mono_ns
        if event.symbol == self._swan:
            self._watch_swan(turn, "trade", event.price, event.venue_ns, event.qty)

    def _mark(self, turn: Turn, event: e.Mark) -> None:
        self.market.marked(event)
        self.heard["market"] = event.mono_ns
        if event.symbol == self._swan:
            self._watch_swan(turn, "mark", event.mark, event.venue_ns)

    def _watch_swan(self, turn: Turn, source: str, price: float, venue_ns: int, qty: float = 0.0) -> None:
        turn.market_ns = self.market.now_ns
        # a stamp that the market's clock did not believe is none of the swan's either
        if self.shield.price(turn, self._swan, source, price, min(venue_ns, turn.market_ns), qty):
            self.copilot.expire_all(turn, "black swan", longs_only=True)
            count = self.manager.exit_all(turn, SENTINEL, longs_only=True)
            fall = turn.ledger.locks[SWAN_LOCK].reason.removeprefix(f"{self._swan} ")
            told = f"BLACK SWAN: {count} longs closing, shorts untouched; {fall}"
            turn.note(Level.ALARM, self._swan, told, SENTINEL)

    def _bar(self, turn: Turn, event: e.Bar) -> None:
        self.market.bar(event)
        turn.market_ns = self.market.now_ns
        quote = self.market.quote(event.symbol, turn.mono_ns)
        if quote is not None:
            for signal in self.cortex.bar(event, quote, self._context(turn) if event.closed else NO_CONTEXT):
                self.desk.consider(turn, signal, self.mode_of(signal.strategy))
            if event.closed:
                self._leave(turn, event.symbol, event.interval, event)
        if self.cortex.problems:
            self._complain(turn)

    def _leave(self, turn: Turn, symbol: str, interval: str, bar: e.Bar | e.BarRow) -> None:
        """Ask the strategy that opened what is held whether it leaves at this close."""
        position = turn.ledger.positions.get(symbol)
        if position is None:
            return
        held = Holding(
            symbol=symbol,
            side=position.side,
            entry=float(position.entry),
            stop=float(position.plan.stop),
            since_ns=position.opened_market_ns or position.opened_ns,
        )
        leave = self.cortex.leave(position.strategy, interval, bar, held)
        if leave is not None:
            self.manager.leave(turn, position, leave)

    def _context(self, turn: Turn) -> Context:
        macro = self.shield.macro.state(self.ledger.macro, turn.at_ns, turn.mono_ns)
        return self.hunt.context(turn, self.market, macro)

    def _objection(self, turn: Turn, signal: Signal) -> str:
        if signal.strategy in turn.ledger.off:
            return f"{signal.strategy} is switched off"
        return self.hunt.objection(signal.strategy, self.market)

    def _complain(self, turn: Turn) -> None:
        """Tell of the user's own strategies that do not run."""
        problems, self.cortex.problems = self.cortex.problems, []
        for text in problems:
            turn.note(Level.WARN, "account", text, "bot")

    def _history(self, turn: Turn, event: e.History) -> None:
        self.market.history(event)
        if event.interval in self.cortex.intervals:
            self.cortex.history(event.symbol, event.interval, event.bars)
            if event.bars:
                # it may have closed while nobody was there
                self._leave(turn, event.symbol, event.interval, event.bars[-1])
        if event.symbol == self._swan and event.interval == SWAN_INTERVAL:
            self.shield.history(event.symbol, event.bars, self.market.now_ns)

    def _regime_model(self, turn: Turn, event: e.RegimeModelChanged) -> None:
        model = self.regime_models.get(event.sha256)
        self.cortex.use(model)
        if model is None:
            turn.note(Level.WARN if event.reason else Level.INFO, "regime", f"by rule: {event.reason or 'no model'}")
        else:
            turn.note(Level.INFO, "regime", f"by model {event.name}{event.reason}")

    def _instruments(self, turn: Turn, event: e.Instruments) -> None:
        self.market.load(event.instruments)

    def _feed(self, turn: Turn, event: e.FeedStatus) -> None:
        was = self.feeds.get(event.feed)
        self.feeds[event.feed] = event.up
        if was is not None and was != event.up:
            state = "back" if event.up else "down"
            text = f"{event.feed} stream {state}{': ' + event.reason if event.reason else ''}"
            turn.note(Level.INFO if event.up else Level.WARN, event.venue, text, "uplink")
        if event.feed == "user" and event.up:
            self.reconciler.distrust(turn)

    # ---- the account -------------------------------------------------------------------------------------------------

    def _order(self, turn: Turn, event: e.OrderUpdate) -> None:
        self.heard["user"] = event.mono_ns
        self._counting(turn, lambda: self.manager.reported(turn, event.report, (event.fill,) if event.fill else ()))

    def _account(self, turn: Turn, event: e.AccountUpdate) -> None:
        self.heard["user"] = event.mono_ns
        if event.transfer:
            transfers.told(turn, event, self.market.marks())
        self.manager.account(turn, event)

    def _snapshot(self, turn: Turn, event: e.VenueSnapshot) -> None:
        marks = self.market.marks()
        heard = self.feeds.get("user", False)
        if event.ok:
            transfers.listed(turn, event, marks)
        self._counting(turn, lambda: self.reconciler.snapshot(turn, event, marks, heard=heard))
        self._open_day(turn, marks)

    def _submitted(self, turn: Turn, event: e.SubmitResult) -> None:
        self._counting(turn, lambda: self.manager.submitted(turn, event))

    def _cancelled(self, turn: Turn, event: e.CancelResult) -> None:
        self.manager.cancelled(turn, event)

    def _answered(self, turn: Turn, event: e.QueryResult) -> None:
        self._counting(turn, lambda: self.manager.answered(turn, event))

    def _counting(self, turn: Turn, work: Callable[[], None]) -> None:
        """Do what may close trades, and have the Shield look at them."""
        before = self.ledger.day_trades
        work()
        count = self.ledger.day_trades - before
        if count > 0:
            self.shield.closed(turn, self.ledger.closed[-count:])

    # ---- the house ---------------------------------------------------------------------------------------------------

    def _started(self, turn: Turn, event: e.Started) -> None:
        self._started_mode = event.mode
        earlier_ns = self.ledger.started_ns
        count_crash(turn, self.directive.account.crash_boots)
        self.presence.begin(turn, attended=event.attended)
        turn.record(
            RunStarted(
                at_ns=turn.at_ns,
                account=event.account,
                kind=event.kind,
                instance=event.instance,
                epoch=event.epoch,
                version=event.version,
            )
        )
        if self.ledger.mode is None:
            turn.record(ModeSet(at_ns=turn.at_ns, mode=event.mode, by="bot"))
        for text in self.cortex.warnings:
            turn.note(Level.WARN, "account", text, "bot")
        self._complain(turn)
        for position in self.ledger.positions.values():
            if position.strategy and position.strategy not in self.cortex.names:
                text = f"{position.strategy} does not run: P{position.intent} keeps its stop, targets and time stop"
                turn.note(Level.WARN, position.symbol, text, "bot")
        self.copilot.resume(turn)
        self.reconciler.resume(turn, earlier_ns)
        turn.timer(PULSE, PULSE_MS)

    def _timer(self, turn: Turn, event: e.TimerFired) -> None:
        key = event.key
        if key == PULSE:
            # first: what follows may break, and the pulse must not die of it
            turn.timer(PULSE, PULSE_MS)
            self._wake(turn)
            self.manager.pulse(turn)
            live.expire(turn, self.shield.lock, self.manager)
            self.presence.look(turn)
            self.desk.refresh(turn)
            for signal in self.desk.due(turn):
                self.desk.consider(turn, signal, self.mode_of(signal.strategy), waited=True)
            marks = self.market.marks()
            self._open_day(turn, marks)
            self.shield.macro.look(turn)
            self.hunt.look(turn, self.market, self.copilot)
            self.shield.drawdown.look(turn, accounting.equity(self.ledger, marks))
            self.curve.sample(self.ledger, marks, turn.at_ns)
        elif key == RECONCILE_TIMER:
            self.reconciler.timer(turn)
        elif key.startswith(PROPOSAL_TIMER):
            self.copilot.timer(turn, int(key.removeprefix(PROPOSAL_TIMER)))
        else:
            self.manager.timer(turn, key)

    def _open_day(self, turn: Turn, marks: accounting.Marks) -> None:
        if not self.calendar.turns(turn):
            return
        # what is held without a price counts at its entry: what it won or lost before would be today's
        priced = self.ledger.positions.keys() <= marks.keys()
        if priced or turn.at_ns - self.ledger.started_ns >= PRICES_NS:
            accounting.open_day(turn, marks)

    def _still_ns(self, turn: Turn) -> int:
        """Since the last pulse. A machine that is paused stops the one clock, a stopped process neither."""
        wall, mono = self._pulsed
        return max(turn.at_ns - wall, turn.mono_ns - mono) if mono else 0

    def _wake(self, turn: Turn) -> None:
        """After a standstill nothing is entered before the venue was asked again: by then what was old is read."""
        still_ns = self._still_ns(turn)
        self._pulsed = (turn.at_ns, turn.mono_ns)
        if still_ns > STILL_NS:
            turn.note(Level.WARN, "account", f"the process stood still for {still_ns / 1e9:.1f} s", "uplink")
            self.reconciler.distrust(turn)

    def _journal_failed(self, turn: Turn, event: e.JournalFailed) -> None:
        if Latch.PROTECT_ONLY not in self.ledger.latches:
            self._latch(turn, Latch.PROTECT_ONLY, "bot", f"the journal cannot be written: {event.reason}")

    def _hindered(self, turn: Turn, event: e.Hindered) -> None:
        if event.name == e.WRITER:
            self.manager.fenced = bool(event.problem)
        if self.hindrances.heard(turn, event):
            self.copilot.expire_all(turn, "PROTECT-ONLY")
            self.manager.cancel_entries(turn)

    def _stopping(self, turn: Turn, event: e.Stopping) -> None:
        self._closing = True
        turn.record(RunEnded(at_ns=turn.at_ns))
        self.copilot.expire_all(turn, "the account is being closed")
        self.manager.cancel_entries(turn)

    # ---- commands ----------------------------------------------------------------------------------------------------

    def _commanded(self, turn: Turn, event: e.Commanded) -> None:
        if event.surface != "carrier":
            self.presence.seen(turn)
        command = event.command
        subject = self._subject(command)
        if refusal := self.people.refusal(command, event.by, self.mode):
            turn.note(Level.WARN, subject, refusal, event.by)
            self.notebook.refuse(turn.at_ns, subject, event.by, refusal)
            return
        told = self._commands[type(command)](turn, command, event.by)
        follows = "" if isinstance(command, c.Flatten) else subject
        self.notebook.answer(turn.at_ns, subject, event.by, told, follows=follows)

    def _subject(self, command: c.AnyCommand) -> str:
        if isinstance(command, c.Approve | c.Reject | c.Edit):
            proposal = self.ledger.proposals.get(command.proposal)
            return "" if proposal is None else proposal.symbol
        return getattr(command, "symbol", "account")

    def _latch(self, turn: Turn, latch: Latch, by: str, reason: str, level: Level = Level.ALARM) -> None:
        turn.record(LatchSet(at_ns=turn.at_ns, latch=latch, on=True, by=by, reason=reason))
        turn.note(level, "account", f"{latch}: {reason}" if reason else latch, by)

    def _halt(self, turn: Turn, command: c.Halt, by: str) -> str:
        if Latch.HALT in self.ledger.latches:
            return "HALT is latched already"
        self._latch(turn, Latch.HALT, by, command.reason)
        self.copilot.expire_all(turn, "HALT")
        count = self.manager.cancel_entries(turn)
        return (
            f"HALT: no entries, cancelling {count}; exits alive" if count else "HALT: no entries; exits and stops alive"
        )

    def _pause(self, turn: Turn, command: c.Pause, by: str) -> str:
        if Latch.PAUSE in self.ledger.latches:
            return "PAUSE is latched already"
        self._latch(turn, Latch.PAUSE, by, "", Level.WARN)
        return "PAUSE: no new entries; what works stays"

    def _unlock(self, turn: Turn, command: c.Unlock, by: str) -> str:
        return live.unlock(turn, self.shield.lock, command.word, self.directive.account.lease_h, by)

    def _release(self, turn: Turn, command: c.Release, by: str) -> str:
        latch = command.latch
        if latch not in self.ledger.latches:
            return f"{latch} is not latched"
        if command.word != latch.lower():
            return f"{latch} stays: type {latch.lower()} to release it"
        turn.record(LatchSet(at_ns=turn.at_ns, latch=latch, on=False, by=by))
        turn.note(Level.WARN, "account", f"{latch} released", by)
        kept = self.blocked(turn)
        self.reconciler.distrust(turn)
        return f"{latch} released; " + (f"no entries: {kept}" if kept else "entries again once reconciled")

    def _rearm_swan(self, turn: Turn, command: c.RearmSwan, by: str) -> str:
        if command.word != "swan":
            return "longs stay locked: type swan to re-arm"
        return self.shield.rearm(turn, by)

    def _set_mode(self, turn: Turn, command: c.SetMode, by: str) -> str:
        if command.mode is self.mode:
            return f"the mode is {self.mode} already"
        up = command.mode.rank > self.mode.rank
        if up and command.word != command.mode.lower():
            return f"the mode stays {self.mode}: type {command.mode.lower()} to go up"
        turn.record(ModeSet(at_ns=turn.at_ns, mode=command.mode, by=by))
        turn.note(Level.WARN if up else Level.INFO, "account", f"mode {command.mode}", by)
        if command.mode is Mode.WATCHER:
            self.copilot.expire_all(turn, "mode WATCHER")
            self.manager.cancel_entries(turn)
        names = dict.fromkeys((*self.directive.account.modes, *self.cortex.names))
        capped = [name for name in names if self.mode_of(name) is not self.mode]
        kept = ", ".join(f"{name} stays {self.mode_of(name)}" for name in capped)
        return f"mode {command.mode}" + (f"; {kept}" if kept else "")

    def _switch(self, turn: Turn, command: c.Switch, by: str) -> str:
        name = command.strategy
        if name not in self.cortex.names:
            return f"{name[:31]} does not run here; running: {', '.join(self.cortex.names)}"
        word = "on" if command.on else "off"
        if command.on is (name not in self.ledger.off):
            return f"{name} is {word} already"
        turn.record(StrategySwitched(at_ns=turn.at_ns, strategy=name, on=command.on, by=by))
        turn.note(Level.WARN, "account", f"strategy {name} switched {word}", by)
        count = 0 if command.on else withdraw(turn, self.copilot, name, "switched off")
        return f"{name} is {word}" + (f"; {count} cards and entries withdrawn" if count else "")

    def _close(self, turn: Turn, command: c.ClosePosition, by: str) -> str:
        state = self.market.symbols.get(command.symbol)
        instrument = None if state is None else state.instrument
        return self.manager.close(turn, command.symbol, instrument, half=command.half, by=by)

    def _move_stop(self, turn: Turn, command: c.MoveStop, by: str) -> str:
        state = self.market.symbols.get(command.symbol)
        if state is None:
            turn.note(Level.INFO, command.symbol, f"stop not moved to {command.stop}: we hold nothing", by)
            return f"{command.symbol}: we hold nothing"
        return byhand.move_stop(turn, self.manager, state.instrument, state.mark, command.stop, by)

    def _adopt(self, turn: Turn, command: c.Adopt, by: str) -> str:
        state = self.market.symbols.get(command.symbol)
        if state is None:
            return f"{command.symbol}: is not among the symbols of this account; add it to the directive"
        equity = accounting.equity(self.ledger, self.market.marks())
        return byhand.adopt(turn, self.manager, state.instrument, state.mark, equity, command, by)


def _crossed(event: e.AnyEvent) -> list[AnyEffect]:
    assert isinstance(event, e.BookSnapshot | e.BookDelta)
    return [Resync(symbol=event.symbol, reason="its bids reach its asks")]


def _levered(directive: Directive, cap: int | None) -> Directive:
    """Leverage is set once a symbol at the venue: the lowest that anybody asks for, so that a card shows what holds."""
    if cap is None or cap >= directive.risk.leverage:
        return directive
    return directive.model_copy(update={"risk": directive.risk.model_copy(update={"leverage": cap})})
