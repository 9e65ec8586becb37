"""One account's life on its loop: start (which is recovery), run, leave."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

import nexus_engine
from nexus_engine.carrier import Carrier
from nexus_engine.model.commands import AnyCommand, Flatten, Halt
from nexus_engine.model.config import Directive
from nexus_engine.model.effects import Notify
from nexus_engine.model.events import Attended, Checked, FeedStatus, Started, Stopping, StrategyHung, TimerFired
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.paths import latch_path, socket_path, venue_state_dir
from nexus_engine.model.people import HERE, People
from nexus_engine.model.secret import Secret
from nexus_engine.model.view import EventRow, View, ViewRequest
from nexus_engine.model.words import AccountKind, Leg, Level, Role
from nexus_engine.runtime.beside import AGAIN_S, Beside
from nexus_engine.runtime.client import asked
from nexus_engine.runtime.clock import SystemClock
from nexus_engine.runtime.control import ControlServer, Status, shown
from nexus_engine.runtime.demo import DemoVenue, read_ready
from nexus_engine.runtime.garbage import Garbage
from nexus_engine.runtime.health import Pulse, memory_mb
from nexus_engine.runtime.macro import macro_feed
from nexus_engine.runtime.memory import Memory
from nexus_engine.runtime.options import Options, StartError, os_user, with_key
from nexus_engine.runtime.own_guard import Guard
from nexus_engine.runtime.retrain import Keeper, changed
from nexus_engine.runtime.stall import StallWatch
from nexus_engine.runtime.uplinks import Address, Connect, Need, Uplink, address, connect_binance, warm
from nexus_engine.runtime.voices import load_voices
from nexus_engine.servos.personality import Personality
from nexus_engine.store.recording import Header, Recorder
from nexus_engine.uplink.binance.settings import AccountRefused, UplinkError

if TYPE_CHECKING:
    from nexus_engine.core.engine import Engine
    from nexus_engine.cortex.regime_model import RegimeModel
    from nexus_engine.uplink.cmc import MacroFeed

log = logging.getLogger(__name__)

_EARLY: Final = 20
"""Commands that wait for a start at most; and one HALT."""
_LATCH_POLL_S: Final = 0.1
_FRAME_S: Final = 1.0
_FLATTEN_S: Final = 10.0
_CALM_S: Final = 3.0
_DRAIN_S: Final = 6.0
"""Longer than a broker's own deadline."""
_ATTENDED_NS: Final = 1_000_000_000
"""Somebody who goes on looking is told of this often."""
_BREAK_S: Final = 0.001
"""Between the parts of a picture, for a tick that came meanwhile."""
_STREAMS: Final = ("public", "market", "user")


class Account:
    """What lives on the engine's loop. Every method is called on that loop.

    `say` is told what a start is doing; heavy imports wait for `after` to be set, a second at most. `beat` is called
    ten times a second while the loop lives, from the moment on at which the engine hears commands.
    """

    def __init__(
        self,
        options: Options,
        folder: Path,
        say: Callable[[str], None],
        *,
        after: threading.Event | None = None,
        connect: Connect | None = None,
        beat: Callable[[], None] | None = None,
    ) -> None:
        self.options = options
        self.folder = folder
        self.pulse = Pulse()
        self._garbage = Garbage()
        self.progress = ""
        self.running = False
        """The venue has been asked for the account once: from here on one leaves in order."""
        self.unflat = ""
        """What a flatten on the way out did not get closed, in one line; empty when it did."""
        self._say = say
        self._after = after
        self._connect = connect
        self._on_beat = beat
        self._people = People({})
        self._voices: Mapping[str, Personality] = {}
        self._ui_voice = "plain"
        self._clock = SystemClock()
        self._attended_mono = -_ATTENDED_NS
        self._early: list[tuple[AnyCommand, str, str]] = []
        self._leave = asyncio.Event()
        self._how = "quit"
        self._leaver = options.person
        self._life: asyncio.Task[Any] | None = None
        self._beside = Beside()
        self._engine: Engine | None = None
        self._ledger = Ledger()
        self._memory: Memory | None = None
        self._recorder: Recorder | None = None
        self._venue: DemoVenue | None = None
        self._uplink: Uplink | None = None
        self._macro: MacroFeed | None = None
        self._carrier: Carrier | None = None
        self._guard: Guard | None = None

    # ---- life --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """The whole life. Raises StartError, ConfigError, StateError, JournalError with one line.

        A cancel while it starts takes it down at once; later `stop` is the way.
        """
        self._life = asyncio.current_task()
        control = ControlServer(self, socket_path(self.folder))
        try:
            await control.start()
            try:
                await self._start()
            except (StartError, asyncio.CancelledError):
                self._called_off()
                raise
            self.running = True
            self._tell("")
            await self._leave.wait()
            await self._depart()
        finally:
            if self._how == "flatten" and self._ledger.positions:
                self.unflat = self._open_still()
                log.warning("%s", self.unflat)
            await control.close()
            await self._close()

    async def _start(self) -> None:
        self._tell("reading the journal")
        directive = self.options.resolve()
        if directive.postgres.key:
            self.options = with_key(self.options, ask=False)
        self._memory = memory = Memory(self.folder, directive, self._clock, self.options.password)
        self._people = People(directive.people)
        self._ui_voice = directive.ui.voice
        self._voices = load_voices({self._ui_voice, *(one.voice or "plain" for one in directive.people.values())})
        # In a thread: whoever asks meanwhile, for HALT or for the end, is answered.
        await asyncio.to_thread(memory.open)
        account, journal, facts = directive.account, memory.journal, memory.facts
        self._ledger = ledger = memory.ledger
        if self.options.record is not None:
            header = Header(version=nexus_engine.__version__, directive=directive.model_dump(mode="json"), facts=facts)
            self._recorder = Recorder(self.options.record, header)
        # The venue's process starts on another core; meanwhile this one imports, once the first frame is on the screen.
        where = self._beside.hold(self._address(directive))
        if self._after is not None:
            await asyncio.to_thread(self._after.wait, _FRAME_S)
        from nexus_engine.core.engine import Engine
        from nexus_engine.runtime.own import files_of, load_own
        from nexus_engine.runtime.own_check import problem_of, unknown
        from nexus_engine.servos.reconcile import TIMER as RECONCILE_TIMER

        root = self.folder.parent
        # A check takes seconds: what is open is protected first, and a new file waits for a start with nothing open.
        look = unknown if ledger.positions or any(ledger.alive()) else problem_of
        own = await asyncio.to_thread(load_own, directive.account.own_strategies, lambda file: look(file, root))
        if own.kinds:
            self._guard = Guard(files_of(own), self._hung)
            own = replace(own, call=self._guard)
        engine = self._engine = Engine(directive, ledger, own)
        engine.recall(facts)
        await warm()
        found = await where
        if self._venue is not None and self._venue.fresh and ledger.wallet is not None:
            text = "the demo venue has lost its books: a new practice account began, what was held there is gone"
            engine.notebook.add(
                Notify(level=Level.ALARM, subject="account", by="venue", text=text), self._clock.utc_ns()
            )
        self._tell("connecting to the venue")
        need = Need(intervals=engine.intervals, warmup_bars=engine.warmup_bars)
        self._uplink = uplink = await self._connector()(engine.directive, found, need, self._clock)
        broker = uplink.broker
        brokers = {broker.venue: broker}
        carrier = Carrier(
            engine,
            journal,
            brokers,
            self._clock,
            recorder=self._recorder,
            notify=self._heard,
            resync=uplink.feed.resync,
        )
        self._beside.hold(carrier.run())
        at_ns, mono_ns = self._now()
        carrier.post(
            Started(
                at_ns=at_ns,
                mono_ns=mono_ns,
                account=account.name,
                kind=account.kind,
                instance=journal.instance,
                epoch=journal.epoch,
                version=nexus_engine.__version__,
                mode=account.mode,
                attended=not self.options.headless,
            )
        )
        self._carrier = carrier
        # before the first bars, so that they are told to it
        keeper = Keeper(engine.directive, self.folder.parent, self._regime)
        await keeper.first()
        self._beside.keep("regime model", keeper.keep)
        # what keeps entries away is known before anything could let them out
        memory.hindrances(carrier.post)
        self._beside.keep("memory", lambda: memory.watch(carrier.post))
        if memory.told:
            note = Notify(level=Level.WARN, subject="journal", by="bot", text=memory.told)
            engine.notebook.add(note, at_ns)
        for early in self._early:
            self.command(early[0], by=early[1], surface=early[2])
        self._beside.keep("pulse", self._beat)
        self._beside.keep("kill latch", self._watch_latch)
        self._without(await self._introduced(uplink, carrier))
        if account.kind is AccountKind.LIVE:
            await self._check_live(found, carrier)
        self._beside.keep("feed", self._feed)
        self._watch_macro(engine.directive, found, carrier)
        self._tell("comparing with the venue")
        at_ns, mono_ns = self._now()
        carrier.post(TimerFired(at_ns=at_ns, mono_ns=mono_ns, key=RECONCILE_TIMER))
        await carrier.answered()
        self._beside.hold(self._prepare(uplink, carrier))
        self._garbage.settle()

    def _connector(self) -> Connect:
        if self._connect is not None:
            return self._connect
        if self.options.kind is AccountKind.PAPER:
            from nexus_engine.runtime.paper import connect_paper

            return connect_paper(self.folder)
        return connect_binance

    async def _introduced(self, uplink: Uplink, carrier: Carrier) -> tuple[str, ...]:
        """A venue that does not answer is waited for: until then nothing is traded, and HALT and stop work."""
        while True:
            try:
                return await uplink.introduce(carrier.post)
            except AccountRefused as error:
                raise StartError(str(error)) from error
            except UplinkError as error:
                self._tell(f"trying again: {error}")
                await asyncio.sleep(AGAIN_S)

    async def _check_live(self, where: Address, carrier: Carrier) -> None:
        """Entries wait until account and key are found fit; a key that could withdraw ends the start."""
        from nexus_engine.runtime.preflight import Preflight

        def tell(problem: str) -> None:
            at_ns, mono_ns = self._now()
            carrier.post(Checked(at_ns=at_ns, mono_ns=mono_ns, problem=problem))

        self._tell("checking account and key")
        preflight = Preflight(where, self.folder, self._clock, tell)
        await preflight.first()
        self._beside.keep("live check", preflight.keep)

    def _regime(self, model: "RegimeModel | None", problem: str) -> None:
        """Have the engine use a model, or say why it cannot."""
        assert self._engine is not None and self._carrier is not None
        at_ns, mono_ns = self._now()
        if model is not None:
            self._engine.regime_models[model.manifest.npz_sha256] = model
        self._carrier.post(changed(model, problem, at_ns=at_ns, mono_ns=mono_ns))

    def _hung(self, strategy: str, call: int, why: str) -> None:
        """Written down after the turn that waited for it, for a replay."""
        assert self._carrier is not None
        at_ns, mono_ns = self._now()
        self._carrier.post(StrategyHung(at_ns=at_ns, mono_ns=mono_ns, strategy=strategy, call=call, why=why))

    def _without(self, unlisted: Sequence[str]) -> None:
        """A symbol that the venue does not list is a mistake, unless something of ours is left on it."""
        ledger = self._ledger
        wrong = [one for one in unlisted if one not in ledger.positions and not any(ledger.alive(one))]
        if wrong:
            raise StartError(f"binance.symbols: the venue does not list {', '.join(wrong)}")
        if unlisted:
            self._beside.failures["symbols"] = f"not trading, the venue does not list it: {', '.join(unlisted)}"

    async def _prepare(self, uplink: Uplink, carrier: Carrier) -> None:
        """Set margin and leverage. Entries wait for it, and nothing that we hold does."""
        while True:
            try:
                await uplink.prepare(carrier.post)
            # Supervision boundary: whatever goes wrong here keeps entries away, and must not do so in silence.
            except Exception as error:
                log.warning("the account is not prepared", exc_info=True)
                told = str(error) if isinstance(error, UplinkError) else f"{type(error).__name__}; see the log"
                self._beside.failures["prepare"] = f"no entries yet, the account cannot be prepared: {told}"
                await asyncio.sleep(AGAIN_S)
            else:
                self._beside.failures.pop("prepare", None)
                return

    async def _address(self, directive: Directive) -> Address:
        if directive.account.kind is not AccountKind.DEMO:
            self.options = with_key(self.options, ask=False)
            return address(directive, self.options.key)
        if directive.demo.venue:
            ready = read_ready(Path(directive.demo.venue))
        else:
            self._tell("demo venue starting")
            venue = self._venue = DemoVenue(directive.demo, venue_state_dir(self.folder), self.options.replay)
            ready = await venue.start()
            port = int(ready.rest.rpartition(":")[2])
            self._beside.keep("demo venue", lambda: venue.keep(port))
        return Address(
            rest_url=ready.rest, ws_url=ready.ws, api_key=Secret(ready.api_key), api_secret=Secret(ready.api_secret)
        )

    async def _depart(self) -> None:
        """Leave in order: no entries, working ones cancelled, what is open under its stop; then let go."""
        self._tell("closing")
        carrier, ledger = self._carrier, self._ledger
        assert carrier is not None
        carrier.entries = False
        if self._how == "flatten":
            carrier.command(Flatten(word="flat"), by=self._leaver, surface="cockpit")
            await self._until(lambda: not ledger.positions, _FLATTEN_S)
        at_ns, mono_ns = self._now()
        carrier.post(Stopping(at_ns=at_ns, mono_ns=mono_ns))
        await self._until(
            lambda: (
                not any(ledger.alive(leg=Leg.ENTRY))
                and all(position.naked_since_ns is None for position in ledger.positions.values())
            ),
            _CALM_S,
        )
        try:
            async with asyncio.timeout(_DRAIN_S):
                await carrier.drain()
        except TimeoutError:
            log.warning("left with requests under way; the next start asks the venue what became of them")

    def _open_still(self) -> str:
        held = ", ".join(f"{one.symbol} {one.qty}, stop {one.plan.stop}" for one in self._ledger.positions.values())
        if not self.running:
            return f"not flat, nothing was sent before the start was over: {held}"
        return f"not flat, the venue did not confirm it: {held}; the next start goes on closing"

    def _called_off(self) -> None:
        """A start that ends in order is no crash: three of them must not leave the account protecting only."""
        if self._carrier is not None:
            at_ns, mono_ns = self._now()
            self._carrier.post(Stopping(at_ns=at_ns, mono_ns=mono_ns))

    async def _until(self, done: Callable[[], bool], within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while not done() and time.monotonic() < deadline_s:  # noqa: ASYNC110 the ledger has no event to wait for
            await asyncio.sleep(0.05)

    async def _close(self) -> None:
        async with AsyncExitStack() as closing:  # last in, first out; one that fails keeps no other open
            closing.callback(self._garbage.close)
            if self._guard is not None:
                closing.callback(self._guard.close)
            if self._memory is not None:
                closing.push_async_callback(self._memory.close)
            if self._recorder is not None:
                closing.callback(self._recorder.close)
            if self._venue is not None:
                closing.push_async_callback(self._venue.stop)
            if self._uplink is not None:
                closing.push_async_callback(self._uplink.close)
            await self._beside.close()

    # ---- what runs beside the engine ---------------------------------------------------------------------------------

    async def _feed(self) -> None:
        assert self._uplink is not None and self._carrier is not None
        feed = self._uplink.feed
        try:
            await feed.run(self._carrier.post)
        except Exception:
            at_ns, mono_ns = self._now()
            for name in _STREAMS:
                self._carrier.post(
                    FeedStatus(at_ns=at_ns, mono_ns=mono_ns, venue=feed.venue, feed=name, up=False, reason="failed")
                )
            raise

    def _watch_macro(self, directive: Directive, where: Address, carrier: Carrier) -> None:
        feed = self._macro = macro_feed(directive, where, self.options.macro_key, self._ledger.macro, self._clock)
        if feed is not None:
            self._beside.keep("macro", lambda: feed.run(carrier.post))

    async def _beat(self) -> None:
        assert self._carrier is not None
        with StallWatch() as watch:
            while True:
                watch.beat()
                if self._on_beat is not None:
                    self._on_beat()
                await self.pulse.beat(self._carrier.posted)
                self._garbage.look(self._quiet)

    def _quiet(self) -> bool:
        """No order is on its way, and nothing is without its stop."""
        ledger = self._ledger
        return all(order.status.standing for order in ledger.alive()) and all(
            position.naked_since_ns is None for position in ledger.positions.values()
        )

    async def _watch_latch(self) -> None:
        assert self._carrier is not None
        latch = latch_path(self.folder)
        while True:
            if latch.exists():
                by, how = asked(latch)
                self._carrier.command(Halt(reason=how), by=self._who(by), surface="latch")
                if await self._carrier.recorded(AGAIN_S):
                    latch.unlink(missing_ok=True)
                else:
                    await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(_LATCH_POLL_S)

    # ---- what others ask ---------------------------------------------------------------------------------------------

    def command(self, command: AnyCommand, *, by: str, surface: str) -> str:
        """Take a person's wish; returns why not, or nothing. One that comes while the account starts waits for it."""
        if self.options.read_only and not isinstance(command, Halt):
            return "this engine was started with --read-only: only HALT is taken"
        if self._carrier is not None:
            self._carrier.command(command, by=self._who(by), surface=surface)
        elif len(self._early) < _EARLY:
            self._early.append((command, by, surface))
        elif not isinstance(command, Halt):
            return "the account is still starting"
        elif not isinstance(self._early[-1][0], Halt):  # one that waits last already does for both
            self._early.append((command, by, surface))
        return ""

    def _who(self, by: str) -> str:
        """The person behind a name: `you` is the system's user, where people have names."""
        return os_user() if by == HERE and self._people else by

    def stop(self, how: str, *, by: str) -> str:
        """Leave: `quit` with stops resting, or `flatten` first; returns why not, or nothing. Idempotent.

        `by` is empty where the process itself ends. Before it runs there is nothing to leave: then the start ends, see
        `run`.
        """
        who = self._who(by)
        if who and (refusal := self._people.below(Role.TRADER, who, how)):
            log.warning("%s", refusal)
            self._remark(who, refusal)
            return refusal
        if self.options.read_only and how == "flatten":
            return "this engine was started with --read-only: it closes nothing; quit leaves the stops resting"
        self._how, self._leaver = how, who
        first = not self._leave.is_set()
        self._leave.set()
        if first and not self.running and self._life is not None:
            self._life.cancel()
        return ""

    def _remark(self, who: str, text: str) -> None:
        """Show and write down what the engine is not asked about."""
        if self._engine is not None and self._carrier is not None:
            note = Notify(level=Level.WARN, subject="account", by=who, text=text)
            self._engine.notebook.add(note, self._clock.utc_ns())
            self._carrier.remark(note)

    async def recorded(self, within_s: float) -> bool:
        return self._carrier is not None and await self._carrier.recorded(within_s)

    @property
    def asked(self) -> str:
        """The user's own strategy that is being asked at this moment; may be read from any thread."""
        return "" if self._engine is None else self._engine.cortex.asked

    async def view(self, request: ViewRequest, *, by: str) -> View | None:
        """The picture for somebody who looks, drawn between what the market says; None before there is one."""
        if self._engine is None or self._carrier is None:
            return None
        at_ns, mono_ns = self._now()
        drawing = self._engine.drawing(request, at_ns=at_ns, mono_ns=mono_ns)
        told, view = self._told(by), None  # of the moment that the first part is of
        for view in drawing:  # noqa: B007 the last one is the whole
            await asyncio.sleep(_BREAK_S)
        assert view is not None
        at_ns, mono_ns = self._now()
        if mono_ns - self._attended_mono >= _ATTENDED_NS:
            self._attended_mono = mono_ns
            self._carrier.post(Attended(at_ns=at_ns, mono_ns=mono_ns))
        return self._seen_by(by, view, told)

    def _told(self, by: str) -> tuple[EventRow | None, str]:
        """What became of this person's last command, and what is wrong."""
        assert self._engine is not None
        return self._engine.notebook.outcome_of(self._who(by)), self.problem

    def _seen_by(self, by: str, view: View, told: tuple[EventRow | None, str]) -> View:
        """A picture as this person sees it: what they were refused, and the events in their voice; with the thread's
        health."""
        outcome, problem = told
        feed = () if self._uplink is None else self._uplink.feed.readings()
        kept = () if self._memory is None else self._memory.readings()
        voice = self._voices.get(self._people.voice(self._who(by)) or self._ui_voice)
        events = view.events if voice is None else tuple(map(voice.dress, view.events))
        macro = view.macro_view
        if self._macro is not None:
            feed = (*feed, *self._macro.readings())
            # the account trades on without it, so it is told where the trend is shown
            macro = replace(macro, reason=self._macro.problem or macro.reason)
        return replace(
            view,
            events=events,
            outcome=outcome,
            health=(*view.health, *self.pulse.readings(), *feed, *kept),
            problem=view.problem or problem,
            macro_view=macro,
        )

    @property
    def problem(self) -> str:
        """The worst thing that is wrong with the machine itself, in one line; empty when all is well."""
        journal = "" if self._carrier is None else self._carrier.journal_problem
        venue = "" if self._venue is None else self._venue.problem
        recorder = "" if self._recorder is None else self._recorder.error
        feed = "" if self._uplink is None else self._uplink.feed.problem
        memory = "" if self._memory is None else self._memory.problem
        found = (
            journal and f"journal: {journal}",
            venue,
            feed,
            recorder,
            memory,
            *self._beside.failures.values(),  # some were over long ago
            self.pulse.problem,  # last: it is told for ten seconds after it is over, and must hide nothing that lasts
        )
        return next(filter(None, found), "")

    def status(self) -> Status:
        """One line's worth."""
        status = Status(
            account=self.options.account,
            kind=self.options.kind,
            pid=os.getpid(),
            progress=self.progress,
            problem=self.problem,
        )
        if self._engine is None or self._carrier is None:
            return status
        at_ns, mono_ns = self._now()
        view = self._engine.view(ViewRequest(events=0), at_ns=at_ns, mono_ns=mono_ns)
        return shown(status, self._seen_by("", view, self._told("")))

    def stats(self) -> dict[str, float]:
        """What `--stats` prints at the end."""
        seconds = time.monotonic() - self.pulse.started_s
        events = 0 if self._carrier is None else self._carrier.posted
        told = () if self._uplink is None else self._uplink.feed.readings()
        return {
            "seconds": round(seconds, 1),
            "events": events,
            "events_per_s": round(events / seconds, 1),
            "views": 0 if self._engine is None else self._engine.views,
            "loop_lag_max_ms": round(self.pulse.worst_ms, 1),
            "memory_mb": round(memory_mb(), 1),
            **{reading.name.replace(" ", "_"): reading.value for reading in told},
        }

    def _heard(self, note: Notify) -> None:
        """The engine writes down itself what it says; nobody else does it for the carrier."""
        if note.by != "carrier":
            return
        assert self._engine is not None
        self._engine.notebook.add(note, self._clock.utc_ns())
        if note.subject != "journal":  # whose problem the carrier knows, and when it is over
            self._beside.failures[note.subject] = note.text

    def _tell(self, progress: str) -> None:
        self.progress = progress
        self._say(progress)

    def _now(self) -> tuple[int, int]:
        return self._clock.utc_ns(), self._clock.mono_ns()
