"""What the keys of the cockpit do: each becomes a command, most of them after a question."""

from decimal import Decimal
from typing import Final

from nexus_engine.model import commands as c
from nexus_engine.model.view import PositionView, ProposalView
from nexus_engine.model.words import AccountKind, Latch, Mode, Sentinel
from nexus_tui import format as fmt
from nexus_tui.cards import ARM_NS, READY, SENT, STALE
from nexus_tui.link import SocketLink
from nexus_tui.safe import plain
from nexus_tui.screens.close import ClosePage
from nexus_tui.screens.dialogs import Choice, Confirm, Pick, Typed
from nexus_tui.screens.eyes import Eyes
from nexus_tui.screens.flatten import FlattenPage
from nexus_tui.screens.stop import StopPage
from nexus_tui.widgets.body import Body
from nexus_tui.widgets.positions import Positions, asked

_RANK: Final = {Mode.WATCHER: 0, Mode.COPILOT: 1, Mode.PILOT: 2}
_MODES: Final = {
    Mode.WATCHER: "alerts only, nothing is proposed",
    Mode.COPILOT: "proposes, you decide",
    Mode.PILOT: "decides by itself",
}
_START_NS: Final = 15_000_000_000
"""What is found foreign within this long is asked about by itself; later only row 2 counts it."""
_LISTED: Final = 8
_SILENT: Final = "is not known as it stands now: the engine is silent"


class Hands(Eyes):
    """The keys that do something."""

    def __init__(self) -> None:
        super().__init__()
        self._first_ns: int | None = None
        self._reconciled = False

    # ---- proposals ------------------------------------------------------------------------------------------------

    def _card(self, what: str) -> ProposalView | None:
        """The selected proposal, where it is in sight as it is now; says so when there is none `what` is for."""
        card = self.cards.current
        if card is None:
            how = "j selects" if self.pane == "proposals" else "tab to the proposals, then j"
            self.say(f"no proposal is selected: {how}" if self.cards.all else f"no proposal to {what}")
        elif self.nexus.small:
            self.say("the cards are not in sight: this terminal was too small")
            return None
        elif not self.cards_shown:
            back = "space" if self.frozen else "1" if self.query_one(Body).page else "z"
            self.say(f"the cards are not in sight as they are now: {back} first")
            return None
        return card

    def action_approve(self) -> None:
        if not self.nexus.may_act():
            return
        card, face, badge = self._card("approve"), self.cards.face, self.cards.badge(self.nexus.clock())
        if card is None or face is None:
            return
        if badge == READY:
            self._approve(card, face)
        else:
            reason = {
                STALE: "its numbers moved: look, then press a again",
                SENT: "is already sent",
                "": _SILENT,
            }.get(badge, "has just come: look, then press a again")
            self.say(f"P{face[0]} {reason}")

    def _approve(self, card: ProposalView, face: tuple[int, str]) -> None:
        """Send what was seen; above the set risk of real money, after a second key."""

        def send(yes: bool | None) -> None:
            if yes and self.silence():
                self.say(f"P{face[0]} {_SILENT}")
            elif yes and self.nexus.send(c.Approve(proposal=face[0], shown=face[1])):
                if self.cards.face == face:
                    self.cards.approved()
                self.sending(f"P{face[0]} approval sent")

        proposal = card.proposal
        live = self.view is not None and self.view.account.kind is AccountKind.LIVE
        if not (live and proposal.worst_pct > self.nexus.confirm_pct):
            send(True)
            return
        lines = (
            f"{proposal.side} {fmt.quantity(proposal.qty)} {proposal.symbol} "
            + ("at market" if proposal.market else f"at {fmt.price(proposal.limit, card.price_digits)}")
            + f", stop {fmt.price(proposal.plan.stop, card.price_digits)}",
            f"worst {fmt.money(-proposal.worst)} is {proposal.worst_pct:.2f}% of equity: "
            f"above {self.nexus.confirm_pct}% it asks twice",
        )
        self.app.push_screen(
            Confirm(f"Approve {proposal.handle} with real money", lines, arm_ms=ARM_NS // 1_000_000), send
        )

    def action_reject(self) -> None:
        if not self.nexus.may_act():
            return
        card = self._card("reject")
        if card is not None and self.nexus.send(c.Reject(proposal=card.proposal.id)):
            self.sending(f"{card.proposal.handle} rejection sent")

    def action_snooze(self) -> None:
        card = self._card("hide")
        if card is not None:
            self.cards.snooze(self.nexus.clock())
            self.say(f"{card.proposal.handle} hidden for 30 s; it still expires")

    def action_edit(self) -> None:
        if not self.nexus.may_act():
            return
        card = self._card("edit")
        if card is None:
            return
        from nexus_tui.screens.edit import EditPage

        def done(command: c.Edit | None) -> None:
            if command is not None and self.nexus.send(command):
                self.sending(f"P{command.proposal} edit sent")

        self.app.push_screen(EditPage(card), done)

    # ---- positions ------------------------------------------------------------------------------------------------

    def _position(self, what: str) -> PositionView | None:
        """The selected position, or the only one."""
        positions = self.view.positions if self.view is not None else ()
        selected = self.query_one(Positions).selected
        chosen = next((each for each in positions if each.symbol == selected), None)
        if chosen is None and len(positions) == 1:
            chosen = positions[0]
        if chosen is None:
            entries = [f"P{each.intent}" for each in self.view.entries] if self.view is not None else []
            them = "it" if len(entries) == 1 else "them"
            going = f"; {', '.join(entries)} may still fill: F takes {them} back" if entries else ""
            none = f"no position to {what}{going}"
            self.say("no position is selected: tab to the positions, then j" if positions else none)
        return chosen

    def action_close(self, half: bool) -> None:
        if not self.nexus.may_act():
            return
        chosen = self._position("close")
        if chosen is None or self.view is None:
            return
        part = "half of " if half else ""

        def done(yes: bool | None) -> None:
            if yes and self.nexus.send(c.ClosePosition(symbol=chosen.symbol, half=half)):
                self.sending(f"{chosen.symbol} close sent")

        self.app.push_screen(ClosePage(f"Close {part}{chosen.symbol}", self.view, chosen, half=half), done)

    def action_stop(self) -> None:
        if not self.nexus.may_act():
            return
        chosen = self._position("protect")
        if chosen is None:
            return

        def done(stop: Decimal | None) -> None:
            if stop is not None and self.nexus.send(c.MoveStop(symbol=chosen.symbol, stop=stop)):
                self.sending(f"{chosen.symbol} stop {stop:,f} sent")

        self.app.push_screen(StopPage(chosen), done)

    def action_release(self) -> None:
        """Re-arm a NAKED position that is selected, or is the only one; else release a latch."""
        if not self.nexus.may_act():
            return
        positions = self.view.positions if self.view is not None else ()
        selected = self.query_one(Positions).selected if self.pane == "positions" else ""
        naked = next(
            (
                each
                for each in positions
                if each.stop_state == "NAKED" and (each.symbol == selected or len(positions) == 1)
            ),
            None,
        )
        if naked is None:
            latches = self.view.account.latches if self.view is not None else ()
            if latches:
                self._release(latches[0].latch)
            elif self.view is not None and self.view.sentinel is Sentinel.BLACK_SWAN:
                self.action_rearm_swan()
            else:
                self.say("no latch holds, and no NAKED position is selected")
        elif self.nexus.send(c.Rearm(symbol=naked.symbol)):
            self.sending(f"{naked.symbol} stop asked for again")

    def action_hold(self) -> None:
        """Put the machine's exit of a NAKED position off, once."""
        if not self.nexus.may_act():
            return
        positions = self.view.positions if self.view is not None else ()
        counting = {each.symbol: each.exit_ms for each in positions if each.exit_ms is not None and not each.held_by}
        selected = self.query_one(Positions).selected
        if not counting:
            self.say("no position is NAKED and on its way out")
            return
        symbol = selected if selected in counting else min(counting, key=counting.__getitem__)
        if self.nexus.send(c.Hold(symbol=symbol)):
            self.sending(f"{symbol} hold sent")

    # ---- the account ----------------------------------------------------------------------------------------------

    def _release(self, latch: Latch) -> None:
        latches = self.view.account.latches if self.view is not None else ()
        held = next((each for each in latches if each.latch is latch), None)
        if held is None:
            holds = f"; {_name(latches[0].latch)} does: r releases it" if latches else ""
            self.say(f"{_name(latch)} does not hold{holds}")
            return
        others = ", ".join(_name(each.latch) for each in latches if each is not held)
        lines = (
            f"held by {held.by} since {fmt.clock(held.since_ns)} UTC" + (f": {held.reason}" if held.reason else ""),
            f"then {others} still holds" if others else "then entries may be sent again; what was cancelled stays so",
        )

        def done(yes: bool | None) -> None:
            if yes and self.nexus.send(c.Release(latch=latch, word=latch.lower())):
                self.sending(f"{_name(latch)} release sent")

        self.app.push_screen(Typed(f"Release {_name(latch)}", lines, _name(latch).lower()), done)

    def action_pause(self) -> None:
        """No new entries; pressed again it asks for the typed word that resumes."""
        if not self.nexus.may_act():
            return
        latches = self.view.account.latches if self.view is not None else ()
        if any(each.latch is Latch.PAUSE for each in latches):
            self._release(Latch.PAUSE)
        elif self.nexus.send(c.Pause()):
            self.sending("pause sent")

    def action_resume(self) -> None:
        if not self.nexus.may_act():
            return
        self._release(Latch.PAUSE)

    def action_unlock(self) -> None:
        """Real money: entries are open for some hours once the phrase is typed."""
        if not self.nexus.may_act() or self.view is None:
            return
        account = self.view.account
        if account.lease_ms is None:
            self.say("only the entries of a LIVE account are locked")
            return
        phrase = c.live_phrase(account.name)

        def done(yes: bool | None) -> None:
            if yes and self.nexus.send(c.Unlock(word=phrase)):
                self.sending("unlock sent")

        left = f"open for {fmt.age(account.lease_ms)} more" if account.lease_ms else "locked: stops and exits work"
        lines = (f"LIVE {account.name}: entries are {left}", "real money, until the hours of the directive are over")
        self.app.push_screen(Typed("Unlock real money", lines, phrase), done)

    def action_rearm_swan(self) -> None:
        """Longs again before the lock of the black swan has run out."""
        if not self.nexus.may_act() or self.view is None:
            return

        def done(yes: bool | None) -> None:
            if yes and self.nexus.send(c.RearmSwan(word="swan")):
                self.sending("re-arm sent")

        reason = self.view.sentinel_reason if self.view.sentinel is Sentinel.BLACK_SWAN else "longs are not locked"
        lines = (reason, "longs may be opened again at once; falls count from the price of now")
        self.app.push_screen(Typed("Re-arm after a black swan", lines, "swan"), done)

    def action_strategies(self) -> None:
        """Which strategies run: off at once, on after a yes."""
        if not self.nexus.may_act() or self.view is None:
            return
        running = {name: on for name, on, _ in self.view.strategies}
        if not running:
            self.say("no strategy runs")
            return
        choices = [
            Choice(name, str(at), f"{plain(name, 31):<31} {'on ' if on else 'OFF'}  {mode}")
            for at, (name, on, mode) in enumerate(self.view.strategies, 1)
        ]

        def switch(name: str, on: bool) -> None:
            if self.nexus.send(c.Switch(strategy=name, on=on)):
                self.sending(f"{name} {'on' if on else 'off'} sent")

        def done(name: str | None) -> None:
            if not name:
                return
            if running[name]:
                switch(name, False)
                return
            lines = ("it may propose, and in PILOT enter, again",)
            self.app.push_screen(Confirm(f"Switch {name} on", lines), lambda yes: switch(name, True) if yes else None)

        lines = ("off: its cards end, its working entries are cancelled, its stops stay",)
        self.app.push_screen(Pick("Strategies   takes: off, or on again", lines, choices, start=choices[0].name), done)

    def action_history(self) -> None:
        from nexus_tui.screens.drill import History

        self.app.push_screen(History())

    def action_drill(self) -> None:
        """Rehearse a crash: a child process with a venue of its own, which knows nothing of this account."""
        from nexus_tui.screens.drill import DrillPage, choices

        def begin(name: str | None) -> None:
            if name:
                self.app.push_screen(DrillPage(name))

        listed = choices()
        lines = ("a venue of its own, with longs and shorts; this account is not touched",)
        self.app.push_screen(Pick("Drill   esc leaves, and ends it", lines, listed, start=listed[0].name), begin)

    def action_mode(self) -> None:
        if not self.nexus.may_act():
            return
        now = self.view.account.mode if self.view is not None else None
        if now is None:
            return
        choices = [
            Choice(mode.value, mode.value[0].lower(), f"{mode.value:<8} {text}{'   (now)' if mode is now else ''}")
            for mode, text in _MODES.items()
        ]

        def set_mode(mode: Mode, word: str) -> None:
            if self.nexus.send(c.SetMode(mode=mode, word=word)):
                self.sending(f"mode {mode.value} sent")

        def done(name: str | None) -> None:
            if not name or (mode := Mode(name)) is now:
                return
            if _RANK[mode] < _RANK[now]:
                set_mode(mode, "")
                return
            word = mode.value.lower()
            self.app.push_screen(
                Typed(f"Up to {mode.value}", (_MODES[mode],), word),
                lambda yes: set_mode(mode, word) if yes else None,
            )

        self.app.push_screen(Pick("Mode   down at once, up typed", (), choices, start=now.value), done)

    def action_flatten(self) -> None:
        if not self.nexus.may_act():
            return
        self._flatten(leave=False)

    def _flatten(self, *, leave: bool) -> None:
        def done(command: c.Flatten | None) -> None:
            if command is None or not self.nexus.send(command):
                return
            self.sending("flatten sent")
            if leave:
                self.app.exit("flatten")

        self.app.push_screen(FlattenPage(self.view, leave=leave), done)

    # ---- what is not ours -----------------------------------------------------------------------------------------

    def action_reconcile(self) -> None:
        if not self.nexus.may_act():
            return
        from nexus_tui.screens.reconcile import ReconcilePage

        if self.view is None or not (self.view.differences or self.view.compared):
            self.say("venue and journal agree: nothing foreign is held")
            return

        def done(command: c.Adopt | c.CloseForeign | None) -> None:
            if command is not None and self.nexus.send(command):
                self.sending(f"{command.symbol} {'adoption' if isinstance(command, c.Adopt) else 'close'} sent")

        self.app.push_screen(ReconcilePage(self.view.differences, self.view.compared), done)

    def look_at_view(self) -> None:
        """Feed the dialog on top, and ask once about what the start found."""
        self.feed_dialog()
        if self.view is None:
            return
        gone = "ENGINE SILENT" if self.nexus.link.alive else "NO ENGINE"
        self.nexus.seen(self.view, gone if self.silence() else "")
        if self._reconciled:
            return
        now_ns = self.nexus.clock()
        if self._first_ns is None:
            self._first_ns = now_ns
        if now_ns - self._first_ns > _START_NS:
            self._reconciled = True
        elif self.view.differences and self.app.screen is self and not self.nexus.hindrance():
            self._reconciled = True
            self.action_reconcile()

    # ---- leaving --------------------------------------------------------------------------------------------------

    def action_leave(self) -> None:
        """Ask how to leave; what stays open is named."""
        positions = self.view.positions if self.view is not None else ()
        silent, alive = self.silence() if self.view is not None else "", self.nexus.link.alive
        was, none = ("was ", "had no stop") if silent else ("", "no stop")
        lines = [
            f"{fmt.stance(each.side):<5} {fmt.right(fmt.quantity(each.qty), 9)} {each.symbol:<12} "
            + (none if each.stop is None else f"stop {each.stop:,f} {was}{each.stop_state}")
            for each in positions[:_LISTED]
        ] or [
            "no position is open"
            if self.view is not None and self.view.account.known
            else "not known yet: what is open"
        ]
        if len(positions) > _LISTED:
            lines.append(f"and {len(positions) - _LISTED} more")
        lines += [
            f"entry {fmt.right(fmt.quantity(each.leaves), 9)} {each.symbol:<12} "
            f"P{each.intent} {each.side} at {asked(each)}, may still fill"
            for each in (self.view.entries if self.view is not None else ())
        ]
        if silent and self.view is not None:
            lines.insert(0, f"last seen at {fmt.clock(self.view.at_ns)} UTC; how it stands now is not known:")
        goes_on = "the engine goes on; the shell says how to see it again"
        if silent:
            goes_on = "the engine, silent now, is left as it is"
        choices = [
            Choice("stay", "s", "stay"),
            Choice("detach", "d", f"detach: {goes_on}"),
            Choice("flatten", "f", "flatten and quit: close everything of ours first"),
            Choice("quit", "r", "quit with stops resting at the venue"),
        ]
        if not alive:
            choices = [choices[0], Choice("detach", "d", "leave: no engine runs; what rests at the venue stays there")]
        elif self.nexus.read_only:
            # who only looks at the engine of another process leaves it as it is
            ends = {"flatten", "quit"} if isinstance(self.nexus.link, SocketLink) else {"flatten"}
            choices = [each for each in choices if each.name not in ends]

        def done(how: str | None) -> None:
            if how == "flatten":
                self._flatten(leave=True)
            elif how in ("detach", "quit"):
                self.app.exit(how)

        self.app.push_screen(Pick("Leave Nexus", lines, choices, start="stay"), done)


def _name(latch: Latch) -> str:
    """As row 2 writes it."""
    return latch.replace("_", " ")
